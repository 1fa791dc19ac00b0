"""
The legacy face: the protocol of airflow-rest-api-plugin 1.0.9.

``envelope.py`` is the answer's shape, ``protocol.py`` what a name of the protocol is, and ``names/`` has one module
per noun with the arguments and the text of each name.
"""

from __future__ import annotations

from flask import Response, request
from werkzeug.datastructures import MultiDict

from native_api import calling, credentials, operations
from native_api.access import Effect
from native_api.errors import MethodNotAllowed, NativeApiError
from native_api.faces import following
from native_api.faces.boundary import in_shape
from native_api.faces.leaving import client_is_gone
from native_api.faces.legacy import envelope, protocol
from native_api.faces.legacy.envelope import error
from native_api.faces.legacy.protocol import Arguments
from native_api.uploads import Upload

__all__ = ["call", "error"]


def _arguments() -> Arguments:
    if request.method in ("GET", "HEAD"):
        return Arguments(request.args, MultiDict())
    files = {name: Upload(upload.read(), upload.filename or "") for name, upload in request.files.items()}
    return Arguments(request.args, request.form, files)


@in_shape(error)
def call() -> Response:
    """Answer a call of the old protocol."""
    identity = credentials.identify(request)
    following.warm_sandbox()
    if request.method not in ("GET", "HEAD", "POST"):
        raise MethodNotAllowed("api", "GET, POST")
    arguments = _arguments()
    envelope.begin(arguments)
    name = protocol.find(arguments)
    plan = name.plan(arguments)
    operation = operations.get(plan.operation)
    if request.method == "HEAD" and operation.effect is not Effect.READ:
        raise MethodNotAllowed(operation.name, "GET, POST")
    credentials.require_intent(request, identity, operation.effect)
    plan, warnings = plan.completed(name, arguments, operation)
    envelope.warn(warnings)
    try:
        answer = calling.call(
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
        loaded = calling.load(operation, plan.arguments)
        return envelope.ok(name, plan.no_failure[type(exc)], None, protocol.command_line(operation, loaded))
    envelope.warn(answer.warnings)
    if answer.followed is not None:
        answer.result["url"] = following.url_of(answer)
        envelope.warn([f"The work goes on: GET {answer.result['url']} tells how it stands"])
    command = protocol.command_line(operation, answer.arguments)
    if answer.followed is not None:
        return envelope.ok(name, plan.begun(answer.result), answer.result, command)
    text, failure = plan.text(answer.result), plan.failure(answer.result)
    if failure is not None:
        return envelope.failed(text, failure, answer.result, command)
    return envelope.ok(name, text, answer.result, command)
