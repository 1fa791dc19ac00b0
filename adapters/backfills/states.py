"""The states that a backfill sets itself: of tasks that do not run, and of runs that are cancelled."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Iterable, List

import pendulum
from sqlalchemy import func, select, update

from native_api.adapters.backfills.plan import Plan
from native_api.adapters.compat import airflow

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

    from native_api.adapters.compat.interface.backfills import BackfillRecord


def apply(session: Session, plan: Plan, backfill: BackfillRecord) -> None:
    """
    Set the states of tasks that do not run, in the transaction that creates the runs, before a scheduler sees them.

    An omitted task has an end_date and no start_date, which distinguishes it from one that has run, and from one that
    Airflow itself has skipped.
    """
    now = pendulum.now("UTC")
    for state in sorted(set(plan.excluded.values())):
        task_ids = [task_id for task_id, excluded in plan.excluded.items() if excluded == state]
        _set_tasks(session, backfill, task_ids, state=state, end_date=now)
    if plan.pool:
        _set_tasks(session, backfill, plan.task_ids, pool=plan.pool)
    if plan.mark_success:
        _succeed(session, plan, backfill)


def _succeed(session: Session, plan: Plan, backfill: BackfillRecord) -> None:
    now = pendulum.now("UTC")
    _set_tasks(session, backfill, plan.task_ids, state="success", start_date=now, end_date=now, duration=0.0)
    _set_runs(session, backfill, ("queued",), state="success", start_date=now, end_date=now)
    airflow().backfills.end(session, backfill.backfill_id, "success")


def fail_queued(session: Session, backfill: BackfillRecord) -> int:
    """Fail the queued runs, and return their number."""
    return _set_runs(session, backfill, ("queued",), state="failed")


def fail_unfinished(session: Session, backfill: BackfillRecord) -> int:
    """Fail the remaining runs of a lost job, with their started tasks."""
    now = pendulum.now("UTC")
    begun = ("running", "queued", "scheduled", "deferred", "restarting", "up_for_retry", "up_for_reschedule")
    _set_tasks(session, backfill, None, begun, of_runs=("queued", "running"), state="failed", end_date=now)
    return _set_runs(session, backfill, ("queued", "running"), state="failed", end_date=now)


def finish(session: Session, backfill: BackfillRecord) -> None:
    """Record the final state of a local backfill whose job has ended, and fail its remaining runs."""
    if backfill.is_over:
        return
    unfinished = fail_unfinished(session, backfill)
    succeeded = not unfinished and _all_succeeded(session, backfill)
    airflow().backfills.end(session, backfill.backfill_id, "success" if succeeded else "failed")


def _all_succeeded(session: Session, backfill: BackfillRecord) -> bool:
    """Return whether every date of a local backfill has a successful run."""
    from airflow.models.dagrun import DagRun

    succeeded = airflow().backfills.runs_of(backfill) & (DagRun.__table__.c.state == "success")
    return bool(session.scalar(select(func.count(DagRun.id)).where(succeeded)) == backfill.dates)


def _set_tasks(
    session: Session,
    backfill: BackfillRecord,
    task_ids: Any,
    states: Iterable[str] = (),
    of_runs: Iterable[str] = (),
    **values: object,
) -> None:
    """Update task instances of the backfill's runs."""
    from airflow.models.dagrun import DagRun
    from airflow.models.taskinstance import TaskInstance

    ti, runs = TaskInstance, DagRun.__table__
    of_backfill = select(DagRun.run_id).where(airflow().backfills.runs_of(backfill))
    if of_runs:
        of_backfill = of_backfill.where(runs.c.state.in_(list(of_runs)))
    statement = update(ti).where(ti.dag_id == backfill.dag_id, ti.run_id.in_(_values(session, of_backfill)))
    if task_ids is not None:
        statement = statement.where(ti.task_id.in_(task_ids))
    if states:
        statement = statement.where(ti.state.in_(list(states)))
    session.execute(statement.values(**values).execution_options(synchronize_session=False))
    session.expire_all()


def _set_runs(session: Any, backfill: BackfillRecord, states: Iterable[str], **values: object) -> int:
    """Update the backfill's runs in one of the states, and return their number."""
    from airflow.models.dagrun import DagRun

    table = DagRun.__table__
    session.flush()
    ids = _values(session, select(DagRun.id).where(airflow().backfills.runs_of(backfill)))
    statement = table.update().where(table.c.id.in_(ids), table.c.state.in_(list(states)))
    count: int = session.execute(statement.values(**values)).rowcount
    session.expire_all()
    return count


def _values(session: Session, statement: Any) -> List[object]:
    # MySQL changes no table that the statement reads from.
    return list(session.scalars(statement))
