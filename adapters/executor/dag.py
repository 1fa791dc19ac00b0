"""The DAG ``native_api_jobs``, whose runs are jobs: its ids, and whether its runs would start."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Optional

from sqlalchemy import select

from native_api.adapters.compat import airflow
from native_api.errors import DagNotFound, JobsDagUnavailable

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

DAG_ID = "native_api_jobs"
TASK_ID = "run_job"
#: The XCom with the outcome.
OUTCOME = "outcome"


def available(session: Session) -> Any:
    """
    Return the DAG, as the scheduler has it.

    :raises JobsDagUnavailable: a run of it would not start now.
    """
    reason = unavailable_reason(session)
    if reason is not None:
        raise JobsDagUnavailable(reason)
    try:
        return airflow().stored_dag(DAG_ID, session)
    except DagNotFound as exc:
        raise JobsDagUnavailable(f"The DAG '{DAG_ID}' is not serialized yet; try again.") from exc


def unavailable_reason(session: Session) -> Optional[str]:
    """Return why a run of the DAG would not start now, or None."""
    from airflow.models.dag import DagModel

    columns = DagModel.is_paused, DagModel.has_import_errors, airflow().is_active(DagModel)
    row = session.execute(select(*columns).where(DagModel.dag_id == DAG_ID)).first()
    if row is None or not row[2]:
        return f"Airflow has no active DAG '{DAG_ID}'. Add its file to the DAG files; see the page Deployment."
    if row[1]:
        return f"The DAG '{DAG_ID}' has import errors where Airflow parses it."
    if row[0]:
        return f"The DAG '{DAG_ID}' is paused: unpause it."
    if airflow().status_of("scheduler") != "healthy":
        return "Airflow's scheduler has no recent heartbeat: start it."
    return None
