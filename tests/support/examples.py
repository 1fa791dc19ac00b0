"""The operations' examples, and the rows that they need."""

from __future__ import annotations

from typing import Any, Dict

import pytest

import native_api
from native_api import registry
from tests.support import airflow_under_test, jobs_under_test
from tests.support.dag_runs import return_value
from tests.support.remembered import Remembered

#: What must be there for an operation's example to succeed.
JOB = "0123456789abcdef" * 2


WORLD: Dict[str, Any] = {"dag_id": "wire_dag", "run_id": "r1", "task_id": "extract", "key": "greeting", "job_id": JOB}


#: What is deleted must not be missed by other tests.
OWN_WORLD = {
    "delete_dag": {"dag_id": airflow_under_test.COPY},
    "task_log": {"task_id": "transform"},
    "refresh_all_dags": {"subdir": "DAGS_FOLDER/wire_dag.py"},
    "dag_report": {"subdir": "DAGS_FOLDER/wire_dag.py"},
}


def make_world() -> None:
    """Create the rows that the examples need."""
    native_api.call("trigger_dag", dag_id="wire_dag", run_id="r1")
    airflow_under_test.store_rendered_fields("wire_dag", "r1", "extract", {"bash_command": "echo extract"})
    airflow_under_test.set_try("wire_dag", "r1", "transform", 1, "success")
    airflow_under_test.copy_dag(airflow_under_test.COPY)
    airflow_under_test.store_import_error("reports.py")
    return_value("wire_dag", "r1", "extract", {"rows": 3})
    native_api.call("set_variable", key="greeting", value="hello")
    native_api.call("set_pool", name="narrow", slots=2)
    native_api.call("add_connection", conn_id="warehouse", conn_uri="postgres://ada:p@warehouse/main")


@pytest.fixture
def world(web: Any, request: Any, remembered: Remembered) -> Any:
    """Return the web application, with the rows that the examples need."""
    remembered.make_again()
    airflow_under_test.store_log("wire_dag", "r1", "transform", "first\nlast\n")
    airflow_under_test.store_daemon("scheduler")
    if operation_of(request, "path"):
        airflow_under_test.store_deployments("rates.py")
    if operation_of(request, "job_id"):
        jobs_under_test.start("sleep", job_id=JOB)
    if operation_of(request, "backfill_id"):
        WORLD["backfill_id"] = native_api.call("backfill_dag", dag_id="daily", from_date="2024-01-01")["backfill_id"]
    return web


def operation_of(request: Any, argument: str) -> bool:
    """Return whether the test is about an operation whose example has that argument."""
    given = request.node.callspec.params
    operation = given["operation"] if "operation" in given else registry.get(given["name"])
    return argument in operation.example


def example(operation: registry.Operation) -> Dict[str, Any]:
    """Return the operation's example, for the rows of the tests."""
    world = {**WORLD, **OWN_WORLD.get(operation.name, {})}
    return {name: world.get(name, value) for name, value in operation.example.items()}
