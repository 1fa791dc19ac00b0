"""The shape of every answer of the old protocol."""

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

#: Where the old plugin's status is another than that of the error.
STATUSES = {
    Invalid: HTTPStatus.BAD_REQUEST,
    DagNotFound: HTTPStatus.BAD_REQUEST,
    DagFileExists: HTTPStatus.BAD_REQUEST,
    TokenRefused: HTTPStatus.FORBIDDEN,
}

#: Sentences that the old plugin's clients may compare, where ours has a word of advice besides.
_SENTENCES: Dict[Type[NativeApiError], Callable[[Any], str]] = {
    DagFileExists: lambda exc: f"The file '{exc.path}' already exists on host '{exc.hostname}'.",
}

#: Arguments whose secrets are not known by their name.
_OWN_MASKS = {"broker_api": masked_uri, "conn_uri": masked_uri, "conn_extra": masked_extra, "extra": masked_extra}


def begin(arguments: Arguments) -> None:
    """Take down what the client sent, and when; before that an answer does not show the arguments."""
    g.native_api_envelope = {
        "call_time": _now(),
        "arguments": _masked(arguments.query, arguments),
        "post_arguments": _masked(arguments.form, arguments),
    }
    g.native_api_warnings = []


def warn(warnings: List[str]) -> None:
    """Add warnings to the response."""
    g.native_api_warnings.extend(warnings)


def ok(name: LegacyName, text: str, result: Optional[Mapping[str, Any]], command: Optional[str]) -> Response:
    """Return the answer of a call that went well."""
    body = _begun("OK", HTTPStatus.OK)
    body["output"] = {"stdin": "", "stdout": text, "stderr": ""} if name.prints else text
    if name.prints:
        body["airflow_cmd"] = command
    body["result"] = result
    return json_response(body)


def failed(text: str, failure: str, result: Mapping[str, Any], command: Optional[str]) -> Response:
    """Return the answer of a call that was done, of user code that failed."""
    body = _begun("ERROR", HTTPStatus.UNPROCESSABLE_ENTITY)
    body["output"] = {"stdin": "", "stdout": text, "stderr": failure}
    body["code"] = UserCodeFailed.code
    body["airflow_cmd"] = command
    body["result"] = result
    return json_response(body, HTTPStatus.UNPROCESSABLE_ENTITY)


def error(exc: NativeApiError) -> Response:
    """Return the answer of a call that did not."""
    status = STATUSES.get(type(exc), exc.status)
    body = _begun("ERROR", status)
    body["output"] = _SENTENCES.get(type(exc), str)(exc)
    body["code"] = exc.code
    return json_response(body, status, headers=exc.headers())


def _begun(status: str, code: HTTPStatus) -> Dict[str, Any]:
    body = {"status": status, "http_response_code": int(code), "call_time": _now()}
    body.update(g.get("native_api_envelope", {}))
    body["response_time"] = _now()
    warnings = g.get("native_api_warnings")
    if warnings:
        body["warning"] = "; ".join(warnings)
    return body


def _now() -> str:
    return http_date(datetime.now(timezone.utc))


def _masked(sent: Mapping[str, str], arguments: Arguments) -> Dict[str, Any]:
    """Return the arguments as they are shown: a value under the name that it is for."""
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
