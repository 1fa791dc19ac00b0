"""task_state."""

from __future__ import annotations

from typing import Any

import pytest

import native_api
from native_api import errors
from tests.support import airflow_under_test
from tests.support.dag_runs import set_state


def state(**arguments: Any) -> Any:
    return native_api.call("task_state", **{"dag_id": "wire_dag", "task_id": "extract", "run_id": "r", **arguments})


@pytest.fixture
def run(fresh: Any) -> Any:
    return native_api.call("trigger_dag", dag_id="wire_dag", run_id="r", logical_date="2026-11-01")


def test_a_new_task_instance_has_no_state(run: Any) -> None:
    instance = state()
    assert instance["state"] is None
    assert instance["try_number"] == 0
    assert instance["map_index"] == -1
    assert instance["operator"] == "BashOperator"
    assert instance["logical_date"] == instance["execution_date"] == run["logical_date"]


def test_it_returns_the_state(run: Any) -> None:
    set_state("wire_dag", "r", "extract", "failed")
    assert state()["state"] == "failed"
    assert state(task_id="load")["state"] is None


def test_a_run_is_found_by_its_date(run: Any) -> None:
    arguments = {"dag_id": "wire_dag", "task_id": "extract", "execution_date": "2026-11-01"}
    assert native_api.call("task_state", **arguments)["run_id"] == "r"


def test_an_unknown_task_is_not_found(run: Any) -> None:
    with pytest.raises(errors.TaskNotFound):
        state(task_id="nope")


def test_an_unknown_task_has_priority_over_an_unknown_run(run: Any) -> None:
    """As in the old command line."""
    with pytest.raises(errors.TaskNotFound):
        state(task_id="nope", run_id="nope")


def test_an_unknown_run_is_not_found(run: Any) -> None:
    with pytest.raises(errors.DagRunNotFound):
        state(run_id="nope")


def test_a_task_in_a_task_group_is_found(fresh: Any) -> None:
    native_api.call("trigger_dag", dag_id="grouped", run_id="r")
    assert state(dag_id="grouped", task_id="group.inner")["state"] is None


def test_a_mapped_task_requires_a_map_index(fresh: Any) -> None:
    """The error has the valid range."""
    from airflow.models.taskinstance import TaskInstance
    from sqlalchemy import select

    native_api.call("trigger_dag", dag_id="mapped", run_id="r")
    with fresh.session() as session:
        rows = session.scalars(select(TaskInstance).where(TaskInstance.dag_id == "mapped")).unique().all()
        expanded = sorted(row.map_index for row in rows)
    assert expanded == [0, 1, 2]
    assert state(dag_id="mapped", task_id="double", map_index=2)["map_index"] == 2
    for map_index in (-1, 3):
        with pytest.raises(errors.TaskInstanceNotFound) as caught:
            state(dag_id="mapped", task_id="double", map_index=map_index)
        assert caught.value.problem()["last_map_index"] == 2


@pytest.mark.parametrize("map_index", [-2, "x", 1.5])
def test_an_invalid_map_index_is_an_error(run: Any, map_index: Any) -> None:
    with pytest.raises(errors.Invalid):
        state(map_index=map_index)


@pytest.mark.parametrize("order", ["logical_date", "-logical_date"])
@pytest.mark.parametrize("dates", [{}, {"logical_date_gte": "2026-11-02"}], ids=["all", "since a date"])
def test_pages_of_everything_are_the_whole_list(run: Any, order: str, dates: Any) -> None:
    """Also with runs of the same date, and with runs that have no task instance."""
    for dag_id, day in (("daily", 3), ("wire_dag", 2), ("daily", 2), ("wire_dag", 4)):
        native_api.call("trigger_dag", dag_id=dag_id, run_id=f"r{day}", logical_date=f"2026-11-0{day}")
    with airflow_under_test.session() as session:
        from airflow.models.taskinstance import TaskInstance

        session.query(TaskInstance).filter_by(dag_id="wire_dag", run_id="r2").delete()
    arguments = {"order_by": order, **dates}
    whole = native_api.call("list_task_instances", limit=1000, **arguments)
    rows, total = whole["task_instances"], whole["total_entries"]
    by_another_order = native_api.call("list_task_instances", limit=1000, order_by="task_id", **dates)
    assert total == len(rows) == by_another_order["total_entries"] > 4
    assert {(row["dag_id"], row["run_id"]) for row in rows} == (
        {("daily", "r3"), ("daily", "r2"), ("wire_dag", "r4")} | (set() if dates else {("wire_dag", "r")})
    )
    days = [row["logical_date"] for row in rows]
    assert days == sorted(days, reverse=order.startswith("-"))
    pages = [
        native_api.call("list_task_instances", limit=2, offset=offset, **arguments) for offset in range(0, total, 2)
    ]
    assert [row for page in pages for row in page["task_instances"]] == rows
    assert {page["total_entries"] for page in pages} == {total}
