"""The process that runs a job's function: its limits, its surroundings, and how what it gives is written down."""

from __future__ import annotations

import json
import os
import resource
import signal
import sys
import traceback
from contextlib import contextmanager
from dataclasses import asdict
from importlib import import_module
from pathlib import Path
from types import TracebackType
from typing import Any, Callable, Dict, Iterator, List, Mapping, Optional, TextIO

from native_api.adapters.sandbox.capture import Secrets
from native_api.adapters.seam import airflow
from native_api.errors import NativeApiError

#: The largest result, in bytes of JSON.
LARGEST_RESULT = 16 * 1024 * 1024


def work(function: str, arguments: Mapping[str, Any], *, result: Path, secrets_to: int, memory_mb: int) -> None:
    """
    Run the function, write what it gives to *result* and end the process.

    :param function: ``module:function``.
    :param secrets_to: the descriptor that secrets are told to as they come to be known.
    """
    secrets = _Told(secrets_to)
    with ending():
        _set_limits(memory_mb)
        _surround(secrets)
        result.write_text(_text_of(secrets.hide(outcome_of(function, arguments))))


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
        return {"error": {"ours": type(exc).__name__, "data": asdict(exc)}}
    except BaseException as exc:
        return {"error": _told(exc)}


def _told(exc: BaseException) -> Dict[str, Any]:
    code = exc.code if isinstance(exc, SystemExit) else None
    return {
        "exception": type(exc).__qualname__,
        "message": str(exc),
        "traceback": "".join(traceback.format_exception(type(exc), exc, _beyond_ours(exc))),
        "exit_code": code if isinstance(code, int) else None,
    }


def _beyond_ours(exc: BaseException) -> Optional[TracebackType]:
    """Return the traceback without the two calls here that led to the job's function."""
    begin = exc.__traceback__
    for _ in range(2):
        begin = begin.tb_next if begin is not None and begin.tb_next is not None else begin
    return begin


def _text_of(outcome: Mapping[str, Any]) -> str:
    try:
        text = json.dumps(outcome, allow_nan=False)
    except (TypeError, ValueError, RecursionError) as exc:
        error = {"exception": type(exc).__name__, "message": f"JSON cannot hold the result: {exc}"}
        return json.dumps({"error": error})
    if len(text) > LARGEST_RESULT:
        message = f"The result is larger than {LARGEST_RESULT} bytes."
        return json.dumps({"error": {"exception": "ResultTooLarge", "message": message}})
    return text


def _set_limits(memory_mb: int) -> None:
    # The address space is not bounded: mapped libraries and the stacks of threads count as such.
    for limit, value in ((resource.RLIMIT_DATA, memory_mb * 1024 * 1024), (resource.RLIMIT_CORE, 0)):
        _, most = resource.getrlimit(limit)
        resource.setrlimit(limit, (value if most == resource.RLIM_INFINITY else min(value, most), most))


def _surround(secrets: _Told) -> None:
    signal.signal(signal.SIGTERM, _end)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    # The server's own streams may have led to a file, whose place in it means nothing here.
    sys.stdout = sys.__stdout__ = _stream(1)  # type: ignore[assignment,misc]
    sys.stderr = sys.__stderr__ = _stream(2)  # type: ignore[assignment,misc]
    airflow().user_code.enter()
    airflow().user_code.watch_secrets(secrets.tell)


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


class _Told(Secrets):
    """The secrets of this process, told to its supervisor before anything can print them."""

    def __init__(self, descriptor: int) -> None:
        super().__init__()
        self._descriptor = descriptor

    def tell(self, patterns: List[str]) -> None:
        """Take down regular expressions that match secrets."""
        data = "".join(f"{json.dumps(pattern)}\n" for pattern in patterns).encode()
        while data:
            data = data[os.write(self._descriptor, data) :]
        self.add(patterns)

    def hide(self, value: Any) -> Any:
        """Return *value* with what is secret masked, by its text and by its name."""
        return airflow().masked(self._hide(value))

    def _hide(self, value: Any) -> Any:
        if isinstance(value, str):
            return self.hidden(value.encode(errors="surrogatepass")).decode(errors="surrogatepass")
        if isinstance(value, dict):
            return {self._hide(key): self._hide(item) for key, item in value.items()}
        if isinstance(value, (list, tuple)):
            return [self._hide(item) for item in value]
        return value
