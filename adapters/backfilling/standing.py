"""How a backfill stands, which its runs and their task instances tell."""

from __future__ import annotations

from typing import Any, Dict, List, Mapping

from native_api.adapters import sandbox
from native_api.adapters.sandbox import records
from native_api.adapters.seam import airflow

_UNFINISHED = ("queued", "running")
#: How many of what failed are named.
_MOST = 100


def standing(session: Any, found: Any) -> Dict[str, Any]:
    """Return a backfill as lists show it."""
    runs = _runs_by_state(session, found)
    total = sum(runs.values())
    done = total - sum(runs.get(state, 0) for state in _UNFINISHED)
    return {
        **found.facts(),
        "state": _state(found, runs),
        "runs": runs,
        "total_runs": total,
        "fraction_done": round(done / total, 4) if total else float(not found.is_open),
    }


def is_active(session: Any, found: Any) -> bool:
    """Return whether the backfill goes on, or may begin."""
    return not found.is_cancelled and _state(found, _runs_by_state(session, found)) == "running"


def is_lost(found: Any) -> bool:
    """Return whether the backfill's job has gone without a word, with its machine for example."""
    record = records.find(sandbox.jobs_folder(), found.job_id) if found.is_open and found.job_id else None
    return record is not None and record.state()["state"] not in records.LIVE


def tasks_by_state(session: Any, found: Any) -> Dict[str, int]:
    """Return how many of the backfill's task instances are in each state."""
    from airflow.models.taskinstance import TaskInstance
    from sqlalchemy import func, select

    statement = _of_runs(select(TaskInstance.state, func.count()), found).group_by(TaskInstance.state)
    return {str(state or "none"): count for state, count in session.execute(statement)}


def failed_runs(session: Any, found: Any) -> List[str]:
    """Return the ids of the runs that have failed, by date."""
    from airflow.models.dagrun import DagRun
    from sqlalchemy import select

    failed = select(DagRun.run_id).where(airflow().backfills.runs_of(found), _state_of_run() == "failed")
    return list(session.scalars(failed.order_by(airflow().date_of_runs()).limit(_MOST)))


def failed_tasks(session: Any, found: Any) -> List[Mapping[str, Any]]:
    """Return the task instances that have failed, by date."""
    from airflow.models.taskinstance import TaskInstance
    from sqlalchemy import select

    ti, date = TaskInstance, airflow().date_of_runs()
    statement = select(ti.run_id, ti.task_id, ti.map_index, ti.state, date.label("logical_date"))
    statement = _of_runs(statement, found).where(ti.state.in_(("failed", "upstream_failed")))
    ordered = statement.order_by(date, ti.task_id, ti.map_index).limit(_MOST)
    return [dict(row._mapping) for row in session.execute(ordered)]


def _state(found: Any, runs: Mapping[str, int]) -> str:
    if found.is_cancelled:
        return "cancelled"
    if is_lost(found):
        return "failed"
    if found.is_open or any(runs.get(state) for state in _UNFINISHED):
        return "running"
    return "failed" if runs.get("failed") or found.has_failed else "success"


def _runs_by_state(session: Any, found: Any) -> Dict[str, int]:
    from airflow.models.dagrun import DagRun
    from sqlalchemy import func, select

    # Not every database groups by an expression that has parameters.
    states = select(_state_of_run().label("state"), DagRun.id).where(airflow().backfills.runs_of(found)).subquery()
    by_state = select(states.c.state, func.count()).group_by(states.c.state)
    return {str(getattr(state, "value", state)): count for state, count in session.execute(by_state)}


def _of_runs(statement: Any, found: Any) -> Any:
    """Return the statement for task instances of the backfill's runs."""
    from airflow.models.dagrun import DagRun
    from airflow.models.taskinstance import TaskInstance

    same_run = (TaskInstance.dag_id == DagRun.dag_id) & (TaskInstance.run_id == DagRun.run_id)
    return statement.select_from(TaskInstance).join(DagRun, same_run).where(airflow().backfills.runs_of(found))


def _state_of_run() -> Any:
    """
    Return a run's state for a backfill.

    Airflow looks at the last tasks of a DAG: where those are left out, a run succeeds whose chosen tasks have failed.
    """
    from airflow.models.dagrun import DagRun
    from airflow.models.taskinstance import TaskInstance
    from sqlalchemy import and_, case, exists

    state, ti = DagRun.__table__.c.state, TaskInstance
    of_run = (ti.dag_id == DagRun.dag_id, ti.run_id == DagRun.run_id)
    failed = exists().where(*of_run, ti.state == "failed")
    left_out = exists().where(*of_run, ti.state.in_(("success", "skipped")), ti.start_date.is_(None))
    return case((and_(state == "success", failed, left_out), "failed"), else_=state)
