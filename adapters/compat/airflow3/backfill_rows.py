"""How a backfill of Airflow 3 has ended, which its row does not say."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Sequence, Set

from sqlalchemy import exists, func, select
from sqlalchemy.orm import aliased

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

#: The events in the table ``log`` of a cancelled backfill: of Airflow's REST API, and of this one.
_CANCELS = ("cancel_backfill", "native_api.cancel_backfill")


def cancelled(session: Any, backfill_ids: Sequence[int]) -> Set[int]:
    """
    Return those of the backfills that somebody has cancelled.

    The row of one is the same when it was paused and its runs went on to their end: both times paused, and complete.
    """
    from airflow.models.log import Log

    if not backfill_ids:
        return set()
    logged = session.scalars(select(Log.extra).where(Log.event.in_(_CANCELS)))
    # Airflow logs path parameters as strings.
    named = {str(json.loads(extra or "{}").get("backfill_id")) for extra in logged}
    return {backfill_id for backfill_id in backfill_ids if str(backfill_id) in named}


def taken_over(session: Any, backfill_id: int) -> int:
    """Return how many runs of the backfill are those of another now."""
    from airflow.models.backfill import BackfillDagRun
    from airflow.models.dagrun import DagRun

    mine = select(func.count()).select_from(BackfillDagRun).join(DagRun, DagRun.id == BackfillDagRun.dag_run_id)
    count: int = session.scalar(
        mine.where(BackfillDagRun.backfill_id == backfill_id, DagRun.backfill_id != backfill_id)
    )
    return count


def failed_and_taken_over(session: Session, backfill_ids: Sequence[int]) -> Set[int]:
    """Return those of the backfills of which a later one took a run over that had failed in them."""
    from airflow.models.backfill import Backfill, BackfillDagRun

    mine, later, between = aliased(BackfillDagRun), aliased(BackfillDagRun), aliased(BackfillDagRun)
    in_between = exists().where(
        between.dag_run_id == mine.dag_run_id,
        between.backfill_id > mine.backfill_id,
        between.backfill_id < later.backfill_id,
    )
    statement = (
        select(mine.backfill_id)
        .select_from(later)
        .join(mine, (mine.dag_run_id == later.dag_run_id) & (mine.backfill_id < later.backfill_id))
        .join(Backfill, Backfill.id == later.backfill_id)
        .where(mine.backfill_id.in_(backfill_ids), Backfill.reprocess_behavior == "failed", ~in_between)
    )
    return set(session.scalars(statement.distinct()))
