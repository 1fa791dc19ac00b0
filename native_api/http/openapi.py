"""The OpenAPI document, which is generated from the registry; it is the same with every version of Airflow."""

from __future__ import annotations

import inspect
import json
from pathlib import Path
from typing import Any, Dict, List, Mapping, Sequence, Type

from apispec import APISpec
from apispec.ext.marshmallow import MarshmallowPlugin
from apispec.ext.marshmallow.openapi import OpenAPIConverter

from native_api import credentials, errors, registry
from native_api.effects import Effect
from native_api.errors.base import title_of
from native_api.errors.examples import example
from native_api.http.typed import method_of
from native_api.possible_errors import OF_CHANGES, OF_EVERY, possible_errors
from native_api.registry import Operation
from native_api.version import __version__

PROBLEM = {
    "type": "object",
    "description": "RFC 9457; errors add the data that they are about.",
    "properties": {
        "type": {"type": "string"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string"},
        "code": {
            "type": "string",
            "description": "The kind of error, for programs. It does not change with the detail. Later versions can "
            "add codes.",
            "x-extensible-enum": sorted(error.code for error in errors.kinds()),
        },
        "errors": {"type": "object", "description": "422: the messages for each field."},
    },
    "required": ["type", "title", "status", "detail", "code"],
}


#: The response of each operation to its example. ``pytest tests/test_contract.py --write-examples`` writes them.
EXAMPLES: Dict[str, Any] = json.loads(Path(__file__).with_name("response_examples.json").read_text(encoding="utf-8"))


def document(base_path: str = "") -> Dict[str, object]:
    """Return the OpenAPI document; *base_path* is the path of Airflow's base URL."""
    spec = APISpec(
        title="airflow-native-api",
        version=__version__,
        openapi_version="3.0.3",
        info={"description": "Airflow's command-line operations as an in-process API."},
        plugins=[MarshmallowPlugin(schema_name_resolver=_schema_name)],
        servers=[{"url": f"{base_path}/native_api/v1"}],
        security=[{name: []} for name in _security()],
    )
    spec.components.schema("Problem", PROBLEM)
    for name, scheme in _security().items():
        spec.components.security_scheme(name, scheme)
    for operation in registry.every():
        described = _described(operation)
        if operation.effect is Effect.READ:
            described["parameters"] = [{"in": "query", "schema": operation.request}]
        else:
            described["requestBody"] = {"required": True, "content": _body(operation, spec)}
        spec.path(path=f"/{operation.name}", operations={method_of(operation).lower(): described})
    for name, response in _shared_responses().items():
        spec.components.response(name, response)
    for error in errors.kinds():
        spec.components.example(error.code, {"value": example(error).problem()})
    whole: Dict[str, object] = _plain(spec.to_dict())
    for operation in registry.every():
        _give_examples(operation, whole)
    _close_requests(whole)
    return whole


def _security() -> Dict[str, Dict[str, str]]:
    return {
        "bearer": {
            "type": "http",
            "scheme": "bearer",
            "description": "Airflow 3, and backends of Airflow 2 that take it.",
        },
        "basic": {"type": "http", "scheme": "basic", "description": "Airflow 2 with a basic backend."},
        "token": {
            "type": "apiKey",
            "in": "header",
            "name": credentials.token_header(),
            "description": "The static token, where one is configured.",
        },
        "session": {
            "type": "apiKey",
            "in": "cookie",
            "name": "session",
            "description": "The session of Airflow 2's pages.",
        },
        "session_token": {
            "type": "apiKey",
            "in": "cookie",
            "name": "_token",
            "description": "The session of Airflow 3's pages.",
        },
    }


def _schema_name(schema: Any) -> str:
    cls = schema if isinstance(schema, type) else type(schema)
    return str(cls.__name__)


def _described(operation: Operation) -> Dict[str, object]:
    return {
        "operationId": operation.name,
        "tags": [operation.tag],
        "summary": operation.summary,
        "description": operation.text + _forms(operation),
        "x-effect": operation.effect.value,
        "responses": {
            **_responses(operation),
            **_errors(operation),
            "default": {
                "description": "Error.",
                "content": {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}},
            },
        },
    }


