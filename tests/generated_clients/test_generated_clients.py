"""Client generators accept the OpenAPI document, and their clients work."""

from __future__ import annotations

from typing import Any


def test_a_client_of_openapi_python_client_works(play: Any) -> None:
    """It lists DAGs, triggers a run with a conf, waits for it, and deploys a file."""
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


def test_models_of_datamodel_code_generator_accept_the_responses(play: Any) -> None:
    """And create request bodies."""
    done = play("with_models.py")
    assert {"two_tasks", "broken"} <= set(done["dags"])
    assert "by_models" in done["runs"]
    assert (done["status"], done["run_id"]) == (201, "by_models")
    assert done["again"] == [409, "dag_run_exists"]
    assert (done["tasks"], done["pools"]) == (["first", "second"], ["default_pool"])
