"""The operations that the console offers a caller, and the command that is equivalent to a call."""

from __future__ import annotations

from typing import Dict, List, Mapping, Optional, Tuple

from flask import Response, g, request, session

from native_api import audit, credentials, dispatch, registry
from native_api.adapters.compat import airflow, web_server
from native_api.errors import Invalid, MethodNotAllowed, NativeApiError
from native_api.http import request_reading
from native_api.http.legacy import protocol
from native_api.http.legacy.name_index import names_by_operation
from native_api.http.responses import in_shape, json_response
from native_api.http.typed import json_body, problem
from native_api.permissions import Access, Caller
from native_api.registry import Operation
from native_api.version import __version__


@in_shape(problem)
def offers() -> Response:
    """Return the caller, the operations that the caller can call on some resource, and why not the others."""
    identity = credentials.identify(request)
    if request.method not in ("GET", "HEAD"):
        raise MethodNotAllowed("console.json", "GET")
    offered, refused = _sorted_by_rights(identity.caller)
    return json_response(
        {
            "plugin_version": __version__,
            "airflow_version": airflow().version,
            "user": identity.caller.name,
            "default_timezone": str(airflow().default_timezone()),
            "authorization": "Bearer" if web_server.mounts_fastapi() else "Basic",
            "csrf_token": _csrf_token(),
            "operations": [_described(operation) for operation in offered],
            "refused": [{"name": operation.name, "reason": reason} for operation, reason in refused],
        }
    )


@in_shape(problem)
def command() -> Response:
    """Return the Airflow command that is equivalent to a call; null if there is none or an argument is invalid."""
    identity = credentials.identify(request)
    if request.method != "POST":
        raise MethodNotAllowed("console/command", "POST")
    request_reading.receive_body(identity)
    body = json_body()
    wrong = {
        name: ["Missing data for required field." if name not in body else f"Not a valid {kind.__name__}."]
        for name, kind in (("operation", str), ("arguments", dict))
        if not isinstance(body.get(name), kind)
    }
    if wrong:
        raise Invalid(wrong)
    return json_response({"command": _command(registry.get(body["operation"]), body["arguments"])})


def _command(operation: Operation, arguments: Mapping[str, object]) -> Optional[str]:
    try:
        return protocol.command_line(operation, dispatch.load(operation, arguments))
    except NativeApiError:
        # The call returns the error.
        return None


def _csrf_token() -> Optional[str]:
    if "csrf_token" not in session:
        # Save the new token in the session.
        g.native_api_keeps_session = True
    return airflow().rights.csrf_token()


def _described(operation: Operation) -> Dict[str, object]:
    fields = operation.request.fields
    return {
        "name": operation.name,
        "tag": operation.tag,
        "summary": operation.summary,
        "effect": operation.effect.value,
        "legacy": sorted(names_by_operation().get(operation.name, ())),
        # Arguments that the console does not put into a link or a command.
        "secret": sorted(name for name, field in fields.items() if audit.hides(name, field)),
        "uploads": {name: field.metadata["upload"] for name, field in fields.items() if field.metadata.get("upload")},
    }


def _sorted_by_rights(caller: Caller) -> Tuple[List[Operation], List[Tuple[Operation, str]]]:
    """Return the operations that the caller can call, and the others with the reason."""
    reasons: Dict[Access, Optional[str]] = {}
    offered, refused = [], []
    for operation in registry.every():
        reason = _reason(operation, caller, reasons)
        if reason is None:
            offered.append(operation)
        else:
            refused.append((operation, reason))
    return offered, refused


def _reason(operation: Operation, caller: Caller, known: Dict[Access, Optional[str]]) -> Optional[str]:
    """Return why the caller cannot call the operation on any resource, or None; *known* caches checked rights."""
    try:
        caller.require_effect(operation.effect)
    except NativeApiError as exc:
        return str(exc)
    for right in operation.access:
        if right not in known:
            try:
                caller.require(right)
                known[right] = None
            except NativeApiError as exc:
                known[right] = str(exc)
        if known[right] is not None:
            return known[right]
    return None
