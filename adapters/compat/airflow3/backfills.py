"""Backfills in Airflow 3: its scheduler and executor run what is in its tables."""

from __future__ import annotations

import copy
import json
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Dict, Iterator, List, Mapping, Optional, Sequence, Tuple

import pendulum
from sqlalchemy import func, select, update

from native_api.adapters.compat.airflow3 import backfill_rows
from native_api.adapters.compat.installed import text_of
from native_api.adapters.compat.interface.backfills import BackfillRecord, Backfills
from native_api.errors import ArgumentNotSupported, Invalid, NotSupported, Refused

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

    from native_api.adapters.backfills.plan import Plan
    from native_api.adapters.compat.objects import Dag

#: The default maximum of active runs of a backfill.
_AT_ONCE = 10


#: The backfills that one statement names.
_AT_MOST = 500
#: Airflow's REST API commits a backfill before its runs; it takes at most this long.
_MAKING = timedelta(minutes=2)


class Backfills3(Backfills):
    """Airflow 3.2 to 3.4."""

    def warnings_about(self, plan: Plan) -> List[str]:
        self._require_allowed(plan)
        warnings = self._warnings_about_past(plan)
        if plan.pool and plan.mapped():
            raise ArgumentNotSupported(
                "pool",
                f"the task '{plan.mapped()}' is mapped, and Airflow creates its instances in the pool of the task.",
            )
        if plan.local:
            warnings.append("'local' has no effect on Airflow 3: the scheduler runs the backfill.")
        return warnings

    def missing_for_past(self, plan: Plan) -> Dict[str, object]:
        if plan.depends_on_past() is None or plan.mark_success or plan.reprocess_behavior != "none":
            return {}
        return {"reprocess_behavior": "failed"}

    _way_past = "set reprocess_behavior to failed or completed, so that its runs wait for one another."

    _adapted = "reprocess_behavior is failed, so that runs which have failed run again, too."

    def require_valid(self, dag: Dag, conf: Optional[Mapping[str, object]]) -> None:
        try:
            dag.params.deep_merge(conf or {}).validate()
        except ValueError as exc:
            raise Invalid({"conf": [str(exc)]}) from exc

    def _require_allowed(self, plan: Plan) -> None:
        allowed = getattr(plan.dag_model, "allowed_run_types", None)
        if allowed is not None and "backfill" not in [getattr(kind, "value", kind) for kind in allowed]:
            raise Refused(f"The DAG '{plan.dag_id}' does not allow backfills: see its allowed_run_types.")

    def at_once(self, plan: Plan) -> int:
        return int(plan.max_active_runs or _AT_ONCE)

    def is_detached(self, plan: Plan) -> bool:
        return False

    def command(self, arguments: Mapping[str, Any]) -> Optional[List[str]]:
        others = ("task_regex", "mark_success", "pool")
        if any(arguments.get(name) for name in others):
            return None
        words = ["backfill", "create", "--dag-id", arguments["dag_id"]]
        words += ["--from-date", arguments["from_date"].isoformat(), "--to-date", arguments["to_date"].isoformat()]
        words += ["--reprocess-behavior", arguments["reprocess_behavior"]]
        if arguments.get("max_active_runs"):
            words += ["--max-active-runs", str(arguments["max_active_runs"])]
        if arguments.get("conf"):
            from native_api.adapters.compat.installed import airflow

            words += ["--dag-run-conf", json.dumps(airflow().masked(arguments["conf"]))]
        return words + [f"--{name.replace('_', '-')}" for name in ("run_backwards", "dry_run") if arguments[name]]

    # Existing backfills

    def listed(self, session: Session, dag_id: Optional[str] = None) -> List[Tuple[int, str]]:
        from airflow.models.backfill import Backfill

        statement = select(Backfill.id, Backfill.dag_id)
        if dag_id is not None:
            statement = statement.where(Backfill.dag_id == dag_id)
        return [(row.id, row.dag_id) for row in session.execute(statement)]

    def by_id(self, session: Session, backfill_ids: Sequence[int]) -> List[BackfillRecord]:
        from airflow.models.backfill import Backfill

        statement = select(Backfill).where(Backfill.id.in_(backfill_ids)).order_by(Backfill.id)
        return [self._find(row) for row in session.scalars(statement)]

    def unfinished(self, session: Session, dag_id: Optional[str] = None) -> List[BackfillRecord]:
        from airflow.models.backfill import Backfill

        statement = select(Backfill).where(Backfill.completed_at.is_(None)).order_by(Backfill.id)
        if dag_id is not None:
            statement = statement.where(Backfill.dag_id == dag_id)
        return [self._find(row) for row in session.scalars(statement)]

    def _find(self, row: Any) -> BackfillRecord:
        return BackfillRecord(
            backfill_id=row.id,
            dag_id=row.dag_id,
            from_date=row.from_date,
            to_date=row.to_date,
            reprocess_behavior=str(getattr(row.reprocess_behavior, "value", row.reprocess_behavior)),
            max_active_runs=row.max_active_runs,
            created_at=row.created_at,
            created_by=getattr(row, "triggering_user_name", None),
            is_over=row.completed_at is not None,
            is_paused=bool(row.is_paused),
            is_open=self._is_being_made(row),
        )

    def _is_being_made(self, row: Any) -> bool:
        young = row.created_at is not None and row.created_at > pendulum.now("UTC") - _MAKING
        return row.completed_at is None and young and not row.backfill_dag_run_associations

    def runs_of(self, backfill: BackfillRecord) -> Any:
        from airflow.models.dagrun import DagRun

        # As Airflow selects them: the table backfill_dag_run also has runs that a later backfill has taken over.
        return DagRun.backfill_id == backfill.backfill_id

    def runs_by_state(
        self, session: Session, backfills: Sequence[BackfillRecord], state: Any
    ) -> Dict[int, Dict[str, int]]:
        from airflow.models.dagrun import DagRun

        found: Dict[int, Dict[str, int]] = {}
        for ids in _parts(backfills):
            # Not every database groups by an expression that has parameters.
            of_each = select(DagRun.backfill_id, state.label("state")).where(DagRun.backfill_id.in_(ids)).subquery()
            by_state: Any = select(*of_each.c, func.count()).group_by(*of_each.c)
            for backfill_id, one, count in session.execute(by_state):
                found.setdefault(backfill_id, {})[str(text_of(one))] = count
        return found

    def endings(self, session: Session, backfills: Sequence[BackfillRecord]) -> Dict[int, str]:
        over = [backfill for backfill in backfills if backfill.is_over]
        ended: Dict[int, str] = {}
        for ids in _parts(over):
            ended.update(dict.fromkeys(backfill_rows.failed_and_taken_over(session, ids), "failed"))
        paused = [backfill.backfill_id for backfill in over if backfill.is_paused]
        ended.update(dict.fromkeys(backfill_rows.cancelled(session, paused), "cancelled"))
        return ended

    def taken_over(self, session: Session, backfill: BackfillRecord) -> int:
        return backfill_rows.taken_over(session, backfill.backfill_id)

    def has_live_job(self, session: Session, backfill: BackfillRecord) -> bool:
        return False

    # Changes

    def create(self, session: Session, plan: Plan, created_by: str, job_id: Optional[str] = None) -> BackfillRecord:
        from airflow.models.backfill import Backfill

        row = Backfill(
            dag_id=plan.dag_id,
            from_date=plan.from_date,
            to_date=plan.to_date,
            max_active_runs=self.at_once(plan),
            dag_run_conf=plan.conf or {},
            reprocess_behavior=plan.reprocess_behavior,
            **self._by(created_by),
        )
        session.add(row)
        session.flush()
        for place, planned in enumerate(plan.runs, start=1):
            self._add_run(session, plan, row, planned.info, place, created_by)
        session.flush()
        return self._find(row)

    def _by(self, name: str) -> Dict[str, object]:
        return {"triggering_user_name": name}

    def _add_run(self, session: Session, plan: Plan, row: Any, info: Any, place: int, created_by: str) -> None:
        from airflow.models import backfill

        self._maker(backfill)(
            dag=plan.dag,
            info=info,
            reprocess_behavior=backfill.ReprocessBehavior(plan.reprocess_behavior),
            backfill_id=row.id,
            dag_run_conf=plan.conf,
            backfill_sort_ordinal=place,
            session=session,
            **self._on_newest(created_by),
        )

    def _maker(self, module: Any) -> Any:
        return module._create_backfill_dag_run_non_partitioned

    def _on_newest(self, created_by: str) -> Dict[str, object]:
        return {"triggering_user_name": created_by, "run_on_latest_version": True}

    def end(self, session: Session, backfill_id: int, state: str) -> None:
        self._end(session, backfill_id)

    def fail_without_runs(self, session: Session, backfill_id: int) -> None:
        raise NotSupported("backfill_dag", "Airflow 3 runs backfills by its scheduler only.")

    def take_over(self, session: Session, dag: Dag, run_ids: List[str]) -> Dict[datetime, object]:
        raise NotSupported("backfill_dag", "Airflow 3 runs backfills by its scheduler only.")

    def run(self, dag: Dag, first: datetime, last: datetime, **how: object) -> Optional[Exception]:
        raise NotSupported("backfill_dag", "Airflow 3 runs backfills by its scheduler only.")

    def cancel(self, session: Session, backfill: BackfillRecord) -> None:
        self._end(session, backfill.backfill_id, is_paused=True)

    def _end(self, session: Session, backfill_id: int, **values: object) -> None:
        from airflow.models.backfill import Backfill

        this_one = update(Backfill).where(Backfill.id == backfill_id, Backfill.completed_at.is_(None))
        ended = this_one.values(completed_at=pendulum.now("UTC"), **values)
        session.execute(ended.execution_options(synchronize_session=False))


