"""list_tasks."""

from __future__ import annotations

from typing import Any, Dict, List

import pytest

import native_api
from native_api import errors
from native_api.adapters.tasks import operations as tasks
from tests.support.queries import statements


def listed(**arguments: Any) -> Any:
    return native_api.call("list_tasks", **{"dag_id": "wire_dag", **arguments})


def test_a_task_has_its_operator_and_relatives(fresh: Any) -> None:
    response = listed()
    assert [task["task_id"] for task in response["tasks"]] == ["extract", "load", "transform"]
    assert response["tasks"][2] == {
        "task_id": "transform",
        "operator": "PythonOperator",
        "is_mapped": False,
        "upstream_task_ids": ["extract"],
        "downstream_task_ids": ["load"],
    }
    assert response["total_entries"] == 3
    assert "tree" not in response


def test_it_has_pages_an_order_and_a_pattern(fresh: Any) -> None:
    assert [task["task_id"] for task in listed(limit=1, offset=1)["tasks"]] == ["load"]
    assert [task["task_id"] for task in listed(order_by="-task_id")["tasks"]] == ["transform", "load", "extract"]
    response = listed(task_id_pattern="TRA", limit=1)
    assert ([task["task_id"] for task in response["tasks"]], response["total_entries"]) == (["extract"], 2)


def test_mapped_grouped_and_unicode_tasks_are_listed(fresh: Any) -> None:
    """However Airflow has serialized them."""
    (mapped,) = listed(dag_id="mapped")["tasks"]
    assert (mapped["task_id"], mapped["is_mapped"]) == ("double", True)
    assert "Decorated" in mapped["operator"]
    assert listed(dag_id="grouped")["tasks"][0]["task_id"] == "group.inner"
    assert listed(dag_id="unicodé_dåg")["tasks"][0]["task_id"] == "schritt_für_schritt"


def test_tree_nests_downstream_tasks(fresh: Any) -> None:
    def leaf(task_id: str, operator: str, *downstream: Any) -> Dict[str, Any]:
        return {"task_id": task_id, "operator": operator, "is_mapped": False, "downstream": list(downstream)}

    below = leaf("transform", "PythonOperator", leaf("load", "BashOperator"))
    assert listed(tree=True)["tree"] == [leaf("extract", "BashOperator", below)]


@pytest.mark.parametrize("shape", ["wide", "deep"])
def test_a_tree_that_is_too_large_is_refused(fresh: Any, mocker: Any, shape: str) -> None:
    """The list is possible."""
    stored: List[Dict[str, Any]]
    if shape == "wide":
        layers = [[f"{layer}_{place}" for place in range(3)] for layer in range(12)]
        stored = [
            {"task_id": task_id, "task_type": "X", "downstream_task_ids": after}
            for layer, after in zip(layers, [*layers[1:], []])
            for task_id in layer
        ]
    else:
        ids = [f"{number:04}" for number in range(1000)]
        stored = [
            {"task_id": task_id, "task_type": "X", "downstream_task_ids": after}
            for task_id, after in zip(ids, [*([task_id] for task_id in ids[1:]), []])
        ]
    mocker.patch.object(type(tasks.airflow()), "stored_tasks", return_value=stored)
    with pytest.raises(errors.Invalid, match="tree"):
        listed(tree=True)
    assert listed()["total_entries"] == len(stored)


def test_no_dag_is_deserialized(fresh: Any) -> None:
    with statements() as seen:
        listed()
    assert len(seen) == 2


def test_an_unknown_dag_is_not_found(fresh: Any) -> None:
    with pytest.raises(errors.DagNotFound):
        listed(dag_id="nope")
