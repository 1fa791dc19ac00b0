"""The OpenAPI document."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any, Dict, Iterator, Set

import jsonschema
import pytest

import native_api.adapters.catalogue  # noqa: F401
from native_api import errors, registry
from native_api.effects import Effect
from native_api.possible_errors import possible_errors
from tests.support.declared_errors import examples_of
from tests.support.problems import assert_problem, assert_valid

GOLDEN = Path(__file__).resolve().parents[2] / "docs" / "openapi.json"


@pytest.fixture(scope="module")
def golden() -> Dict[str, Any]:
    document: Dict[str, Any] = json.loads(GOLDEN.read_text(encoding="utf-8"))
    return document


def nodes(node: Any) -> Iterator[Dict[str, Any]]:
    """Yield every object in the document."""
    if isinstance(node, dict):
        yield node
    for child in node.values() if isinstance(node, dict) else node if isinstance(node, list) else ():
        yield from nodes(child)


def test_it_equals_docs_openapi_json_on_every_airflow(web: Any, golden: Dict[str, Any]) -> None:
    """``python docs/tables.py`` writes that file."""
    assert web.request("GET", "/native_api/openapi.json").json == golden
    assert GOLDEN.read_text(encoding="utf-8") == json.dumps(golden, sort_keys=True, indent=1, ensure_ascii=False) + "\n"


def test_its_patterns_are_ecma_262_regular_expressions(golden: Dict[str, Any]) -> None:
    patterns = {node["pattern"] for node in nodes(golden) if isinstance(node.get("pattern"), str)}
    assert patterns
    for pattern in patterns:
        assert pattern.startswith("^") and not re.search(r"\\[AZ]|\(\?<|\(\?P|\\0|\\ud", pattern), pattern


def test_only_requests_forbid_additional_properties(golden: Dict[str, Any]) -> None:
    """Later versions can extend responses."""
    bodies = {
        content["schema"]["$ref"].rpartition("/")[2]
        for path in golden["paths"].values()
        for each in path.values()
        for content in each.get("requestBody", {"content": {}})["content"].values()
    }
    schemas = golden["components"]["schemas"]
    assert {name for name in schemas if schemas[name].get("additionalProperties") is False} == bodies


@pytest.mark.parametrize("operation", [pytest.param(each, id=each.name) for each in registry.every()])
class TestEveryOperation:
    def test_its_example_is_valid(self, golden: Dict[str, Any], operation: registry.Operation) -> None:
        (described,) = golden["paths"][f"/{operation.name}"].values()
        assert operation.request.validate(dict(operation.example)) == {}
        if "requestBody" in described:
            (body,) = described["requestBody"]["content"].values()
            assert body["example"] == operation.example
            jsonschema.validate(body["example"], {**golden, **body["schema"]})
        else:
            examples = {each["name"]: each["example"] for each in described["parameters"]}
            assert {name: examples[name] for name in operation.example} == operation.example
            for each in described["parameters"]:
                jsonschema.validate(each["example"], _as_json_schema(each["schema"]))

    def test_its_arguments_have_descriptions(self, golden: Dict[str, Any], operation: registry.Operation) -> None:
        (described,) = golden["paths"][f"/{operation.name}"].values()
        given = {each["name"]: each for each in described.get("parameters", ())}
        if "requestBody" in described:
            for kind in described["requestBody"]["content"].values():
                named = kind["schema"].get("$ref", "").rpartition("/")[2]
                given.update(golden["components"]["schemas"].get(named, kind["schema"])["properties"])
        assert set(given) == {field.data_key or name for name, field in operation.request.fields.items()}
        assert [name for name, each in given.items() if not each.get("description")] == []

    def test_each_argument_has_an_example(self, golden: Dict[str, Any], operation: registry.Operation) -> None:
        """The schema of the argument accepts it, in the body, too."""
        (described,) = golden["paths"][f"/{operation.name}"].values()
        for content in described.get("requestBody", {"content": {}})["content"].values():
            schema = golden["components"]["schemas"][content["schema"]["$ref"].rpartition("/")[2]]
            for name, of_name in schema["properties"].items():
                if "$ref" not in of_name:
                    assert "example" in of_name, name
                    jsonschema.validate(of_name["example"], _as_json_schema(of_name))

    def test_its_successful_responses_have_examples(
        self, golden: Dict[str, Any], operation: registry.Operation
    ) -> None:
        """The schema of the response accepts them."""
        (described,) = golden["paths"][f"/{operation.name}"].values()
        succeeding = {status: each for status, each in described["responses"].items() if status[0] == "2"}
        assert ("202" in succeeding) == (operation.accepted is not None)
        for status, each in succeeding.items():
            body = each["content"]["application/json"]
            schema = operation.accepted if status == "202" else operation.result
            assert_valid(schema, body["example"])
            jsonschema.validate(body["example"], _as_json_schema({**golden, **body["schema"]}))

    def test_its_errors_have_examples(self, golden: Dict[str, Any], operation: registry.Operation) -> None:
        """One for each code, with the status of the response."""
        (described,) = golden["paths"][f"/{operation.name}"].values()
        by_status = possible_errors(operation)
        responses = {int(status): each for status, each in described["responses"].items() if status[0] in "45"}
        assert set(responses) == set(by_status)
        assert {400, 401, 403, 405, 406, 500, 503} <= set(responses)
        assert ({408, 413, 415} <= set(responses)) == (operation.effect is not Effect.READ)
        for status, response in responses.items():
            examples = examples_of(golden, response)
            assert set(examples) == {error.code for error in by_status[status]}
            for code, example in examples.items():
                assert (example["value"]["status"], example["value"]["code"]) == (status, code)
                jsonschema.validate(example["value"], {**golden, "$ref": "#/components/schemas/Problem"})

    def test_it_declares_errors_that_exist(self, operation: registry.Operation) -> None:
        """Only classes that are raised, not their base classes."""
        assert set(operation.errors) <= set(errors.kinds())


def _as_json_schema(node: Any) -> Any:
    """Return a schema of OpenAPI 3.0 as a JSON schema, in which nullable types are unions with null."""
    if isinstance(node, list):
        return [_as_json_schema(child) for child in node]
    if not isinstance(node, dict):
        return node
    schema = {name: _as_json_schema(child) for name, child in node.items()}
    if schema.get("nullable") is True and "type" in schema:
        schema["type"] = [schema["type"], "null"]
        if "enum" in schema:
            schema["enum"] = [*schema["enum"], None]
    return schema


def test_every_error_belongs_to_an_operation(golden: Dict[str, Any]) -> None:
    """Or to a path without operation."""
    of_operations = {error for each in registry.every() for kinds in possible_errors(each).values() for error in kinds}
    assert set(errors.kinds()) - of_operations == {errors.OperationNotFound, errors.PageNotFound}
    assert set(golden["components"]["examples"]) == {error.code for error in errors.kinds()}


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
    response = web.request("GET", "/native_api/openapi.json")
    assert response.status == 200
    document = response.json
    assert document["openapi"].startswith("3.0")
    for operation in registry.every():
        method = "get" if operation.effect is Effect.READ else "post"
        (described,) = document["paths"][f"/{operation.name}"].items()
        assert described[0] == method
        assert described[1]["operationId"] == operation.name
        assert described[1]["summary"] == operation.summary
    assert len(document["paths"]) == len(registry.every())


def test_its_references_can_be_resolved(web: Any) -> None:
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


def test_a_body_is_json_or_a_form_if_an_argument_is_a_file(web: Any) -> None:
    """The description names the other media types."""
    document = web.request("GET", "/native_api/openapi.json").json
    paths = document["paths"]
    content = paths["/deploy_dag"]["post"]["requestBody"]["content"]
    form = document["components"]["schemas"]["DeployDag"]
    assert form["required"] == ["dag_file"]
    assert {"force", "path", "bundle", "pause", "dry_run"} <= set(form["properties"])
    assert form["properties"]["dag_file"]["format"] == "binary"
    assert set(content) == {"multipart/form-data"}
    assert content["multipart/form-data"]["schema"] == {"$ref": "#/components/schemas/DeployDag"}
    assert "application/json" in paths["/deploy_dag"]["post"]["description"]
    assert set(paths["/import_variables"]["post"]["requestBody"]["content"]) == {"application/json"}
    assert "multipart/form-data" in paths["/import_variables"]["post"]["description"]
    assert "application/x-www-form-urlencoded" in paths["/trigger_dag"]["post"]["description"]


def test_the_responses_201_and_202_are_described_where_possible(web: Any) -> None:
    paths = web.request("GET", "/native_api/openapi.json").json["paths"]

    def with_status(status: str) -> Set[str]:
        return {
            path[1:] for path, method in paths.items() for result in method.values() if status in result["responses"]
        }

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


def test_the_security_schemes_have_the_configured_header(web: Any, monkeypatch: Any) -> None:
    monkeypatch.setenv("AIRFLOW__REST_API_PLUGIN__REST_API_PLUGIN_HTTP_TOKEN_HEADER_NAME", "X-Token")
    document = web.request("GET", "/native_api/openapi.json", login="admin").json
    schemes = document["components"]["securitySchemes"]
    assert schemes["token"]["name"] == "X-Token"
    assert (schemes["session"]["name"], schemes["session_token"]["name"]) == ("session", "_token")


def test_it_requires_authentication(web: Any) -> None:
    assert_problem(web.request("GET", "/native_api/openapi.json", login=None), 401)


def test_it_is_the_same_for_all_callers(web: Any) -> None:
    texts = {web.request("GET", "/native_api/openapi.json", login=login).text for login in ("admin", "viewer", "token")}
    assert len(texts) == 1
