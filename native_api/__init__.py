"""Airflow's command-line operations as an in-process API: library calls instead of subprocesses."""

from __future__ import annotations

from typing import Any, Dict, List

from native_api.version import __version__

__all__ = ["__version__", "call", "operations"]

# Airflow imports the plugin in every process, so this module imports little.


def call(name: str, /, **arguments: Any) -> Dict[str, Any]:
    """
    Run an operation in this process and return its result.

    The arguments and the result are those of the HTTP API; :func:`operations` lists them. A date can be a
    ``datetime.date``, a file a ``Path`` or an open file. ``in_background`` is another name of ``async``, which is a
    keyword of Python. No permissions are checked, and options such as ``allow_deploy`` do not apply.

    :param name: the name of the operation, for example ``trigger_dag``.
    :raises native_api.errors.NativeApiError: the error that the HTTP API would return.
    """
    from native_api import python_api

    return python_api.call(name, arguments)


def operations() -> List[Dict[str, Any]]:
    """
    Return a description of each operation, sorted by name.

    An item has ``name``, ``summary``, ``description``, ``effect`` (read, write, execute, deploy or daemon) and
    ``arguments``. An argument has ``name``, ``required`` and the keywords of its JSON schema.
    """
    from native_api import python_api

    return python_api.operations()