def _forms(operation: Operation) -> str:
    if operation.effect is Effect.READ:
        return ""
    if _files(operation):
        return "\n\nThe arguments can also be sent as application/json, with the text of the file."
    return "\n\nThe arguments can also be sent as application/x-www-form-urlencoded or multipart/form-data."


def _errors(operation: Operation) -> Dict[str, object]:
    """Describe the errors of the operation by status; a response that many operations have is described once."""
    described = {status: _error(of_status) for status, of_status in possible_errors(operation).items()}
    shared = _shared_responses()
    names = {status: [name for name in _names(status) if shared.get(name) == described[status]] for status in described}
    return {str(status): names[status][0] if names[status] else described[status] for status in described}


def _names(status: int) -> List[str]:
    return [f"Error{status}", f"Error{status}OfChanges"]


def _shared_responses() -> Dict[str, Any]:
    """Describe the errors that operations have in common: those of every one, and those of changes."""
    shared: Dict[str, object] = {}
    for which, suffix in (((*OF_EVERY, errors.Invalid), ""), ((*OF_EVERY, *OF_CHANGES), "OfChanges")):
        for status in sorted({int(error.status) for error in which}):
            described = _error([error for error in which if error.status == status])
            if shared.get(f"Error{status}") != described:
                shared[f"Error{status}{suffix}"] = described
    return shared


def _error(kinds: Sequence[Type[errors.NativeApiError]]) -> Dict[str, object]:
    """Describe the response of errors with the same status: the keys of its examples are the codes."""
    by_code = sorted(kinds, key=lambda error: error.code)
    content = {
        "schema": {"$ref": "#/components/schemas/Problem"},
        "examples": {error.code: {"$ref": f"#/components/examples/{error.code}"} for error in by_code},
    }
    lines = [f"- `{error.code}`: {(inspect.getdoc(error) or '').splitlines()[0]}" for error in by_code]
    return {
        "description": "\n".join([f"{title_of(by_code[0])}. The codes:\n", *lines]),
        "content": {"application/problem+json": content},
    }


def _responses(operation: Operation) -> Dict[str, Any]:
    """Return the successful responses, each with an example."""
    result = _json(operation.result, EXAMPLES.get(operation.name))
    responses = {"200": {"description": "The result.", "content": result}}
    if operation.creates:
        responses["201"] = {"description": "Something was created.", "content": result}
    if operation.accepted:
        accepted = _json(operation.accepted, _accepted_example(operation))
        responses["202"] = {"description": "The work continues; url returns its state.", "content": accepted}
    return responses


def _accepted_example(operation: Operation) -> Dict[str, object]:
    """Return an example of the response 202."""
    if operation.accepted is not None and "backfill_id" in operation.accepted.fields:
        url = "/native_api/v1/backfill_state?backfill_id=1"
        return {**EXAMPLES[operation.name], "dry_run": False, "backfill_id": 1, "url": url}
    job_id = "0123456789abcdef0123456789abcdef"
    return {"job_id": job_id, "operation": "job_state", "url": f"/native_api/v1/job_state?job_id={job_id}"}


def _body(operation: Operation, spec: APISpec) -> Dict[str, object]:
    """
    Return the content of the request body: JSON, or a form if an argument is a file.

    Only one media type is declared, since client generators do not support several; the description names the others.
    """
    if not _files(operation):
        body = _json(operation.request)
        body["application/json"]["example"] = dict(operation.example)
        return body
    converter = OpenAPIConverter(spec.openapi_version, _schema_name, spec)
    form = converter.schema2jsonschema(operation.request)  # type: ignore[no-untyped-call]
    for name in _files(operation):
        described = form["properties"][name].get("description", "")
        form["properties"][name] = {"type": "string", "format": "binary", "description": described}
    name = _schema_name(operation.request)
    spec.components.schema(name, form)
    schema = {"$ref": f"#/components/schemas/{name}"}
    return {"multipart/form-data": {"schema": schema, "example": dict(operation.example)}}


