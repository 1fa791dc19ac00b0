"""DAG runs in which some tasks have run, created without a scheduler."""

from __future__ import annotations

import time
from typing import Any, Dict, Mapping, Optional

import pytest

import native_api
from tests.support import airflow_under_test


def make(
    dag_id: str,
    run_id: str,
    logical_date: str,
    *,
    state: str = "queued",
    conf: Optional[Mapping[str, Any]] = None,
    xcoms: Optional[Mapping[str, Any]] = None,
) -> None:
    """Trigger a DAG, set the state of the run, and store the return values of its tasks."""
    native_api.call("trigger_dag", dag_id=dag_id, run_id=run_id, logical_date=logical_date, conf=dict(conf or {}))
    if state != "queued":
        native_api.call("set_dag_run_state", dag_id=dag_id, run_id=run_id, state=state)
    for task_id, value in (xcoms or {}).items():
        return_value(dag_id, run_id, task_id, value)


def return_value(dag_id: str, run_id: str, task_id: str, value: Any) -> None:
    """Store the return value of a task of a run, which is a list if other tasks are mapped over it."""
    with airflow_under_test.session() as session:
        _store(session, {"dag_id": dag_id, "run_id": run_id, "task_id": task_id, "key": "return_value"}, value)
        if isinstance(value, list):
            _store_length(session, dag_id, run_id, task_id, len(value))


def _store_length(session: Any, dag_id: str, run_id: str, task_id: str, length: int) -> None:
    if airflow_under_test.version() < (3, 4):
        from airflow.models.taskmap import TaskMap

        session.add(TaskMap(dag_id, task_id, run_id, -1, length, None))
        return
    # 3.4 keeps it with the XCom.
    from airflow.models.taskinstance import TaskInstance
    from airflow.models.xcom import XComModelV2
    from sqlalchemy import select, update

    this = select(TaskInstance.id).filter_by(dag_id=dag_id, run_id=run_id, task_id=task_id, map_index=-1)
    this_one = update(XComModelV2).where(XComModelV2.task_instance_id.in_(this), XComModelV2.key == "return_value")
    session.execute(this_one.values(mapped_length=length).execution_options(synchronize_session=False))


def _store(session: Any, key: Dict[str, Any], value: Any) -> None:
    if airflow_under_test.version() < (3, 0):
        from airflow.models.xcom import XCom

        XCom.set(value=value, session=session, **key)
        return
    # As the API stores what a task has serialised already.
    run = {name: key[name] for name in ("dag_id", "run_id")}
    airflow_under_test.store_xcom(session, run, key["task_id"], key["key"], value)


def result_of(job_id: str, seconds: float = 60) -> Any:
    """Wait for an asynchronous job to succeed, and return its result."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        job = native_api.call("job_state", job_id=job_id)
        if job["ended_at"]:
            assert job["state"] == "success", job
            return job["result"]
        time.sleep(0.05)
    raise AssertionError(f"The job {job_id} did not end")


def web_session() -> Any:
    from tests.support import airflow_under_test

    return airflow_under_test.session()


def set_state(dag_id: str, run_id: str, task_id: str, state: str) -> None:
    """Set the state of a task instance, as a scheduler does."""
    from airflow.models.taskinstance import TaskInstance
    from sqlalchemy import update

    with web_session() as session:
        session.execute(
            update(TaskInstance)
            .where(TaskInstance.dag_id == dag_id, TaskInstance.run_id == run_id, TaskInstance.task_id == task_id)
            .values(state=state)
            .execution_options(synchronize_session=False)
        )


def set_run_state(dag_id: str, run_id: str, state: str) -> None:
    from airflow.models.dagrun import DagRun
    from sqlalchemy import update

    from tests.support import airflow_under_test

    with airflow_under_test.session() as session:
        session.execute(
            update(DagRun)
            .where(DagRun.dag_id == dag_id, DagRun.run_id == run_id)
            .values(_state=state)
            .execution_options(synchronize_session=False)
        )


@pytest.fixture
def runs(fresh: Any) -> Any:
    """Create three runs of one DAG, whose tasks have ended in each way, and a mapped one."""
    for day in (1, 2, 3):
        native_api.call("trigger_dag", dag_id="wire_dag", run_id=f"r{day}", logical_date=f"2026-11-0{day}")
        set_run_state("wire_dag", f"r{day}", "failed")
        set_state("wire_dag", f"r{day}", "extract", "success")
        set_state("wire_dag", f"r{day}", "transform", "failed")
        set_state("wire_dag", f"r{day}", "load", "upstream_failed")
    native_api.call("trigger_dag", dag_id="mapped", run_id="m", logical_date="2026-11-01")