class Backfills31(Backfills3):
    """Airflow 3.1."""

    def require_valid(self, dag: Dag, conf: Optional[Mapping[str, object]]) -> None:
        # Serialized params have a class of their own since 3.2; failures.py translates the error.
        params = copy.deepcopy(dag.params)
        params.update(conf or {})
        params.validate()

    def _add_run(self, session: Session, plan: Plan, row: Any, info: Any, place: int, created_by: str) -> None:
        super()._add_run(session, plan, row, info, place, created_by)
        # Before 3.2 a run that runs again keeps its conf.
        planned = plan.runs[place - 1]
        if planned.action == "reprocess" and plan.conf is not None:
            planned.run.conf = plan.conf

    def _maker(self, module: Any) -> Any:
        # Partitions came with 3.2.
        return module._create_backfill_dag_run


class Backfills30(Backfills31):
    """Airflow 3.0, which stores neither the user of a backfill nor the version of a run."""

    def _by(self, name: str) -> Dict[str, object]:
        return {}

    def _on_newest(self, created_by: str) -> Dict[str, object]:
        return {}


def _parts(backfills: Sequence[BackfillRecord]) -> Iterator[List[int]]:
    """Yield the ids in parts: a statement can have 1,000 parameters on every database."""
    ids = [backfill.backfill_id for backfill in backfills]
    for start in range(0, len(ids), _AT_MOST):
        yield ids[start : start + _AT_MOST]
