"""In the sandbox: a local backfill on Airflow 2, run by Airflow's own backfill job."""

from __future__ import annotations

import os
import sys
from datetime import datetime
from typing import TYPE_CHECKING, Any, Dict, List, Mapping, Optional

from native_api.adapters.backfills import states
from native_api.adapters.compat import airflow
from native_api.adapters.executor.functions import runs_on_executor

if TYPE_CHECKING:
    from native_api.adapters.compat.interface.backfills import BackfillRecord
    from native_api.adapters.compat.objects import Dag


@runs_on_executor
def run(backfill_id: int, task_ids: Optional[List[str]], reprocessed: List[str], **how: Any) -> Dict[str, object]:
    """
    Run the date ranges of the backfill.

    :param task_ids: of the tasks to run; None for all.
    :param reprocessed: the run_ids of existing runs that run again.
    :param how: arguments of :meth:`native_api.adapters.compat.interface.backfills.Backfills.run`.
    """
    # The executor starts tasks by the command ``airflow``.
    os.environ["PATH"] = os.pathsep.join((os.path.dirname(sys.executable), os.environ.get("PATH", os.defpath)))
    try:
        backfill = _run(backfill_id, task_ids, reprocessed, how)
    finally:
        give_up(backfill_id)
    return {"backfill_id": backfill_id, "dag_id": backfill.dag_id}


def _run(backfill_id: int, task_ids: Optional[List[str]], reprocessed: List[str], how: Mapping[str, object]) -> Any:
    from airflow.models.dag import DagModel

    backfill = _find(backfill_id)
    if backfill.ended is not None:
        return backfill
    with airflow().session() as session:
        dag_model = session.get(DagModel, backfill.dag_id)
        dag = airflow().user_code.dag(dag_model)
        kept = airflow().backfills.take_over(session, dag, reprocessed)
    if task_ids is not None:
        dag = dag.partial_subset(task_ids, include_upstream=False)
    _run_date_ranges(backfill, dag, kept, how)
    return backfill


def _run_date_ranges(
    backfill: BackfillRecord, dag: Dag, kept: Mapping[datetime, object], how: Mapping[str, object]
) -> None:
    """Run each date range, even if an earlier one has failed; *kept* has the configurations of existing runs."""
    failures = []
    for place, (first, last) in enumerate(backfill.date_ranges):
        # A web server on another host can only record the cancellation in the database.
        if _find(backfill.backfill_id).ended is not None:
            break
        conf = kept.get(first) if how["conf"] is None else how["conf"]
        is_first = how["ignore_first_depends_on_past"] and place == 0
        failures.append(
            airflow().backfills.run(dag, first, last, **{**how, "conf": conf, "ignore_first_depends_on_past": is_first})
        )
    for failure in failures:
        if failure is not None:
            raise failure


def _find(backfill_id: int) -> Any:
    with airflow().session() as session:
        (backfill,) = airflow().backfills.by_id(session, [backfill_id])
    return backfill


@runs_on_executor
def give_up(backfill_id: int) -> None:
    """Record the final state of the backfill, and fail its remaining runs."""
    with airflow().session() as session:
        (backfill,) = airflow().backfills.by_id(session, [backfill_id])
        states.finish(session, backfill)
