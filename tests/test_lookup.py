"""Runs whose id has a space, which can be an unescaped plus of a query string."""

from __future__ import annotations

from typing import Any, Dict, List

import pytest

import native_api
from native_api import errors
from tests.support import airflow_under_test

SPACE, PLUS = "by hand", "by+hand"


@pytest.fixture
def trigger(fresh: Any, monkeypatch: Any) -> Any:
    """Return a function that creates a run with exactly that id."""

    def make(run_id: str) -> None:
        monkeypatch.setenv("AIRFLOW__SCHEDULER__ALLOWED_RUN_ID_PATTERN", "^by[ +]hand$")
        assert native_api.call("trigger_dag", dag_id="wire_dag", run_id=run_id)["run_id"] == run_id
        monkeypatch.delenv("AIRFLOW__SCHEDULER__ALLOWED_RUN_ID_PATTERN")

    return make


def on_the_run(run_id: str) -> Dict[str, str]:
    return {"dag_id": "wire_dag", "run_id": run_id}


def listed(run_id: str, **filters: Any) -> List[str]:
    response = native_api.call("list_task_instances", run_id=run_id, **filters)
    return sorted({instance["run_id"] for instance in response["task_instances"]})


@pytest.mark.parametrize(
    "operation, arguments",
    [
        pytest.param("dag_state", {}, id="dag_state"),
        pytest.param("task_state", {"task_id": "extract"}, id="task_state"),
        pytest.param("task_failed_deps", {"task_id": "extract"}, id="task_failed_deps"),
        pytest.param("task_log", {"task_id": "extract"}, id="task_log"),
        pytest.param("set_task_state", {"task_id": "extract", "state": "success"}, id="set_task_state"),
        pytest.param("set_dag_run_state", {"state": "failed"}, id="set_dag_run_state"),
        pytest.param("delete_dag_run", {}, id="delete_dag_run"),
    ],
)
def test_every_operation_finds_a_run_with_a_space(trigger: Any, operation: str, arguments: Any) -> None:
    """The response has the stored id."""
    trigger(SPACE)
    assert native_api.call(operation, **on_the_run(SPACE), **arguments)["run_id"] == SPACE


def test_the_exact_id_has_priority(trigger: Any) -> None:
    """A plus is tried only if no run has the space."""
    trigger(SPACE)
    trigger(PLUS)
    for run_id in (SPACE, PLUS):
        assert native_api.call("dag_state", **on_the_run(run_id))["run_id"] == run_id
        assert listed(run_id) == listed(run_id, dag_id="wire_dag") == [run_id]
    native_api.call("delete_dag_run", **on_the_run(SPACE))
    assert native_api.call("dag_state", **on_the_run(SPACE))["run_id"] == PLUS
    assert listed(SPACE) == listed(SPACE, dag_id="wire_dag") == [PLUS]


def test_a_plus_is_never_taken_for_a_space(trigger: Any) -> None:
    trigger(SPACE)
    with pytest.raises(errors.DagRunNotFound):
        native_api.call("dag_state", **on_the_run(PLUS))
    assert listed(PLUS) == []


def test_the_error_has_the_id_of_the_request(fresh: Any) -> None:
    with pytest.raises(errors.DagRunNotFound) as caught:
        native_api.call("dag_state", **on_the_run(SPACE))
    assert caught.value.problem()["run_id"] == SPACE


@pytest.mark.parametrize("stored", [SPACE, PLUS])
def test_clear_tasks_finds_the_run(trigger: Any, stored: str) -> None:
    """The audit log has the stored id."""
    trigger(stored)
    assert native_api.call("clear_tasks", **on_the_run(SPACE), task_id="extract", dry_run=False)["total_entries"] == 1
    assert airflow_under_test.audit_rows()[-1].event == "native_api.clear_tasks"
    if hasattr(airflow_under_test.audit_rows()[-1], "run_id"):
        assert airflow_under_test.audit_rows()[-1].run_id == stored


@pytest.mark.parametrize("stored", [SPACE, PLUS])
def test_the_command_has_the_stored_id(site: Any, trigger: Any, stored: str) -> None:
    trigger(stored)
    response = site.legacy("task_state", dag_id="wire_dag", task_id="extract", run_id=SPACE).json
    assert response["result"]["run_id"] == stored
    shown = f"'{stored}'" if " " in stored else stored
    assert response["airflow_cmd"] == f"airflow tasks state wire_dag extract {shown}"


def test_a_new_run_gets_the_plus(fresh: Any) -> None:
    """Airflow creates no run with a space in its id, unless the configuration allows it."""
    assert native_api.call("trigger_dag", dag_id="wire_dag", run_id=SPACE)["run_id"] == PLUS
