"""
The legacy API: the protocol of airflow-rest-api-plugin 1.0.9.

``envelope.py`` has the format of responses, ``protocol.py`` the definition of a name, and ``names/`` a module for each
noun with its names, their arguments and their output.
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
from native_api.http import asynchronous, request_reading
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
    Return the arguments of the request.

    If the query string has the name, a caller who cannot call its operation is refused before the body is received.
    """
    arguments = Arguments(request.args, MultiDict())
    envelope.start(arguments)
    operation = _admitted(arguments, identity) if arguments.get("api") else None
    if request.method in ("GET", "HEAD"):
        return arguments
    request_reading.receive_body(identity, operation)
    files = {name: Upload(upload.stream, upload.filename or "") for name, upload in request.files.items()}
    form = request_reading.form()
    arguments = Arguments(request.args, form, files)
    envelope.start(arguments)
    if operation is None:
        _admitted(arguments, identity)
    if request_reading.looks_like_json(form) or (request.is_json and request.get_data()):
        envelope.warn(["Ignored the body, which is JSON: arguments are sent in the query string or as a form"])
    return arguments


def _admitted(arguments: Arguments, identity: Identity) -> Optional[Operation]:
    """Require that the caller can call the operation of a name, and return it; None if it depends on arguments."""
    name = protocol.find(arguments)
    if not name.operation:
        return None
    operation = registry.get(name.operation)
    dispatch.admit(operation, identity.caller)
    return operation


@in_shape(error)
def call() -> Response:
    """Call the operation of a name of the old protocol and return its output in the old format."""
    identity = credentials.identify(request)
    asynchronous.warm_sandbox()
    if request.method not in ("GET", "HEAD", "POST"):
        raise MethodNotAllowed("api", "GET, POST")
    arguments = _arguments(identity)
    name = protocol.find(arguments)
    plan = name.plan(arguments)
    operation = registry.get(plan.operation)
    if request.method == "HEAD" and operation.effect is not Effect.READ:
        raise MethodNotAllowed(operation.name, "GET, POST")
    credentials.require_intent(request, identity, operation.effect)
    plan, warnings = plan.with_operation_arguments(name, arguments, operation)
    envelope.warn(warnings)
    try:
        response = dispatch.call(
            plan.operation,
            plan.arguments,
            caller=identity.caller,
            whole_lists=True,
            client_is_gone=client_is_gone(request),
        )
    except NativeApiError as exc:
        if type(exc) not in plan.no_error:
            raise
        # The old command printed this and exited with 0.
        loaded = dispatch.load(operation, plan.arguments)
        return envelope.ok(name, plan.no_error[type(exc)], None, protocol.command_line(operation, loaded))
    envelope.warn(response.warnings)
    if response.state_call is not None:
        response.result["url"] = asynchronous.state_url(response)
        envelope.warn([f"The work continues: GET {response.result['url']} returns its state"])
    command = protocol.command_line(operation, response.arguments)
    if response.state_call is not None:
        return envelope.ok(name, "", response.result, command)
    text, failure = plan.text(response.result), plan.failure(response.result)
    if failure is not None:
        return envelope.failed(text, failure, response.result, command)
    return envelope.ok(name, text, response.result, command)
