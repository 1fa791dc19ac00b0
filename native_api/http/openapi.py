"""The OpenAPI document, made from the registry."""

from __future__ import annotations

from typing import Any, Dict

from apispec import APISpec
from apispec.ext.marshmallow import MarshmallowPlugin
from apispec.ext.marshmallow.openapi import OpenAPIConverter

from native_api import credentials, errors, registry
from native_api.adapters.compat import airflow
from native_api.effects import Effect
from native_api.http.typed import method_of
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
            "description": "What went wrong, for programs: it stays when the detail is worded otherwise. Later "
            "versions may add codes.",
            "x-extensible-enum": sorted(error.code for error in errors.kinds()),
        },
        "errors": {"type": "object", "description": "422: what is wrong with each field."},
    },
    "required": ["type", "title", "status", "detail", "code"],
}


def document(base_path: str = "") -> Dict[str, Any]:
    """Return the document for a server below *base_path*."""
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
    whole: Dict[str, Any] = spec.to_dict()
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
            "name": airflow().rights.session_cookie,
            "description": "The session of Airflow's pages.",
        },
    }


def _schema_name(schema: Any) -> str:
    cls = schema if isinstance(schema, type) else type(schema)
    return str(cls.__name__)


def _described(operation: Operation) -> Dict[str, Any]:
    return {
        "operationId": operation.name,
        "tags": [operation.tag],
        "summary": operation.summary,
        "description": operation.text,
        "x-effect": operation.effect.value,
        "responses": {
            **_answers(operation),
            "default": {
                "description": "What went wrong.",
                "content": {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}},
            },
        },
    }


def _answers(operation: Operation) -> Dict[str, Any]:
    answers = {"200": {"description": "The result.", "content": _json(operation.result)}}
    if operation.creates:
        answers["201"] = {"description": "Something was created.", "content": _json(operation.result)}
    if operation.accepted:
        going_on = {"description": "The work goes on; url tells how it stands.", "content": _json(operation.accepted)}
        answers["202"] = going_on
    return answers


def _body(operation: Operation, spec: APISpec) -> Dict[str, Any]:
    """Describe the request's body: JSON or a form, and a form with files where the operation takes some."""
    body = _json(operation.request)
    body["application/json"]["example"] = dict(operation.example)
    body["application/x-www-form-urlencoded"] = {"schema": operation.request}
    uploads = [name for name, field in operation.request.fields.items() if field.metadata.get("upload")]
    if uploads:
        converter = OpenAPIConverter(spec.openapi_version, _schema_name, spec)
        form = converter.schema2jsonschema(operation.request)  # type: ignore[no-untyped-call]
        for name in uploads:
            described = form["properties"][name].get("description", "")
            form["properties"][name] = {"type": "string", "format": "binary", "description": described}
        body["multipart/form-data"] = {"schema": form}
    return body


def _json(schema: Any) -> Dict[str, Any]:
    return {"application/json": {"schema": schema}}