def _files(operation: Operation) -> List[str]:
    """Return the arguments that are files."""
    return [name for name, field in operation.request.fields.items() if field.metadata.get("upload") == "file"]


def _plain(node: Any) -> Any:
    """Return *node* without what depends on the versions of marshmallow and apispec, with ECMA-262 patterns."""
    if isinstance(node, list):
        return [_plain(child) for child in node]
    if not isinstance(node, dict):
        return node
    plain = {
        name: _plain(child)
        for name, child in node.items()
        if not (name == "additionalProperties" and (child is False or child == {}))
    }
    if isinstance(plain.get("pattern"), str):
        plain["pattern"] = _pattern(plain["pattern"])
    # marshmallow 3.13 and apispec 5 do not preserve the order.
    if isinstance(plain.get("parameters"), list):
        plain["parameters"].sort(key=lambda parameter: str(parameter["name"]))
    if isinstance(plain.get("required"), list):
        plain["required"].sort()
    if plain.get("nullable") is True and isinstance(plain.get("allOf"), list):
        del plain["nullable"]
        plain["anyOf"] = [*plain.pop("allOf"), {"type": "object", "nullable": True}]
    return plain


def _pattern(pattern: str) -> str:
    r"""
    Return a regular expression of Python as one of ECMA-262, which is not anchored, has no ``\\Z``, and sees UTF-16.

    Surrogates are removed from it: each emoji consists of two of them in UTF-16.
    """
    translated = pattern.replace("\\ud800-\\udfff", "").replace("\\0", "\\x00").replace("\\Z", "$")
    return f"^(?:{translated})" if "|" in translated else f"^{translated}"


def _give_examples(operation: Operation, whole: Dict[str, Any]) -> None:
    """Add an example to each argument: from the operation's example, from another operation's, or by type."""
    (described,) = whole["paths"][f"/{operation.name}"].values()
    for parameter in described.get("parameters", ()):
        parameter["example"] = _example(operation, parameter["name"], parameter["schema"])
    for content in described.get("requestBody", {"content": {}})["content"].values():
        properties = whole["components"]["schemas"][content["schema"]["$ref"].rpartition("/")[2]]["properties"]
        for name, schema in properties.items():
            if "$ref" not in schema:
                schema.setdefault("example", _example(operation, name, schema))


def _example(operation: Operation, name: str, schema: Mapping[str, Any]) -> Any:
    if name in operation.example:
        return operation.example[name]
    if schema.get("default") is not None:
        return schema["default"]
    if schema.get("enum"):
        return schema["enum"][0]
    if schema.get("type") == "array":
        one = _example(operation, name, schema["items"])
        return one if isinstance(one, list) else [one]
    others = (each.example[name] for each in registry.every() if name in each.example)
    found = next(others, None)
    return _OF_TYPE.get(str(schema.get("format") or schema.get("type")), "example") if found is None else found


#: Examples, by format or type, of arguments that are in no operation's example.
_OF_TYPE = {
    "date-time": "2026-11-01T00:00:00+00:00",
    "integer": 1,
    "number": 1.5,
    "boolean": True,
    "object": {},
    "binary": "a file",
}


def _close_requests(whole: Dict[str, Any]) -> None:
    """Forbid additional properties in request bodies, but not in responses, which later versions can extend."""
    schemas = whole["components"]["schemas"]
    for path in whole["paths"].values():
        for described in path.values():
            for kind in described.get("requestBody", {}).get("content", {}).values():
                schema = kind["schema"]
                named = schema.get("$ref", "").rpartition("/")[2]
                schemas.get(named, schema)["additionalProperties"] = False


def _json(schema: Any, example: Any = None) -> Dict[str, Any]:
    return {"application/json": {"schema": schema, **({} if example is None else {"example": example})}}
