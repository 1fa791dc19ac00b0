"""Airflow's command-line operations as an in-process API: library calls instead of subprocesses."""

from __future__ import annotations

from typing import Any, Dict, List

from native_api.version import __version__

__all__ = ["__version__", "call", "operations"]

# Airflow loads the plugin in every process: what is imported before it is asked for costs all of them.


def call(name: str, /, **arguments: Any) -> Dict[str, Any]:
    """
    Run the operation *name* in this process and return its result.

    The arguments and the result are those of the HTTP API; :func:`operations` lists them. A date may be a
    ``datetime.date``, a file a ``Path`` or an open file, and ``in_background`` is another name of ``async``, which is a
    keyword of Python. No caller is checked: it is your own process.

    :raises native_api.errors.NativeApiError: the error that the HTTP API would answer with.
    """
    from native_api import python_api

    return python_api.call(name, arguments)


def operations() -> List[Dict[str, Any]]:
    """
    Return each operation by name: what it does, its effect, and its arguments as :func:`call` takes them.

    An item has ``name``, ``summary``, ``description``, ``effect`` (read, write, execute, deploy or daemon) and
    ``arguments``; an argument has ``name``, ``required`` and its JSON schema.
    """
    from native_api import python_api

    return python_api.operations()
