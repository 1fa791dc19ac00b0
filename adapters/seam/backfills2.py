"""
Backfills on Airflow 2, which has none that its scheduler runs.

A backfill is a set of manual runs, whose ids begin alike, and a row of the table ``log`` that says what was asked for:
every web worker reads both, they survive all of them, and Airflow's own clean-up knows them. Never are they scheduled
runs: when one of those ends, the scheduler goes on from its date and makes every run since.
"""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from typing import Any, List, Mapping, Optional

from native_api.adapters.seam.backfills import Backfills31, Found
from native_api.errors import ArgumentNotSupported, DependsOnPast, Refused

#: The event of the row in the table ``log``; calls of the API leave others.
EVENT = "native_api_backfill"
#: What the ids of a backfill's runs begin with.
PREFIX = "native_api_backfill__"


class Backfills2(Backfills31):
    """Airflow 2."""

    def weigh(self, plan: Any) -> List[str]:
        if plan.mark_success:
            return []
        waits = plan.depends_on_past()
        if waits is not None and plan.run_backwards:
            raise DependsOnPast(plan.dag_id, waits, "it cannot be backfilled backwards.")
        if waits is not None and not plan.local:
            raise DependsOnPast(
                plan.dag_id, waits, "its runs would not wait for one another; local makes a job that sees to it."
            )
        if plan.wanted.get("pool") and not plan.local:
            raise ArgumentNotSupported(
                "pool", "Airflow 2 puts a task back into its own pool when it starts; local makes a job that does it."
            )
        return self._weigh_runs_at_once(plan)

    def _weigh_runs_at_once(self, plan: Any) -> List[str]:
        wanted, most = plan.wanted.get("max_active_runs"), self.at_once(plan)
        if wanted is not None and wanted < most:
            raise ArgumentNotSupported(
                "max_active_runs",
                f"on Airflow 2 a backfill keeps to its DAG's own, {most}; set it there, or ask for a shorter range.",
            )
        if wanted is not None and wanted > most:
            return [f"No more than {most} runs run at once, the DAG's own max_active_runs."]
        return []

    def at_once(self, plan: Any) -> int:
        return int(plan.dag.max_active_runs)

    def is_detached(self, plan: Any) -> bool:
        return bool(plan.local) and not plan.mark_success

    def command(self, arguments: Mapping[str, Any]) -> Optional[List[str]]:
        from native_api.adapters.seam import airflow

        words = ["dags", "backfill", "--yes"]
        words += ["--start-date", arguments["from_date"].isoformat(), "--end-date", arguments["to_date"].isoformat()]
        words += [f"--{name.replace('_', '-')}" for name in _FLAGS if arguments[name]]
        words += {"none": [], "failed": ["--rerun-failed-tasks"], "completed": ["--reset-dagruns"]}[
            arguments["reprocess_behavior"]
        ]
        for name in ("task_regex", "pool"):
            if arguments.get(name):
                words += [f"--{name.replace('_', '-')}", arguments[name]]
        if arguments.get("conf"):
            words += ["--conf", json.dumps(airflow().masked(arguments["conf"]))]
        return [*words, arguments["dag_id"]]

    # Those that there are

    def found(self, session: Any, *, dag_id: Optional[str] = None, backfill_id: Optional[int] = None) -> List[Found]:
        from airflow.models.log import Log
        from sqlalchemy import select

        statement = select(Log).where(Log.event == EVENT).order_by(Log.id)
        if dag_id is not None:
            statement = statement.where(Log.dag_id == dag_id)
        if backfill_id is not None:
            statement = statement.where(Log.id == backfill_id)
        return [self._found(row) for row in session.scalars(statement)]

    def _found(self, row: Any) -> Found:
        record = json.loads(row.extra)
        return Found(
            backfill_id=row.id,
            dag_id=row.dag_id,
            from_date=_moment(record["from_date"]),
            to_date=_moment(record["to_date"]),
            reprocess_behavior=record["reprocess_behavior"],
            max_active_runs=record["max_active_runs"],
            created_at=row.dttm,
            created_by=row.owner,
            is_cancelled=record["ended"] == "cancelled",
            is_open=record["local"] and record["ended"] is None,
            has_failed=record["ended"] == "failed",
            local=record["local"],
            job_id=record["job_id"],
            reprocessed=tuple(record["reprocessed"]),
            dates=record["dates"],
            stretches=tuple((_moment(first), _moment(last)) for first, last in record["stretches"]),
        )

    def runs_of(self, found: Found) -> Any:
        from airflow.models.dagrun import DagRun
        from airflow.utils.types import DagRunType
        from sqlalchemy import and_, or_

        of_dag = DagRun.dag_id == found.dag_id
        if found.local:
            in_stretches = or_(*(DagRun.execution_date.between(first, last) for first, last in found.stretches))
            return and_(of_dag, in_stretches, DagRun.run_type == DagRunType.BACKFILL_JOB)
        made = DagRun.run_id.startswith(_prefix(found.backfill_id), autoescape=True)
        return and_(of_dag, or_(made, DagRun.run_id.in_(found.reprocessed)))

    # Making and ending one

    def create(self, session: Any, plan: Any, created_by: str, job_id: Optional[str] = None) -> Found:
        from airflow.models.log import Log

        record = {
            "from_date": plan.from_date.isoformat(),
            "to_date": plan.to_date.isoformat(),
            "reprocess_behavior": plan.reprocess_behavior,
            "max_active_runs": self.at_once(plan),
            "reprocessed": [] if job_id else [run.run.run_id for run in plan.that_are("reprocess")],
            "stretches": plan.stretches() if job_id else [],
            "dates": len(plan.runs) - len(plan.that_are("skip")),
            "local": job_id is not None,
            "job_id": job_id,
            "ended": None,
        }
        row = Log(EVENT, owner=created_by, dag_id=plan.dag_id, extra=json.dumps(record))
        session.add(row)
        session.flush()
        if job_id is None:
            self._add_runs(session, plan, row.id)
        return self._found(row)

    def _add_runs(self, session: Any, plan: Any, backfill_id: int) -> None:
        import pendulum
        from airflow.models.serialized_dag import SerializedDagModel

        dag_hash = SerializedDagModel.get_latest_version_hash(plan.dag_id, session=session)
        now = pendulum.now("UTC")
        for place, planned in enumerate(plan.runs):
            if planned.action == "create":
                run = self._new_run(session, plan, planned.info, backfill_id, dag_hash)
            elif planned.action == "reprocess":
                run = self._old_run(session, plan, planned.run)
            else:
                continue
            # The scheduler starts queued runs in this order, and those without it first: the DAG's regular ones.
            run.last_scheduling_decision = now + timedelta(microseconds=place)
        session.flush()

    def _new_run(self, session: Any, plan: Any, info: Any, backfill_id: int, dag_hash: Any) -> Any:
        from airflow.utils.state import DagRunState
        from airflow.utils.types import DagRunType

        from native_api.adapters.seam import airflow

        run_id = f"{_prefix(backfill_id)}{info.logical_date.isoformat()}"
        if not airflow().allows_run_id(run_id):
            raise Refused(f"The option [scheduler] allowed_run_id_pattern does not allow the run id '{run_id}'.")
        return plan.dag.create_dagrun(
            run_type=DagRunType.MANUAL,
            run_id=run_id,
            state=DagRunState.QUEUED,
            execution_date=info.logical_date,
            data_interval=info.data_interval,
            external_trigger=True,
            conf=plan.conf,
            dag_hash=dag_hash,
            session=session,
        )

    def _old_run(self, session: Any, plan: Any, run: Any) -> Any:
        from airflow.utils.types import DagRunType

        self._clear(session, plan.dag, run)
        # As Airflow 3 does with the type of such a run; the scheduler goes on from the date of a scheduled one.
        run.run_type = DagRunType.MANUAL
        if plan.conf is not None:
            run.conf = plan.conf
        return run

    def _clear(self, session: Any, dag: Any, run: Any) -> None:
        from airflow.utils.state import DagRunState

        dag.clear(
            start_date=run.execution_date,
            end_date=run.execution_date,
            include_subdags=True,
            include_parentdag=False,
            dag_run_state=DagRunState.QUEUED,
            session=session,
        )

    # In a job of its own

    def take_over(self, session: Any, dag: Any, run_ids: List[str]) -> None:
        """Clear runs that exist, and take them from the scheduler."""
        from airflow.models.dagrun import DagRun
        from airflow.utils.types import DagRunType
        from sqlalchemy import select

        for run in session.scalars(select(DagRun).where(DagRun.dag_id == dag.dag_id, DagRun.run_id.in_(run_ids))):
            self._clear(session, dag, run)
            run.run_type = DagRunType.BACKFILL_JOB
        session.flush()

    def run(self, dag: Any, first: datetime, last: datetime, **how: Any) -> None:
        """
        Run the dates from *first* to *last*, and return when that is done.

        :param how: what ``DAG.run`` takes of conf, run_backwards, ignore_first_depends_on_past, pool.
        """
        from airflow import settings

        # SQLite has one writer, and Airflow one executor that gets by with it.
        local = settings.engine.dialect.name != "sqlite"  # type: ignore[union-attr]
        dag.run(start_date=first, end_date=last, donot_pickle=True, local=local, **how)

    def complete(self, session: Any, found: Found) -> None:
        """Do nothing: the runs tell."""

    def cancel(self, session: Any, found: Found) -> None:
        self.end(session, found.backfill_id, "cancelled")

    def end(self, session: Any, backfill_id: int, state: str) -> None:
        from airflow.models.log import Log

        row = session.get(Log, backfill_id)
        record = json.loads(row.extra)
        if record["ended"] is None:
            row.extra = json.dumps({**record, "ended": state})
            session.flush()


_FLAGS = (
    "mark_success",
    "local",
    "dry_run",
    "ignore_dependencies",
    "ignore_first_depends_on_past",
    "run_backwards",
)


def _moment(text: str) -> datetime:
    return datetime.fromisoformat(text)


def _prefix(backfill_id: int) -> str:
    return f"{PREFIX}{backfill_id}__"
