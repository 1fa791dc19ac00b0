"""How a backfill of Airflow 3 has ended, which its row does not say."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from sqlalchemy import exists, func, or_, select
from sqlalchemy.orm import aliased

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

#: The events in the table ``log`` of a cancelled backfill: of Airflow's REST API, and of this one.
_CANCELS = ("cancel_backfill", "native_api.cancel_backfill")


def was_cancelled(session: Any, backfill_id: int) -> bool:
    """
    Return whether somebody has cancelled the backfill.

    Its row is the same when it was paused and its runs went on to their end: both times paused, and complete.
    """
    from airflow.models.log import Log

    # Airflow logs path parameters as strings.
    names_it = or_(*(Log.extra.contains(f'"backfill_id": {shown}') for shown in (backfill_id, f'"{backfill_id}"')))
    rows = session.scalars(select(Log.extra).where(Log.event.in_(_CANCELS), names_it))
    return any(str(json.loads(extra)["backfill_id"]) == str(backfill_id) for extra in rows)


def taken_over(session: Any, backfill_id: int) -> int:
    """Return how many runs of the backfill are those of another now."""
    from airflow.models.backfill import BackfillDagRun
    from airflow.models.dagrun import DagRun

    mine = select(func.count()).select_from(BackfillDagRun).join(DagRun, DagRun.id == BackfillDagRun.dag_run_id)
    count: int = session.scalar(
        mine.where(BackfillDagRun.backfill_id == backfill_id, DagRun.backfill_id != backfill_id)
    )
    return count


def failures_were_taken_over(session: Session, backfill_id: int) -> bool:
    """Return whether a later backfill took a run over that had failed in this one, and is not its run any more."""
    from airflow.models.backfill import Backfill, BackfillDagRun

    mine, later, between = aliased(BackfillDagRun), aliased(BackfillDagRun), aliased(BackfillDagRun)
    in_between = exists().where(
        between.dag_run_id == mine.dag_run_id,
        between.backfill_id > mine.backfill_id,
        between.backfill_id < later.backfill_id,
    )
    statement = (
        select(later.id)
        .join(mine, (mine.dag_run_id == later.dag_run_id) & (mine.backfill_id < later.backfill_id))
        .join(Backfill, Backfill.id == later.backfill_id)
        .where(mine.backfill_id == backfill_id, Backfill.reprocess_behavior == "failed", ~in_between)
    )
    return session.scalars(statement.limit(1)).first() is not None
