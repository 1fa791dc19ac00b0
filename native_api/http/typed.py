"""The typed API: one URL per operation, JSON requests and responses, and problem details (RFC 9457)."""

from __future__ import annotations

import json
from functools import lru_cache
from http import HTTPStatus
from typing import Any, Dict, Iterable, List, Tuple, Union

from flask import Response, request
from marshmallow import EXCLUDE, RAISE, fields
from werkzeug.datastructures import MIMEAccept
from werkzeug.http import parse_accept_header

from native_api import audit, credentials, dispatch, registry
from native_api.effects import Effect
from native_api.errors import BadRequest, Invalid, MethodNotAllowed, NativeApiError, NotAcceptable, UnsupportedMediaType
from native_api.http import asynchronous, request_reading
from native_api.http.disconnects import client_is_gone
from native_api.http.responses import in_shape, json_response
from native_api.registry import Operation
from native_api.uploads import Upload

PROBLEM = "application/problem+json"


def problem(error: NativeApiError) -> Response:
    """Return the response for an error: problem details (RFC 9457)."""
    return json_response(error.problem(), error.status, content_type=PROBLEM, headers=error.headers())


def require_json_accepted() -> None:
    """
    Require that the client accepts JSON.

    :raises NotAcceptable: the request has an ``Accept`` header that excludes JSON.
    """
    accept = request.headers.get("Accept", "")
    if not _includes_json(accept):
        raise NotAcceptable(accept)


@lru_cache(maxsize=128)
def _includes_json(accept: str) -> bool:
    """Return whether an ``Accept`` header includes JSON; an empty one includes all."""
    parsed = parse_accept_header(accept, MIMEAccept)
    return not accept.strip() or parsed.best_match(["application/json", PROBLEM]) is not None


def method_of(operation: Operation) -> str:
    """Return the HTTP method of an operation: GET if it only reads, otherwise POST."""
    return "GET" if operation.effect is Effect.READ else "POST"


@in_shape(problem)
def call(name: str) -> Response:
    """Call an operation and return its result: 200, or 201 if something was created, or 202 if the work continues."""
    identity = credentials.identify(request)
    require_json_accepted()
    asynchronous.warm_sandbox()
    operation = registry.get(name)
    if request.method.replace("HEAD", "GET") != method_of(operation):
        raise MethodNotAllowed(name, method_of(operation))
    dispatch.admit(operation, identity.caller)
    arguments, unknown = _arguments(operation, identity)
    response = dispatch.call(
        name, arguments, caller=identity.caller, unknown=unknown, client_is_gone=client_is_gone(request)
    )
    status = HTTPStatus.CREATED if response.created else HTTPStatus.OK
    if response.state_call is not None:
        response.result["url"] = asynchronous.state_url(response)
        return json_response(response.result, HTTPStatus.ACCEPTED, headers={"Location": response.result["url"]})
    return json_response(response.result, status)


def _arguments(operation: Operation, identity: credentials.Identity) -> Tuple[Dict[str, object], dispatch.Unknown]:
    """
    Return the arguments of the request, and whether unknown ones raise an error.

    A POST can have arguments in the query string, as clients of airflow-rest-api-plugin send them. These can be neither
    secrets, which servers would log, nor also in the body.
    """
    in_query = _flat(operation, request.args)
    if method_of(operation) == "GET":
        return in_query, EXCLUDE
    request_reading.receive_body(identity, operation)
    in_body = _body(operation)
    wrong = {name: ["Send it in the body: servers log query strings."] for name in _confidential(operation, in_query)}
    wrong.update({name: ["Is in the query string and in the body."] for name in in_query if name in in_body})
    if wrong:
        raise Invalid(wrong)
    return {**in_query, **in_body}, RAISE


def _confidential(operation: Operation, arguments: Iterable[str]) -> List[str]:
    """Return the arguments that can be secrets, which are those that the audit log masks."""
    fields_of = operation.request.fields
    return [name for name in arguments if name in fields_of and audit.hides(name, fields_of[name])]


def _body(operation: Operation) -> Dict[str, object]:
    if request.mimetype not in ("application/x-www-form-urlencoded", "multipart/form-data"):
        return json_body()
    form = request_reading.form()
    if request_reading.looks_like_json(form):
        raise BadRequest(
            f"The body looks like JSON and its Content-Type is '{request.mimetype}': send 'Content-Type: "
            "application/json'."
        )
    return {**_flat(operation, form), **_files(operation)}


def _files(operation: Operation) -> Dict[str, Union[bytes, Upload]]:
    """Return the uploaded files by field: their content, or the Upload if the argument is a file."""
    fields_of = operation.request.fields
    unwanted = {name for name in request.files if name in fields_of and not fields_of[name].metadata.get("upload")}
    if unwanted:
        raise Invalid({name: ["Does not accept a file."] for name in sorted(unwanted)})
    return {
        name: Upload(upload.stream, upload.filename or "") if _takes_file(fields_of.get(name)) else upload.read()
        for name, upload in request.files.items()
    }


def _takes_file(field: Any) -> bool:
    return field is not None and field.metadata.get("upload") == "file"


def json_body() -> Dict[str, Any]:
    """
    Return the JSON object in the body of the request; an empty body is an empty object.

    :raises UnsupportedMediaType: the body has another media type.
    :raises BadRequest: the body is not a JSON object.
    """
    text = request.get_data()
    if not text.strip():
        return {}
    if request.mimetype and not request.is_json:
        raise UnsupportedMediaType(request.mimetype)
    try:
        body = json.loads(text)
        json.dumps(body, ensure_ascii=False).encode()
    except json.JSONDecodeError as exc:
        raise BadRequest(f"The body is not JSON: {exc.msg}, at line {exc.lineno}, column {exc.colno}.") from exc
    except UnicodeDecodeError as exc:
        raise BadRequest(f"The body is not JSON: it is not UTF-8, at byte {exc.start}.") from exc
    except RecursionError as exc:
        raise BadRequest("The body is nested too deeply.") from exc
    except UnicodeEncodeError as exc:
        raise BadRequest("The body contains an unpaired surrogate.") from exc
    except ValueError as exc:
        # Python does not parse a number of more than 4,300 digits.
        raise BadRequest("The body contains a number with too many digits.") from exc
    if not isinstance(body, dict):
        raise BadRequest("The body must be a JSON object.")
    return body


def _flat(operation: Operation, values: Any) -> Dict[str, object]:
    """Return a query string or a form as arguments: a list if the schema has one, otherwise the first value."""
    lists = {name for name, field in operation.request.fields.items() if isinstance(field, fields.List)}
    return {name: values.getlist(name) if name in lists else values[name] for name in values if name != "csrf_token"}
