"""
The legacy face: the protocol of airflow-rest-api-plugin 1.0.9.

``envelope.py`` is the answer's shape, ``protocol.py`` what a name of the protocol is, and ``names/`` has one module
per noun with the arguments and the text of each name.
"""

from __future__ import annotations

from typing import Optional

from flask import Response, request
from werkzeug.datastructures import MultiDict

import native_api.http.legacy.names  # noqa: F401
from native_api import credentials, dispatch, registry
from native_api.credentials import Identity
from native_api.effects import Effect
from native_api.errors import MethodNotAllowed, NativeApiError
from native_api.http import following, request_reading
from native_api.http.disconnects import client_is_gone
from native_api.http.legacy import envelope, protocol
from native_api.http.legacy.envelope import error
from native_api.http.legacy.protocol import Arguments
from native_api.http.responses import in_shape
from native_api.registry import Operation
from native_api.uploads import Upload

__all__ = ["call", "error"]


def _arguments(identity: Identity) -> Arguments:
    """
    Return what the client sent.

    Where the query string names the operation, who may not call it is refused before the body is received.
    """
    arguments = Arguments(request.args, MultiDict())
    envelope.begin(arguments)
    operation = _admitted(arguments, identity) if arguments.get("api") else None
    if request.method in ("GET", "HEAD"):
        return arguments
    request_reading.receive_body(identity, operation)
    files = {name: Upload(upload.stream, upload.filename or "") for name, upload in request.files.items()}
    form = request_reading.form()
    arguments = Arguments(request.args, form, files)
    envelope.begin(arguments)
    if operation is None:
        _admitted(arguments, identity)
    if request_reading.looks_like_json(form) or (request.is_json and request.get_data()):
        envelope.warn(["Ignored the body, which is JSON: arguments are sent in the query string or as a form"])
    return arguments


def _admitted(arguments: Arguments, identity: Identity) -> Optional[Operation]:
    """Return the operation that the name of the call always stands for, None where that depends on more."""
    name = protocol.find(arguments)
    if not name.operation:
        return None
    operation = registry.get(name.operation)
    dispatch.admit(operation, identity.caller)
    return operation


@in_shape(error)
def call() -> Response:
    """Handle a call of the old protocol."""
    identity = credentials.identify(request)
    following.warm_sandbox()
    if request.method not in ("GET", "HEAD", "POST"):
        raise MethodNotAllowed("api", "GET, POST")
    arguments = _arguments(identity)
    name = protocol.find(arguments)
    plan = name.plan(arguments)
    operation = registry.get(plan.operation)
    if request.method == "HEAD" and operation.effect is not Effect.READ:
        raise MethodNotAllowed(operation.name, "GET, POST")
    credentials.require_intent(request, identity, operation.effect)
    plan, warnings = plan.completed(name, arguments, operation)
    envelope.warn(warnings)
    try:
        answer = dispatch.call(
            plan.operation,
            plan.arguments,
            caller=identity.caller,
            whole_lists=True,
            client_is_gone=client_is_gone(request),
        )
    except NativeApiError as exc:
        if type(exc) not in plan.no_failure:
            raise
        # As the old command line did where it could not do it, and called that no failure.
        loaded = dispatch.load(operation, plan.arguments)
        return envelope.ok(name, plan.no_failure[type(exc)], None, protocol.command_line(operation, loaded))
    envelope.warn(answer.warnings)
    if answer.followed is not None:
        answer.result["url"] = following.url_of(answer)
        envelope.warn([f"The work continues: GET {answer.result['url']} returns its state"])
    command = protocol.command_line(operation, answer.arguments)
    if answer.followed is not None:
        return envelope.ok(name, plan.begun(answer.result), answer.result, command)
    text, failure = plan.text(answer.result), plan.failure(answer.result)
    if failure is not None:
        return envelope.failed(text, failure, answer.result, command)
    return envelope.ok(name, text, answer.result, command)
