"""A backfill on Airflow 2 that Airflow's own backfill job runs, in a process of its own."""

from __future__ import annotations

import os
import sys
from typing import Any, Dict, List, Optional

from native_api.adapters.backfilling import marks
from native_api.adapters.seam import airflow


def run(backfill_id: int, task_ids: Optional[List[str]], reprocessed: List[str], **how: Any) -> Dict[str, Any]:
    """
    Run the backfill's stretches of dates to their end.

    :param task_ids: of the tasks that run; None stands for all.
    :param reprocessed: the ids of runs that exist and run again.
    :param how: what :meth:`native_api.adapters.seam.backfills.Backfills.run` takes.
    """
    # The executor starts tasks by the command ``airflow``.
    os.environ["PATH"] = os.pathsep.join((os.path.dirname(sys.executable), os.environ.get("PATH", os.defpath)))
    try:
        found = _run(backfill_id, task_ids, reprocessed, how)
    finally:
        give_up(backfill_id)
    return {"backfill_id": backfill_id, "dag_id": found.dag_id}


def _run(backfill_id: int, task_ids: Optional[List[str]], reprocessed: List[str], how: Dict[str, Any]) -> Any:
    from airflow.models.dag import DagModel

    with airflow().session() as session:
        (found,) = airflow().backfills.found(session, backfill_id=backfill_id)
        dag_model = session.get(DagModel, found.dag_id)
        dag = airflow().user_code.dag(dag_model)
        airflow().backfills.take_over(session, dag, reprocessed)
    if task_ids is not None:
        dag = dag.partial_subset(task_ids, include_upstream=False)
    for first, last in found.stretches:
        airflow().backfills.run(dag, first, last, **how)
    return found


def give_up(backfill_id: int) -> None:
    """Take down how the backfill has ended, and fail what nothing runs any more."""
    with airflow().session() as session:
        (found,) = airflow().backfills.found(session, backfill_id=backfill_id)
        if found.is_open:
            unfinished = marks.fail_unfinished(session, found)
            succeeded = not unfinished and marks.all_succeeded(session, found)
            airflow().backfills.end(session, backfill_id, "success" if succeeded else "failed")
        else:
            marks.fail_unfinished(session, found)
