"""The progress of a backfill, by its runs and their task instances."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Dict, List, Mapping, Optional, Sequence

import pendulum
from sqlalchemy import and_, case, exists, func, select

from native_api.adapters.compat import airflow
from native_api.adapters.jobs import records
from native_api.adapters.jobs.records import JobRecord
from native_api.adapters.sandbox import job_store
from native_api.host import hostname

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

    from native_api.adapters.compat.interface.backfills import BackfillRecord

_UNFINISHED = ("queued", "running")
#: Maximum number of failures in a response.
_MOST = 100
#: Seconds within which a new job must have a record.
_BEGINNING = timedelta(minutes=2)


@dataclass(frozen=True)
class Progress:
    """The progress of a backfill; *runs* are numbers of runs by state."""

    state: str
    runs: Dict[str, int]
    total_runs: int
    fraction_done: float


def progress_of(session: Session, backfill: BackfillRecord) -> Progress:
    """Return the progress of a backfill."""
    return progress_of_each(session, [backfill])[0]


def progress_of_each(session: Session, backfills: Sequence[BackfillRecord]) -> List[Progress]:
    """Return the progress of each backfill, in their order."""
    runs = airflow().backfills.runs_by_state(session, backfills, state_of_run())
    endings = airflow().backfills.endings(session, backfills)
    return [
        _progress(backfill, runs.get(backfill.backfill_id, {}), endings.get(backfill.backfill_id))
        for backfill in backfills
    ]


def _progress(backfill: BackfillRecord, runs: Dict[str, int], ending: Optional[str]) -> Progress:
    total = sum(runs.values())
    done = total - sum(runs.get(state, 0) for state in _UNFINISHED)
    fraction_done = round(done / total, 4) if total else float(not backfill.is_open)
    return Progress(_state(backfill, runs, ending), runs, total, fraction_done)


def as_response(backfill: BackfillRecord, progress: Progress) -> Dict[str, object]:
    """Return a backfill and its progress in the format of a list."""
    return {**backfill.facts(), **vars(progress)}


def is_active(session: Session, backfill: BackfillRecord) -> bool:
    """Return whether the backfill is active; a local one is active until its job has ended."""
    if backfill.is_over or backfill.local:
        return not backfill.is_over and not is_lost(backfill)
    return progress_of(session, backfill).state == "running"


def is_lost(backfill: Any) -> bool:
    """Return whether the job of the backfill is lost."""
    if backfill.is_over or not backfill.local:
        return False
    record = job_of(backfill)
    if record is None:
        return not is_elsewhere(backfill) and bool(backfill.created_at < pendulum.now("UTC") - _BEGINNING)
    return record.state()["state"] not in job_store.UNFINISHED


def is_elsewhere(backfill: BackfillRecord) -> bool:
    """Return whether the job of the backfill runs on another host, as far as this is known here."""
    return backfill.local and job_of(backfill) is None and bool(backfill.hostname != hostname())


def job_of(backfill: Any) -> Optional[JobRecord]:
    """Return the record of a local backfill's job, None if this machine has none, nor Airflow's executor."""
    with airflow().session() as session:
        return records.find(session, backfill.job_id)


def tasks_by_state(session: Session, backfill: BackfillRecord) -> Dict[str, int]:
    """Return the number of the backfill's task instances by state."""
    from airflow.models.taskinstance import TaskInstance

    statement = _of_runs(select(TaskInstance.state, func.count()), backfill).group_by(TaskInstance.state)
    return {str(state or "none"): count for state, count in session.execute(statement)}


def failed_runs(session: Session, backfill: BackfillRecord) -> List[str]:
    """Return the run_ids of the failed runs, ordered by date."""
    from airflow.models.dagrun import DagRun

    failed = select(DagRun.run_id).where(airflow().backfills.runs_of(backfill), state_of_run() == "failed")
    return list(session.scalars(failed.order_by(airflow().date_of_runs()).limit(_MOST)))


def failed_tasks(session: Session, backfill: BackfillRecord) -> List[Mapping[str, object]]:
    """Return the failed task instances, ordered by date."""
    from airflow.models.taskinstance import TaskInstance

    ti, date = TaskInstance, airflow().date_of_runs()
    statement = select(ti.run_id, ti.task_id, ti.map_index, ti.state, date.label("logical_date"))
    statement = _of_runs(statement, backfill).where(ti.state.in_(("failed", "upstream_failed")))
    ordered = statement.order_by(date, ti.task_id, ti.map_index).limit(_MOST)
    return [dict(row._mapping) for row in session.execute(ordered)]


def _state(backfill: BackfillRecord, runs: Mapping[str, int], ending: Optional[str]) -> str:
    if ending is not None:
        return ending
    if is_lost(backfill):
        return "failed"
    if not backfill.is_over and (backfill.is_open or any(runs.get(state) for state in _UNFINISHED)):
        return "running"
    return "failed" if runs.get("failed") else "success"


def _of_runs(statement: Any, backfill: BackfillRecord) -> Any:
    """Return the select of the task instances of the backfill's runs."""
    from airflow.models.dagrun import DagRun
    from airflow.models.taskinstance import TaskInstance

    same_run = (TaskInstance.dag_id == DagRun.dag_id) & (TaskInstance.run_id == DagRun.run_id)
    return statement.select_from(TaskInstance).join(DagRun, same_run).where(airflow().backfills.runs_of(backfill))


def state_of_run() -> Any:
    """
    Return a run's state for a backfill.

    Airflow considers the leaf tasks of a DAG only: if those are omitted, a run succeeds although selected tasks have
    failed.
    """
    from airflow.models.dagrun import DagRun
    from airflow.models.taskinstance import TaskInstance

    state, ti = DagRun.__table__.c.state, TaskInstance
    of_run = (ti.dag_id == DagRun.dag_id, ti.run_id == DagRun.run_id)
    failed = exists().where(*of_run, ti.state == "failed")
    # Airflow gives one that it skips both dates or, where there is nothing to map it over, none.
    excluded = exists().where(
        *of_run, ti.state.in_(("success", "skipped")), ti.start_date.is_(None), ti.end_date.is_not(None)
    )
    return case((and_(state == "success", failed, excluded), "failed"), else_=state)
