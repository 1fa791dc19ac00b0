"""The process that runs the function of a job: it sets the limits, prepares Airflow, and writes the result."""

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
from types import FrameType, TracebackType
from typing import Callable, Dict, Iterator, Mapping, Optional, TextIO, Tuple

from native_api.adapters import private_files
from native_api.adapters.compat import airflow
from native_api.adapters.sandbox.messages import CallOutcome, ErrorData
from native_api.adapters.sandbox.redaction import learn_secrets, redacted
from native_api.errors import NativeApiError

#: Seconds before the timeout of a job that are reserved for the result; at most a tenth of the timeout.
_RESERVED_SECONDS = 5

_ends_at = math.inf
_inherited_streams: Tuple[Optional[TextIO], ...] = ()


def run(
    function: str,
    arguments: Mapping[str, object],
    *,
    result: Path,
    result_bytes: int,
    secrets_descriptor: int,
    memory_mb: int,
    seconds: float,
    on_executor: bool = False,
) -> None:
    """
    Run a function, write its result or its error to a file, and end the process.

    :param function: ``module:function``.
    :param arguments: the keyword arguments of the function.
    :param result: the file.
    :param result_bytes: the maximum size of the file.
    :param secrets_descriptor: the pipe to which secrets are reported.
    :param memory_mb: the maximum memory of the process, in MiB.
    :param seconds: the timeout of the job, which the supervisor enforces.
    :param on_executor: whether this process belongs to a task that Airflow's executor runs.
    """
    global _ends_at
    _ends_at = time.monotonic() + seconds - min(_RESERVED_SECONDS, seconds / 10)
    with ending():
        _set_limits(memory_mb)
        _prepare_process()
        airflow().user_code.enter_task() if on_executor else airflow().user_code.enter()
        learn_secrets(secrets_descriptor)
        private_files.write(result, _serialized(outcome_of(function, arguments), result_bytes))


def ends_at() -> float:
    """Return the time, on the monotonic clock, by which the function should return, to be before the timeout."""
    return _ends_at


@contextmanager
def ending() -> Iterator[None]:
    """End the process at the end of the block, whatever happens in it: a fork must not continue its parent's code."""
    code = 1
    try:
        yield
        code = 0
    except BaseException:
        traceback.print_exc()
    finally:
        _flush()
        os._exit(code)


def outcome_of(function: str, arguments: Mapping[str, object]) -> CallOutcome:
    """Call ``module:function`` and return ``{"result": …}``, or ``{"error": …}`` with the data of what it raised."""
    module, name = function.split(":")
    return outcome_of_call(lambda: getattr(import_module(module), name)(**arguments))


def outcome_of_call(call: Callable[[], object]) -> CallOutcome:
    """Return ``{"result": …}``, or ``{"error": …}`` with the data of whatever exception *call* raised."""
    try:
        return {"result": call()}
    except NativeApiError as exc:
        return {"error": {"ours": type(exc).__name__, "data": _data(exc)}}
    except BaseException as exc:
        return {"error": _error_data(exc)}


def _data(exc: NativeApiError) -> Dict[str, object]:
    """Return the data of an error, with the secrets masked in fields that come from DAG code."""
    data = asdict(exc)
    theirs = [field.name for field in fields(exc) if field.metadata.get("of_user_code")]
    return {**data, **{name: redacted(data[name]) for name in theirs}}


def _error_data(exc: BaseException) -> ErrorData:
    code = exc.code if isinstance(exc, SystemExit) else None
    return {
        "exception": type(exc).__qualname__,
        "message": redacted(str(exc)),
        "traceback": redacted("".join(traceback.format_exception(type(exc), exc, _user_traceback(exc)))),
        "exit_code": code if isinstance(code, int) else None,
    }


def _user_traceback(exc: BaseException) -> Optional[TracebackType]:
    """Return the traceback without the two frames of this module."""
    begin = exc.__traceback__
    for _ in range(2):
        begin = begin.tb_next if begin is not None and begin.tb_next is not None else begin
    return begin


def _serialized(outcome: CallOutcome, limit: int) -> str:
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
    # Not RLIMIT_AS: it counts mapped libraries and the stacks of threads.
    for limit, value in ((resource.RLIMIT_DATA, memory_mb * 1024 * 1024), (resource.RLIMIT_CORE, 0)):
        _, most = resource.getrlimit(limit)
        resource.setrlimit(limit, (value if most == resource.RLIM_INFINITY else min(value, most), most))


def _prepare_process() -> None:
    signal.signal(signal.SIGTERM, _exit_on_sigterm)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    global _inherited_streams
    # A task of Airflow 3 closes the descriptors with its streams.
    _inherited_streams = (sys.stdout, sys.stderr, sys.__stdout__, sys.__stderr__)
    # The streams of the web server can belong to a file with another position.
    sys.stdout = sys.__stdout__ = _open_stream(1)  # type: ignore[assignment,misc]
    sys.stderr = sys.__stderr__ = _open_stream(2)  # type: ignore[assignment,misc]


def _open_stream(descriptor: int) -> TextIO:
    return open(descriptor, "w", buffering=1, encoding="utf-8", errors="backslashreplace", closefd=False)


def _exit_on_sigterm(number: int, frame: Optional[FrameType]) -> None:
    raise SystemExit(128 + number)


def _flush() -> None:
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (OSError, ValueError):
            # DAG code can have closed the stream.
            continue
