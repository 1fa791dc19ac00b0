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
        _store(session, {"dag_id": dag_id, "run_id": run_id, "task_id": task_id, "key": "return_value"}, value)
        if isinstance(value, list):
            session.add(TaskMap(dag_id, task_id, run_id, -1, len(value), None))


def _store(session: Any, key: Dict[str, Any], value: Any) -> None:
    if airflow_under_test.version() < (3, 0):
        from airflow.models.xcom import XCom

        XCom.set(value=value, session=session, **key)
        return
    # As the API stores what a task has serialised already.
    from airflow.models.dagrun import DagRun
    from airflow.models.xcom import XComModel
    from sqlalchemy import insert, select

    this_run = select(DagRun.id).where(DagRun.dag_id == key["dag_id"], DagRun.run_id == key["run_id"])
    row = {**key, "dag_run_id": session.scalar(this_run), "map_index": -1, "value": value}
    session.execute(insert(XComModel).values(**row))


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
