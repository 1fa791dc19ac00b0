"""What the web server of the installed Airflow is; it is asked before anything of Airflow is loaded."""

from __future__ import annotations

import multiprocessing
import os
import sys
from contextlib import suppress
from importlib.util import find_spec

from native_api.adapters.compat.installed import version


def mounts_fastapi() -> bool:
    """Return whether it is a FastAPI app, into which others are mounted; on Airflow 2 it is a Flask app."""
    return version() >= (3, 0)


def shows_views() -> bool:
    """Return whether Airflow's menu has views of plugins, which open in a frame."""
    return version() >= (3, 1)


def shows_links() -> bool:
    """
    Return whether Airflow's menu has the links that a plugin has when the web server starts.

    3.0 makes a Flask app for them, and does not start where the FAB provider is missing, which it needs for that.
    """
    return version() < (3, 1) and not shows_late_links()


def shows_late_links() -> bool:
    """Return whether Airflow's menu has the links of a plugin that has none when the web server starts."""
    return (3, 0) <= version() < (3, 1) and find_spec("airflow.providers.fab") is None


def has_session_in_pages() -> bool:
    """Return whether Airflow's pages move the login from its cookie into their own storage, as those of 3.0 do."""
    return mounts_fastapi() and not shows_views()


def longest_request() -> int:
    """Return how long a request may take, in seconds; on Airflow 2 gunicorn ends a worker that takes 120."""
    return 3600 if mounts_fastapi() else 90


def longest_body() -> int:
    """
    Return how long the body of a request may take to arrive, in seconds.

    With this, and the time that a job waits for its slot, a request on Airflow 2 stays below gunicorn's 120 seconds.
    """
    return 3600 if mounts_fastapi() else 20


def is_running() -> bool:
    """Return whether this process is a web server or a web worker; a command or a test can create its app, too."""
    return "airflow.api_fastapi.main" in sys.modules if mounts_fastapi() else _has_gunicorn()


def forks_workers() -> bool:
    """Return whether this process can be gunicorn's, which forks its workers after it has created the app."""
    return is_running() and _has_gunicorn()


def pid() -> int:
    """
    Return the process id of the web server of which this process is a worker, or of this process.

    Call it where the app is created: by gunicorn's own process, from which its workers are forked, or by each worker.
    """
    if is_running() and (multiprocessing.parent_process() or (_has_gunicorn() and _is_gunicorn(os.getppid()))):
        return os.getppid()
    return os.getpid()


def _has_gunicorn() -> bool:
    # serve_logs of Airflow imports gunicorn, too; other processes can have the variable from a web worker.
    return "gunicorn.arbiter" in sys.modules and os.environ.get("SERVER_SOFTWARE", "").startswith("gunicorn")


def _is_gunicorn(some_pid: int) -> bool:
    import psutil

    with suppress(psutil.Error):
        process = psutil.Process(some_pid)
        return process.exe() == psutil.Process().exe() and "gunicorn" in " ".join(process.cmdline())
    return False
