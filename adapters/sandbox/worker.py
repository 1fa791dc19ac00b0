"""The process that runs a job's function: its limits, its surroundings, and how what it gives is written down."""

from __future__ import annotations

import json
import math
import os
import resource
import signal
import sys
import time
import traceback
from contextlib import contextmanager
from dataclasses import asdict, fields
from importlib import import_module
from pathlib import Path
from types import TracebackType
from typing import Any, Callable, Dict, Iterator, Mapping, Optional, TextIO

from native_api.adapters import private_files
from native_api.adapters.compat import airflow
from native_api.adapters.sandbox.redaction import learn_secrets, redacted
from native_api.errors import NativeApiError

#: Of a job's seconds those that are left for what it has found out to be put together; of a short one a tenth.
_TO_TELL = 5

_ends_at = math.inf


def work(
    function: str,
    arguments: Mapping[str, Any],
    *,
    result: Path,
    result_bytes: int,
    secrets_to: int,
    memory_mb: int,
    seconds: float,
) -> None:
    """
    Run the function, write what it gives to *result* and end the process.

    :param function: ``module:function``.
    :param result_bytes: how large it may be.
    :param secrets_to: the descriptor that secrets are told to as they come to be known.
    :param seconds: when it is ended.
    """
    global _ends_at
    _ends_at = time.monotonic() + seconds - min(_TO_TELL, seconds / 10)
    with ending():
        _set_limits(memory_mb)
        _surround()
        learn_secrets(secrets_to)
        private_files.write(result, _text_of(outcome_of(function, arguments), result_bytes))


def ends_at() -> float:
    """Return the moment, of the monotonic clock, at which this job must have its result to be heard in time."""
    return _ends_at


@contextmanager
def ending() -> Iterator[None]:
    """End the process here, whatever happens in between: nothing that the fork was made from is to run on in it."""
    code = 1
    try:
        yield
        code = 0
    except BaseException:
        traceback.print_exc()
    finally:
        _flush()
        os._exit(code)


def outcome_of(function: str, arguments: Mapping[str, Any]) -> Dict[str, Any]:
    """Return what ``module:function`` returned, or the error that it raised, whatever that is."""
    module, name = function.split(":")
    return outcome_of_call(lambda: getattr(import_module(module), name)(**arguments))


def outcome_of_call(call: Callable[[], Any]) -> Dict[str, Any]:
    """Return what the call returned, or the error that it raised, whatever that is."""
    try:
        return {"result": call()}
    except NativeApiError as exc:
        return {"error": {"ours": type(exc).__name__, "data": _data(exc)}}
    except BaseException as exc:
        return {"error": _told(exc)}


def _data(exc: NativeApiError) -> Dict[str, Any]:
    """Return the error's data, with the secrets masked in what comes from user code."""
    data = asdict(exc)
    theirs = [field.name for field in fields(exc) if field.metadata.get("of_user_code")]
    return {**data, **{name: redacted(data[name]) for name in theirs}}


def _told(exc: BaseException) -> Dict[str, Any]:
    code = exc.code if isinstance(exc, SystemExit) else None
    return {
        "exception": type(exc).__qualname__,
        "message": redacted(str(exc)),
        "traceback": redacted("".join(traceback.format_exception(type(exc), exc, _beyond_ours(exc)))),
        "exit_code": code if isinstance(code, int) else None,
    }


def _beyond_ours(exc: BaseException) -> Optional[TracebackType]:
    """Return the traceback without the two calls here that led to the job's function."""
    begin = exc.__traceback__
    for _ in range(2):
        begin = begin.tb_next if begin is not None and begin.tb_next is not None else begin
    return begin


def _text_of(outcome: Mapping[str, Any], limit: int) -> str:
    try:
        text = json.dumps(outcome, allow_nan=False)
    except (TypeError, ValueError, RecursionError) as exc:
        error = {"exception": type(exc).__name__, "message": f"JSON cannot hold the result: {exc}"}
        return json.dumps({"error": error})
    if len(text) > limit:
        message = f"The result is larger than {limit} bytes."
        return json.dumps({"error": {"exception": "ResultTooLarge", "message": message}})
    return text


def _set_limits(memory_mb: int) -> None:
    # The address space is not bounded: mapped libraries and the stacks of threads count as such.
    for limit, value in ((resource.RLIMIT_DATA, memory_mb * 1024 * 1024), (resource.RLIMIT_CORE, 0)):
        _, most = resource.getrlimit(limit)
        resource.setrlimit(limit, (value if most == resource.RLIM_INFINITY else min(value, most), most))


def _surround() -> None:
    signal.signal(signal.SIGTERM, _end)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    # The server's own streams may have led to a file, whose place in it means nothing here.
    sys.stdout = sys.__stdout__ = _stream(1)  # type: ignore[assignment,misc]
    sys.stderr = sys.__stderr__ = _stream(2)  # type: ignore[assignment,misc]
    airflow().user_code.enter()


def _stream(descriptor: int) -> TextIO:
    return open(descriptor, "w", buffering=1, encoding="utf-8", errors="backslashreplace", closefd=False)


def _end(number: int, frame: Any) -> None:
    raise SystemExit(128 + number)


def _flush() -> None:
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (OSError, ValueError):
            # User code may have closed it.
            continue
