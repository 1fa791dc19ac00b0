"""Airflow's command-line operations as an in-process API: library calls instead of subprocesses."""

from __future__ import annotations

from importlib import import_module
from typing import Any, Dict

__version__ = "0.1.0"

__all__ = ["__version__", "call", "operations"]


def call(name: str, /, **arguments: Any) -> Dict[str, Any]:
    """
    Run the operation *name* in this process and return its result.

    The arguments and the result are those of the HTTP API; ``native_api.operations()`` lists them. A date may be a
    ``datetime.date``, a file a ``Path`` or an open file, and ``in_background`` is another name of ``async``, which is a
    keyword of Python. No caller is checked: it is your own process.

    :raises native_api.errors.NativeApiError: the error that the HTTP API would answer with.
    """
    from native_api import calling
    from native_api import operations as registry
    from native_api.access import THIS_PROCESS
    from native_api.faces.python import loadable

    return calling.call(name, loadable(registry.get(name), arguments), caller=THIS_PROCESS).result


def __getattr__(name: str) -> Any:
    # Airflow loads the plugin in every process: what is imported before it is asked for costs all of them.
    if name == "operations":
        return import_module("native_api.operations")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
