"""Both generators take the document that the server gives, and their clients do a whole flow with it."""

from __future__ import annotations

from typing import Any


def test_a_flow_with_openapi_python_client(play: Any) -> None:
    """From a list of DAGs to a deployed file; a run is triggered with a conf, and waited for."""
    done = play("with_python_client.py")
    assert {"two_tasks", "broken"} <= set(done.pop("dags"))
    assert done == {
        "triggered": 201,
        "state": "success",
        "conf": {"why": "generated"},
        "log": True,
        "cleared": ["first", "second"],
        "dry_run": True,
        "variable": "hello",
        "missing": [404, "Problem", "variable_not_found"],
        "test": "success",
        "deployed": [201, "generated.py", None],
    }


def test_models_of_datamodel_code_generator(play: Any) -> None:
    """They accept each response, and a body that they made is accepted."""
    done = play("with_models.py")
    assert {"two_tasks", "broken"} <= set(done["dags"])
    assert "by_models" in done["runs"]
    assert (done["status"], done["run_id"]) == (201, "by_models")
    assert done["again"] == [409, "dag_run_exists"]
    assert (done["tasks"], done["pools"]) == (["first", "second"], ["default_pool"])
