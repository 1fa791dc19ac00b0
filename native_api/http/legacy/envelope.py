"""The format of the responses of the old protocol."""

from __future__ import annotations

from datetime import datetime, timezone
from http import HTTPStatus
from typing import Any, Callable, Dict, List, Mapping, Optional, Type

from flask import Response, g
from werkzeug.http import http_date

from native_api.adapters.compat import airflow
from native_api.adapters.connections.uris import masked_extra, masked_uri
from native_api.errors import DagFileExists, DagNotFound, Invalid, NativeApiError, TokenRefused, UserCodeFailed
from native_api.http.legacy.protocol import Arguments, LegacyName
from native_api.http.responses import json_response

#: The statuses of the old plugin for errors that have another one here.
STATUSES = {
    Invalid: HTTPStatus.BAD_REQUEST,
    DagNotFound: HTTPStatus.BAD_REQUEST,
    DagFileExists: HTTPStatus.BAD_REQUEST,
    TokenRefused: HTTPStatus.FORBIDDEN,
}

#: The messages of the old plugin, which clients may compare, for errors whose message has advice, too.
_SENTENCES: Dict[Type[NativeApiError], Callable[[Any], str]] = {
    DagFileExists: lambda exc: f"The file '{exc.path}' already exists on host '{exc.hostname}'.",
}

#: How to mask arguments that contain a secret but do not have a sensitive name.
_OWN_MASKS = {"broker_api": masked_uri, "conn_uri": masked_uri, "conn_extra": masked_extra, "extra": masked_extra}


def start(arguments: Arguments) -> None:
    """Store the arguments and the time of the call for the response of this request."""
    g.native_api_envelope = {
        "call_time": _now(),
        "arguments": _masked(arguments.query, arguments),
        "post_arguments": _masked(arguments.form, arguments),
    }
    g.native_api_warnings = []


def warn(warnings: List[str]) -> None:
    """Add warnings to the response."""
    g.native_api_warnings.extend(warnings)


def ok(name: LegacyName, text: str, result: Optional[Mapping[str, object]], command: Optional[str]) -> Response:
    """
    Return the response of a successful call.

    :param text: the output.
    :param result: the result of the operation, or None.
    :param command: the equivalent command, or None.
    """
    body = _body("OK", HTTPStatus.OK)
    body["output"] = {"stdin": "", "stdout": text, "stderr": ""} if name.prints else text
    if name.prints:
        body["airflow_cmd"] = command
    body["result"] = result
    return json_response(body)


def failed(text: str, failure: str, result: Mapping[str, object], command: Optional[str]) -> Response:
    """Return the response of a call whose DAG code failed; *failure* is its standard error."""
    body = _body("ERROR", HTTPStatus.UNPROCESSABLE_ENTITY)
    body["output"] = {"stdin": "", "stdout": text, "stderr": failure}
    body["code"] = UserCodeFailed.code
    body["airflow_cmd"] = command
    body["result"] = result
    return json_response(body, HTTPStatus.UNPROCESSABLE_ENTITY)


def error(exc: NativeApiError) -> Response:
    """Return the response for an error."""
    status = STATUSES.get(type(exc), exc.status)
    body = _body("ERROR", status)
    body["output"] = _SENTENCES.get(type(exc), str)(exc)
    body["code"] = exc.code
    return json_response(body, status, headers=exc.headers())


def _body(status: str, code: HTTPStatus) -> Dict[str, object]:
    body = {"status": status, "http_response_code": int(code), "call_time": _now()}
    body.update(g.get("native_api_envelope", {}))
    body["response_time"] = _now()
    warnings = g.get("native_api_warnings")
    if warnings:
        body["warning"] = "; ".join(warnings)
    return body


def _now() -> str:
    return http_date(datetime.now(timezone.utc))


def _masked(sent: Mapping[str, str], arguments: Arguments) -> Dict[str, object]:
    """Return arguments with secrets masked."""
    return {
        name: _OWN_MASKS[name](value) if name in _OWN_MASKS else airflow().masked(value, _named(name, arguments))
        for name, value in sent.items()
    }


def _named(name: str, arguments: Arguments) -> Optional[str]:
    if name == "value":
        return arguments.get("key")
    if name == "set":
        return (arguments.get("set") or "").partition(" ")[0]
    return name
