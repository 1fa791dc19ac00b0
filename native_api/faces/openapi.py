"""The OpenAPI document, made from the registry."""

from __future__ import annotations

from typing import Any, Dict

from apispec import APISpec
from apispec.ext.marshmallow import MarshmallowPlugin

from native_api import __version__, operations
from native_api.access import Effect
from native_api.operations import Operation

PROBLEM = {
    "type": "object",
    "description": "RFC 9457; errors add the data that they are about.",
    "properties": {
        "type": {"type": "string"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string"},
        "errors": {"type": "object", "description": "422: what is wrong with each field."},
    },
    "required": ["type", "title", "status", "detail"],
}


def document(base_path: str = "") -> Dict[str, Any]:
    """Return the document for a server below *base_path*."""
    spec = APISpec(
        title="airflow-native-api",
        version=__version__,
        openapi_version="3.0.3",
        info={"description": "Airflow's command-line operations as an in-process API."},
        plugins=[MarshmallowPlugin(schema_name_resolver=lambda schema: _schema_name(schema))],
        servers=[{"url": f"{base_path}/native_api/v1"}],
        security=[{"bearer": []}, {"basic": []}, {"token": []}, {"session": []}],
    )
    spec.components.schema("Problem", PROBLEM)
    for name, scheme in _SECURITY.items():
        spec.components.security_scheme(name, scheme)
    for operation in operations.every():
        spec.path(path=f"/{operation.name}", operations={_method(operation): _described(operation)})
    described: Dict[str, Any] = spec.to_dict()
    return described


_SECURITY = {
    "bearer": {"type": "http", "scheme": "bearer", "description": "Airflow 3, and backends of Airflow 2 that take it."},
    "basic": {"type": "http", "scheme": "basic", "description": "Airflow 2 with a basic backend."},
    "token": {
        "type": "apiKey",
        "in": "header",
        "name": "rest-api-plugin-http-token",
        "description": "The static token, where one is configured.",
    },
    "session": {"type": "apiKey", "in": "cookie", "name": "session", "description": "The session of Airflow's pages."},
}


def _schema_name(schema: Any) -> str:
    cls = schema if isinstance(schema, type) else type(schema)
    return str(cls.__name__)


def _method(operation: Operation) -> str:
    return "get" if operation.effect is Effect.READ else "post"


def _described(operation: Operation) -> Dict[str, Any]:
    described: Dict[str, Any] = {
        "operationId": operation.name,
        "tags": [operation.noun],
        "summary": operation.summary,
        "description": operation.text,
        "x-effect": operation.effect.value,
        "responses": {
            "200": {"description": "The result.", "content": _json(operation.result)},
            "default": {
                "description": "What went wrong.",
                "content": {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}},
            },
        },
    }
    if operation.effect is Effect.READ:
        described["parameters"] = [{"in": "query", "schema": operation.request}]
        return described
    body = _json(operation.request)
    body["application/json"]["example"] = dict(operation.example)
    uploads = [name for name, field in operation.request.fields.items() if field.metadata.get("upload")]
    if uploads:
        files = {name: {"type": "string", "format": "binary"} for name in uploads}
        body["multipart/form-data"] = {"schema": {"type": "object", "properties": files}}
    described["requestBody"] = {"required": True, "content": body}
    if operation.accepted:
        going_on = {"description": "The work goes on; url tells how it stands.", "content": _json(operation.accepted)}
        described["responses"]["202"] = going_on
    described["responses"]["201"] = {"description": "Something was created.", "content": _json(operation.result)}
    return described


def _json(schema: Any) -> Dict[str, Any]:
    return {"application/json": {"schema": schema}}
