"""Runs as they are after some of their tasks, made without a scheduler."""

from __future__ import annotations

import time
from typing import Any, Dict, Mapping, Optional

import native_api
from tests import airflow_under_test


def make(
    dag_id: str,
    run_id: str,
    logical_date: str,
    *,
    state: str = "queued",
    conf: Optional[Mapping[str, Any]] = None,
    xcoms: Optional[Mapping[str, Any]] = None,
) -> None:
    """Trigger the DAG, have the run be in that state, and its tasks have returned those values."""
    native_api.call("trigger_dag", dag_id=dag_id, run_id=run_id, logical_date=logical_date, conf=dict(conf or {}))
    if state != "queued":
        native_api.call("set_dag_run_state", dag_id=dag_id, run_id=run_id, state=state)
    for task_id, value in (xcoms or {}).items():
        return_value(dag_id, run_id, task_id, value)


def return_value(dag_id: str, run_id: str, task_id: str, value: Any) -> None:
    """Have a task of the run have returned that, which is a list where others are mapped over it."""
    from airflow.models.taskmap import TaskMap

    with airflow_under_test.session() as session:
        _xcom().set(
            key="return_value", value=value, dag_id=dag_id, task_id=task_id, run_id=run_id, session=session, **_plain()
        )
        if isinstance(value, list):
            session.add(TaskMap(dag_id, task_id, run_id, -1, len(value), None))


def _xcom() -> Any:
    try:
        from airflow.models.xcom import XComModel as xcom
    except ImportError:
        from airflow.models.xcom import XCom as xcom
    return xcom


def _plain() -> Dict[str, Any]:
    """Return how a value is stored as tasks of Airflow 3 do: by the API, which is told what is serialised already."""
    return {"serialize": False} if airflow_under_test.version() >= (3, 0) else {}


def result_of(job_id: str, seconds: float = 60) -> Any:
    """Wait for a job in the background to end well, and return its result."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        job = native_api.call("job_state", job_id=job_id)
        if job["ended_at"]:
            assert job["state"] == "success", job
            return job["result"]
        time.sleep(0.05)
    raise AssertionError(f"The job {job_id} did not end")
