"""Backfills in Airflow 2, whose scheduler runs none."""

from __future__ import annotations

import copy
import json
import multiprocessing
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Dict, List, Mapping, Optional, Sequence, Tuple

import pendulum
from sqlalchemy import and_, func, or_, select

from native_api.adapters.compat.airflow2 import backfill_rows
from native_api.adapters.compat.installed import text_of
from native_api.adapters.compat.interface.backfills import BackfillRecord, Backfills
from native_api.errors import ArgumentNotSupported, Refused
from native_api.host import hostname

if TYPE_CHECKING:
    from airflow.models.dagrun import DagRun
    from sqlalchemy.orm import Session

    from native_api.adapters.backfills.plan import Plan
    from native_api.adapters.compat.objects import Dag

_FLAGS = (
    "mark_success",
    "local",
    "dry_run",
    "ignore_dependencies",
    "ignore_first_depends_on_past",
    "run_backwards",
)


class Backfills2(Backfills):
    """Airflow 2."""

    def warnings_about(self, plan: Plan) -> List[str]:
        if plan.mark_success:
            return []
        warnings = self._warnings_about_past(plan)
        if plan.pool and not plan.local:
            raise ArgumentNotSupported(
                "pool", "Airflow 2 resets the pool of a task when it starts; use local, which runs it with a job."
            )
        return warnings + self._warnings_about_runs_at_once(plan)

    def missing_for_past(self, plan: Plan) -> Dict[str, object]:
        # With catchup a task waits for the previous run that is not manual, otherwise for the previous run.
        if plan.depends_on_past() is None or plan.mark_success or plan.local:
            return {}
        return {"local": True} if plan.dag.catchup or plan.ignore_first_depends_on_past else {}

    _way_past = "its runs would not wait for one another; use local, which runs them with a job that respects it."

    _adapted = "a job on the web server's host runs the backfill (local), so that its runs wait for one another."

    def _warnings_about_runs_at_once(self, plan: Plan) -> List[str]:
        wanted, most = plan.max_active_runs, self.at_once(plan)
        if wanted is not None and wanted < most:
            raise ArgumentNotSupported(
                "max_active_runs",
                f"on Airflow 2 a backfill uses that of the DAG, {most}; change it there, or reduce the range.",
            )
        if wanted is not None and wanted > most:
            return [f"At most {most} runs are active at once, the max_active_runs of the DAG."]
        return []

    def at_once(self, plan: Plan) -> int:
        return int(plan.dag.max_active_runs)

    def is_detached(self, plan: Plan) -> bool:
        return bool(plan.local) and not plan.mark_success

    def command(self, arguments: Mapping[str, Any]) -> Optional[List[str]]:
        from native_api.adapters.compat.installed import airflow

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

    # Existing backfills

    def listed(self, session: Session, dag_id: Optional[str] = None) -> List[Tuple[int, str]]:
        return backfill_rows.listed(session, dag_id)

    def by_id(self, session: Session, backfill_ids: Sequence[int]) -> List[BackfillRecord]:
        return backfill_rows.by_id(session, backfill_ids)

    def unfinished(self, session: Session, dag_id: Optional[str] = None) -> List[BackfillRecord]:
        return backfill_rows.unfinished(session, dag_id)

    def runs_of(self, backfill: BackfillRecord) -> Any:
        from airflow.models.dagrun import DagRun
        from airflow.utils.types import DagRunType

        of_dag, named = DagRun.dag_id == backfill.dag_id, DagRun.run_id.in_(backfill.run_ids)
        if backfill.local:
            # The type of a run changes when the job takes it over.
            return and_(of_dag, named, DagRun.run_type == DagRunType.BACKFILL_JOB)
        made = DagRun.run_id.startswith(backfill_rows.prefix(backfill.backfill_id), autoescape=True)
        return and_(of_dag, or_(made, named), DagRun.run_id.not_in(backfill.given_up))

    def runs_by_state(
        self, session: Session, backfills: Sequence[BackfillRecord], state: Any
    ) -> Dict[int, Dict[str, int]]:
        # No column names the backfill of a run.
        return {backfill.backfill_id: self._runs_by_state(session, backfill, state) for backfill in backfills}

    def _runs_by_state(self, session: Session, backfill: BackfillRecord, state: Any) -> Dict[str, int]:
        from airflow.models.dagrun import DagRun

        # Not every database groups by an expression that has parameters.
        states = select(state.label("state"), DagRun.id).where(self.runs_of(backfill)).subquery()
        by_state = select(states.c.state, func.count()).group_by(states.c.state)
        return {str(text_of(one)): count for one, count in session.execute(by_state)}

    def endings(self, session: Session, backfills: Sequence[BackfillRecord]) -> Dict[int, str]:
        return {backfill.backfill_id: backfill.ended for backfill in backfills if backfill.ended is not None}

    def taken_over(self, session: Session, backfill: BackfillRecord) -> int:
        return backfill.taken_over

    def has_live_job(self, session: Session, backfill: BackfillRecord) -> bool:
        from airflow.jobs.job import Job
        from airflow.models.dagrun import DagRun
        from airflow.models.taskinstance import TaskInstance

        of_runs = self.runs_of(backfill)
        same_run = and_(TaskInstance.dag_id == DagRun.dag_id, TaskInstance.run_id == DagRun.run_id)
        made = select(DagRun.creating_job_id).where(of_runs)
        queued = select(TaskInstance.queued_by_job_id).join(DagRun, same_run).where(of_runs)
        jobs = select(Job).where(Job.job_type == "BackfillJob", or_(Job.id.in_(made), Job.id.in_(queued)))
        return any(job.is_alive() for job in session.scalars(jobs))

    # Changes

    def create(self, session: Session, plan: Plan, created_by: str, job_id: Optional[str] = None) -> BackfillRecord:
        from airflow.models.log import Log

        record = {
            "from_date": plan.from_date.isoformat(),
            "to_date": plan.to_date.isoformat(),
            "reprocess_behavior": plan.reprocess_behavior,
            "max_active_runs": self.at_once(plan),
            "run_ids": self._run_ids(plan, job_id),
            "date_ranges": plan.date_ranges() if job_id else [],
            "dates": len(plan.runs) - len(plan.with_action("skip")),
            "local": job_id is not None,
            "job_id": job_id,
            "hostname": hostname() if job_id else None,
            "ended": None,
            "is_over": False,
        }
        text = json.dumps(record)
        backfill_rows.require_room(text, session.get_bind().dialect.name)
        row = Log(backfill_rows.EVENT, owner=created_by, dag_id=plan.dag_id, extra=text)
        session.add(row)
        session.flush()
        if job_id is None:
            self._add_runs(session, plan, row.id)
        return backfill_rows.record_of(row, {})

    def _run_ids(self, plan: Plan, job_id: Optional[str]) -> List[str]:
        """Return the ids of the backfill's runs that do not bear its own id: those that exist, and those of a job."""
        from airflow.utils.types import DagRunType

        ids = []
        for planned in plan.runs:
            if planned.action == "reprocess":
                ids.append(planned.run.run_id)
            elif planned.action == "create" and job_id is not None:
                # With the run_id that Airflow's own job generates.
                date, interval = planned.info.logical_date, planned.info.data_interval
                kind = DagRunType.BACKFILL_JOB
                ids.append(plan.dag.timetable.generate_run_id(run_type=kind, logical_date=date, data_interval=interval))
        return ids

    def _add_runs(self, session: Session, plan: Plan, backfill_id: int) -> None:
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
            # The scheduler starts queued runs in this order, and those without a value, the regular ones, first.
            run.last_scheduling_decision = now + timedelta(microseconds=place)
        session.flush()

    def _new_run(self, session: Session, plan: Plan, info: Any, backfill_id: int, dag_hash: Any) -> Any:
        from airflow.utils.state import DagRunState
        from airflow.utils.types import DagRunType

        from native_api.adapters.compat.installed import airflow

        run_id = f"{backfill_rows.prefix(backfill_id)}{info.logical_date.isoformat()}"
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

    def _old_run(self, session: Session, plan: Plan, run: DagRun) -> Any:
        from airflow.utils.types import DagRunType

        self._clear(session, plan.dag, run)
        # As on Airflow 3; from the date of a scheduled run the scheduler would create the following ones.
        run.run_type = DagRunType.MANUAL
        if plan.conf is not None:
            run.conf = plan.conf
        return run

    def _clear(self, session: Session, dag: Dag, run: DagRun) -> None:
        from airflow.utils.state import DagRunState

        dag.clear(
            start_date=run.execution_date,
            end_date=run.execution_date,
            include_subdags=True,
            include_parentdag=False,
            dag_run_state=DagRunState.QUEUED,
            session=session,
        )

    # Local backfills

    def take_over(self, session: Session, dag: Dag, run_ids: List[str]) -> Dict[datetime, Any]:
        from airflow.models.dagrun import DagRun
        from airflow.utils.types import DagRunType

        kept = {}
        statement = select(DagRun).where(DagRun.dag_id == dag.dag_id, DagRun.run_id.in_(run_ids))
        for run in session.scalars(statement).all():
            kept[run.execution_date] = run.conf
            self._clear(session, dag, run)
            run.run_type = DagRunType.BACKFILL_JOB
        session.flush()
        return kept

    def run(self, dag: Any, first: datetime, last: datetime, **how: object) -> Optional[Exception]:
        from airflow import settings
        from airflow.exceptions import BackfillUnfinished

        # SQLite has one writer, and only one of Airflow's executors supports it.
        local = settings.engine.dialect.name != "sqlite"  # type: ignore[union-attr]
        # The processes of a Celery worker are daemons, which could not start those of the executor.
        multiprocessing.current_process().daemon = False
        try:
            dag.run(start_date=first, end_date=last, donot_pickle=True, local=local, **how)
        except BackfillUnfinished as exc:
            unfinished: Exception = exc
            return unfinished
        return None

    def cancel(self, session: Session, backfill: BackfillRecord) -> None:
        # The job continues until its tasks have ended.
        backfill_rows.record_end(session, backfill.backfill_id, "cancelled", is_over=not backfill.local)

    def end(self, session: Session, backfill_id: int, state: str) -> None:
        backfill_rows.record_end(session, backfill_id, state, is_over=True)

    def fail_without_runs(self, session: Session, backfill_id: int) -> None:
        backfill_rows.record_end(session, backfill_id, "failed", is_over=True, run_ids=[])

    def require_valid(self, dag: Dag, conf: Optional[Mapping[str, object]]) -> None:
        # failures.py translates the error.
        params = copy.deepcopy(dag.params)
        params.update(conf or {})
        params.validate()
