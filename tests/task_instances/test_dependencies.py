"""task_failed_deps."""

from __future__ import annotations

from typing import Any, Dict

import pytest

import native_api
from native_api import errors


def unmet(**arguments: Any) -> Dict[str, str]:
    response = native_api.call("task_failed_deps", **{"dag_id": "wire_dag", "task_id": "load", **arguments})
    names = [dependency["name"] for dependency in response["dependencies"]]
    assert names == sorted(names)
    return {dependency["name"]: dependency["reason"] for dependency in response["dependencies"]}


def rows() -> Any:
    """Return all runs and task instances with their states."""
    from airflow.models.dagrun import DagRun
    from airflow.models.taskinstance import TaskInstance
    from sqlalchemy import select

    from tests.support import airflow_under_test

    with airflow_under_test.session() as session:
        runs = session.execute(select(DagRun.dag_id, DagRun.run_id, DagRun._state)).all()
        return runs, session.execute(select(TaskInstance.run_id, TaskInstance.task_id, TaskInstance.state)).all()


def test_it_returns_the_unmet_dependencies_of_a_run(fresh: Any) -> None:
    native_api.call("trigger_dag", dag_id="wire_dag", run_id="r")
    found = unmet(run_id="r")
    assert "paused" in found["Dag Not Paused"]
    assert "'all_success'" in found["Trigger Rule"]
    assert "Task Instance State" in found
    assert "did not exist" not in str(found)


def test_a_date_without_a_run_has_the_dependencies_of_a_new_run(fresh: Any) -> None:
    """No run, task instance or audit log row is created."""
    before = rows()
    found = unmet(logical_date="2026-11-01")
    assert found["Dagrun Running"] == "Task instance's dagrun did not exist: Unknown reason."
    assert "'all_success'" in found["Trigger Rule"]
    assert rows() == before == ([], [])
    assert fresh.audit_rows() == []


def test_it_changes_nothing(fresh: Any) -> None:
    native_api.call("trigger_dag", dag_id="wire_dag", run_id="r", logical_date="2026-11-01")
    before = rows()
    unmet(run_id="r")
    unmet(logical_date="2026-11-01")
    unmet(logical_date="2026-11-02")
    assert rows() == before


def test_it_returns_an_empty_list_if_all_are_met(fresh: Any) -> None:
    from airflow.models.dagrun import DagRun
    from airflow.models.taskinstance import TaskInstance
    from sqlalchemy import update

    native_api.call("trigger_dag", dag_id="wire_dag", run_id="r", logical_date="2026-11-01")
    native_api.call("unpause_dag", dag_id="wire_dag")
    with fresh.session() as session:
        session.execute(update(DagRun).values(_state="running").execution_options(synchronize_session=False))
        session.execute(update(TaskInstance).values(state="scheduled").execution_options(synchronize_session=False))
    assert unmet(run_id="r", task_id="extract") == {}


def test_map_index_selects_an_instance_of_a_mapped_task(fresh: Any) -> None:
    native_api.call("trigger_dag", dag_id="mapped", run_id="r")
    assert "Dag Not Paused" in unmet(dag_id="mapped", task_id="double", run_id="r", map_index=1)
    with pytest.raises(errors.TaskInstanceNotFound):
        unmet(dag_id="mapped", task_id="double", run_id="r", map_index=7)


@pytest.mark.parametrize(
    "arguments, error",
    [
        ({"run_id": "nope"}, errors.DagRunNotFound),
        ({"task_id": "nope", "logical_date": "2026-11-01"}, errors.TaskNotFound),
        ({"dag_id": "nope", "run_id": "r"}, errors.DagNotFound),
        ({}, errors.Invalid),
    ],
)
def test_an_unknown_dag_task_or_run_is_not_found(fresh: Any, arguments: Any, error: Any) -> None:
    with pytest.raises(error):
        unmet(**arguments)
