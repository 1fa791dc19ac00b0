"""The OpenAPI document."""

from __future__ import annotations

from typing import Any, Iterator, Set

from native_api import registry
from native_api.effects import Effect
from tests.airflow_under_test import version
from tests.test_contract import is_problem


def references(node: Any) -> Iterator[str]:
    if isinstance(node, dict):
        if isinstance(node.get("$ref"), str):
            yield node["$ref"]
        for child in node.values():
            yield from references(child)
    elif isinstance(node, list):
        for child in node:
            yield from references(child)


def test_it_has_every_operation(web: Any) -> None:
    answer = web.request("GET", "/native_api/openapi.json")
    assert answer.status == 200
    document = answer.json
    assert document["openapi"].startswith("3.0")
    for operation in registry.every():
        method = "get" if operation.effect is Effect.READ else "post"
        (described,) = document["paths"][f"/{operation.name}"].items()
        assert described[0] == method
        assert described[1]["operationId"] == operation.name
        assert described[1]["summary"] == operation.summary
    assert len(document["paths"]) == len(registry.every())


def test_its_references_lead_somewhere(web: Any) -> None:
    document = web.request("GET", "/native_api/openapi.json").json
    found = set(references(document))
    assert found
    for reference in found:
        node = document
        for part in reference.lstrip("#/").split("/"):
            node = node[part]


def test_arguments_are_described(web: Any) -> None:
    paths = web.request("GET", "/native_api/openapi.json").json["paths"]
    parameters = {parameter["name"]: parameter for parameter in paths["/list_dags"]["get"]["parameters"]}
    assert {"limit", "offset", "order_by", "tags", "paused", "subdir"} <= set(parameters)
    assert all(parameter["in"] == "query" for parameter in parameters.values())
    asked = {parameter["name"]: parameter for parameter in paths["/get_variable"]["get"]["parameters"]}
    assert asked["key"]["required"] is True
    body = paths["/trigger_dag"]["post"]["requestBody"]["content"]["application/json"]
    assert body["example"]["dag_id"] == "example_dag"


def test_a_body_is_json_or_a_form(web: Any) -> None:
    """With files it is a form that has all the arguments, not the files alone."""
    paths = web.request("GET", "/native_api/openapi.json").json["paths"]
    content = paths["/deploy_dag"]["post"]["requestBody"]["content"]
    form = content["multipart/form-data"]["schema"]
    assert form["required"] == ["dag_file"]
    assert {"force", "path", "bundle", "pause", "dry_run"} <= set(form["properties"])
    assert form["properties"]["dag_file"]["format"] == "binary"
    assert content["application/x-www-form-urlencoded"] == {"schema": {"$ref": "#/components/schemas/DeployDag"}}
    assert content["application/json"]["schema"] == {"$ref": "#/components/schemas/DeployDag"}
    assert "multipart/form-data" not in paths["/trigger_dag"]["post"]["requestBody"]["content"]


def test_answers_are_described_where_they_may_come(web: Any) -> None:
    """201 from what may create something, 202 from what may go on afterwards."""
    paths = web.request("GET", "/native_api/openapi.json").json["paths"]

    def with_status(status: str) -> Set[str]:
        return {path[1:] for path, method in paths.items() for told in method.values() if status in told["responses"]}

    assert with_status("201") == {
        "add_connection",
        "deploy_dag",
        "import_connections",
        "import_pools",
        "import_variables",
        "set_pool",
        "set_variable",
        "start_daemon",
        "trigger_dag",
    }
    assert {"backfill_dag", "run_task", "refresh_all_dags"} <= with_status("202")
    assert not with_status("202") & {"trigger_dag", "cancel_backfill", "deploy_dag"}


def test_credentials_are_named_as_they_are_here(web: Any, monkeypatch: Any) -> None:
    monkeypatch.setenv("AIRFLOW__REST_API_PLUGIN__REST_API_PLUGIN_HTTP_TOKEN_HEADER_NAME", "X-Token")
    document = web.request("GET", "/native_api/openapi.json", login="admin").json
    schemes = document["components"]["securitySchemes"]
    assert schemes["token"]["name"] == "X-Token"
    assert schemes["session"]["name"] == ("_token" if version() >= (3, 0) else "session")


def test_it_needs_credentials(web: Any) -> None:
    is_problem(web.request("GET", "/native_api/openapi.json", login=None), 401)


def test_it_is_the_same_for_everybody(web: Any) -> None:
    texts = {web.request("GET", "/native_api/openapi.json", login=login).text for login in ("admin", "viewer", "token")}
    assert len(texts) == 1
