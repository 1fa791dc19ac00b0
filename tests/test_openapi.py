"""The OpenAPI document."""

from __future__ import annotations

from typing import Any, Iterator

from native_api import operations
from native_api.access import Effect
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
    for operation in operations.every():
        method = "get" if operation.effect is Effect.READ else "post"
        (described,) = document["paths"][f"/{operation.name}"].items()
        assert described[0] == method
        assert described[1]["operationId"] == operation.name
        assert described[1]["summary"] == operation.summary
    assert len(document["paths"]) == len(operations.every())


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


def test_it_needs_credentials(web: Any) -> None:
    is_problem(web.request("GET", "/native_api/openapi.json", login=None), 401)


def test_it_is_the_same_for_everybody(web: Any) -> None:
    texts = {web.request("GET", "/native_api/openapi.json", login=login).text for login in ("admin", "viewer", "token")}
    assert len(texts) == 1
