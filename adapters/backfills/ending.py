"""End of backfills: record it, and cancel one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from native_api.adapters.backfills import progress, states
from native_api.adapters.compat import airflow
from native_api.adapters.sandbox import job_store
from native_api.errors import BackfillHasEnded, BackfillIsActive, BackfillIsElsewhere

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

    from native_api.adapters.compat.interface.backfills import BackfillRecord


def take_down_the_ended(session: Session, dag_id: str) -> None:
    """Record which backfills of the DAG have ended; fail the remaining runs of a lost job."""
    for backfill in airflow().backfills.unfinished(session, dag_id):
        if progress.is_lost(backfill):
            states.finish(session, backfill)
        elif not progress.is_active(session, backfill):
            state = progress.progress_of(session, backfill).state
            airflow().backfills.end(session, backfill.backfill_id, state)


def require_none_active(session: Session, dag_id: str) -> None:
    """Raise :class:`BackfillRuns` if the DAG has an active backfill."""
    for backfill in airflow().backfills.unfinished(session, dag_id):
        raise BackfillIsActive(dag_id, backfill.backfill_id)


def require_not_ended(session: Session, backfill: Any) -> None:
    """Raise if the backfill has ended, or can only be cancelled on another host."""
    if not backfill.is_over and progress.is_elsewhere(backfill):
        if airflow().backfills.has_live_job(session, backfill):
            raise BackfillIsElsewhere(backfill.backfill_id, backfill.hostname)
        return
    state = progress.progress_of(session, backfill).state
    if state != "running" and not progress.is_lost(backfill):
        raise BackfillHasEnded(backfill.backfill_id, state)


def end_job(session: Session, backfill: BackfillRecord) -> None:
    """Cancel the job of a local backfill; if the job is lost, fail its remaining runs."""
    # The job records its end; a job that has not started reads the cancellation and does not start.
    session.commit()
    record = progress.job_of(backfill)
    if record is not None and record.state()["state"] in job_store.UNFINISHED:
        record.request_cancel()
    else:
        states.finish(session, backfill)
