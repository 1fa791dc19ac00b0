"""Airflow's command-line operations as an in-process API: library calls instead of subprocesses."""

from __future__ import annotations

from typing import Any, Dict

__version__ = "0.1.0"

__all__ = ["__version__", "call"]


def call(name: str, /, **arguments: Any) -> Dict[str, Any]:
    """
    Run the operation *name* in this process and return its result.

    The arguments and the result are those of the HTTP API. No caller is checked: it is your own process.

    :raises native_api.errors.NativeApiError: the error that the HTTP API would answer with.
    """
    from native_api import calling
    from native_api.access import THIS_PROCESS

    return calling.call(name, arguments, caller=THIS_PROCESS).result
