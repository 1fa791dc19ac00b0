"""The typed face: one URL per operation, JSON in and out, errors of RFC 9457."""

from __future__ import annotations

import json
from http import HTTPStatus
from typing import Any, Dict, Tuple

from flask import Response, request
from marshmallow import EXCLUDE, RAISE, fields

from native_api import calling, credentials, operations
from native_api.access import Effect
from native_api.errors import BadRequest, Invalid, MethodNotAllowed, NativeApiError, UnsupportedMediaType
from native_api.faces import following
from native_api.faces.boundary import in_shape, json_response
from native_api.faces.leaving import client_is_gone
from native_api.operations import Operation
from native_api.uploads import Upload

PROBLEM = "application/problem+json"


def problem(error: NativeApiError) -> Response:
    """Return an error in the shape of this face."""
    return json_response(error.problem(), error.status, content_type=PROBLEM, headers=error.headers())


def method_of(operation: Operation) -> str:
    """Return the HTTP method that calls the operation."""
    return "GET" if operation.effect is Effect.READ else "POST"


@in_shape(problem)
def call(name: str) -> Response:
    """Answer a call of the operation *name*."""
    identity = credentials.identify(request)
    following.warm_sandbox()
    operation = operations.get(name)
    if request.method.replace("HEAD", "GET") != method_of(operation):
        raise MethodNotAllowed(name, method_of(operation))
    credentials.require_intent(request, identity, operation.effect)
    arguments, unknown = _arguments(operation)
    answer = calling.call(
        name, arguments, caller=identity.caller, unknown=unknown, client_is_gone=client_is_gone(request)
    )
    status = HTTPStatus.CREATED if answer.created else HTTPStatus.OK
    if answer.followed is not None:
        answer.result["url"] = following.url_of(answer)
        return json_response(answer.result, HTTPStatus.ACCEPTED, headers={"Location": answer.result["url"]})
    return json_response(answer.result, status)


def _arguments(operation: Operation) -> Tuple[Dict[str, Any], calling.Unknown]:
    """Return the request's arguments, and what is to become of those that the operation does not have."""
    if method_of(operation) == "GET":
        return _flat(operation, request.args), EXCLUDE
    if request.mimetype in ("application/x-www-form-urlencoded", "multipart/form-data"):
        return {**_flat(operation, request.form), **_files(operation)}, RAISE
    return _json(), RAISE


def _files(operation: Operation) -> Dict[str, bytes]:
    """Return what the uploaded files hold, by field."""
    fields_of = operation.request.fields
    unwanted = {name for name in request.files if name in fields_of and not fields_of[name].metadata.get("upload")}
    if unwanted:
        raise Invalid({name: ["Takes no file."] for name in sorted(unwanted)})
    return {name: Upload(upload.read(), upload.filename or "") for name, upload in request.files.items()}


def _json() -> Dict[str, Any]:
    text = request.get_data()
    if not text.strip():
        return {}
    if request.mimetype and not request.is_json:
        raise UnsupportedMediaType(request.mimetype)
    try:
        body = request.get_json(force=True)
        json.dumps(body, ensure_ascii=False).encode()
    except RecursionError as exc:
        raise BadRequest("The body is nested too deeply.") from exc
    except UnicodeEncodeError as exc:
        raise BadRequest("The body has half of a surrogate pair in it, which is no character.") from exc
    if not isinstance(body, dict):
        raise BadRequest("The body must be a JSON object.")
    return body


def _flat(operation: Operation, values: Any) -> Dict[str, Any]:
    """Return a query string or form as arguments: a list where the schema has one, else the first value."""
    lists = {name for name, field in operation.request.fields.items() if isinstance(field, fields.List)}
    return {name: values.getlist(name) if name in lists else values[name] for name in values if name != "csrf_token"}
