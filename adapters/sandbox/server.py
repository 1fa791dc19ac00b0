"""
The warm process, from which jobs are forked: it has imported Airflow and does nothing else.

All workers of a web server share one. It ends with the web server, or when it has run no job for long. It has one
thread and no database connection when it forks, and runs no DAG code.
"""

from __future__ import annotations

import gc
import logging
import os
import select
import shutil
import signal
import socket
import struct
import threading
import time
from contextlib import suppress
from functools import lru_cache
from typing import Callable, List, NoReturn, Optional

import psutil

from native_api.adapters.sandbox import process_tree, redaction
from native_api.adapters.sandbox.channel import Channel
from native_api.adapters.sandbox.messages import Setup

log = logging.getLogger(__name__)

#: The interval at which it checks whether the web server runs, in seconds.
_WATCH_SECONDS = 1.0
#: The timeout for the first message of a job, which is sent together with the connection, in seconds.
_MESSAGE_SECONDS = 5
#: If the import at idle priority has got less than this share of a processor, a job that waits starts another one.
_SHARE = 0.5
#: The process id, the user and the group at the other end of a Unix socket.
_CREDENTIALS = struct.Struct("3i")


def main(setup: Setup) -> None:
    """
    Import Airflow, and fork a supervisor for each connection, until the web server ends or no job has come for long.

    :param setup: what the web worker that has started this process sends.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    with suppress(psutil.NoSuchProcess):
        _WarmProcess(setup).run()
    # The thread that imports Airflow can be running.
    os._exit(0)


class _WarmProcess:
    def __init__(self, setup: Setup) -> None:
        self._setup = setup
        self._server = psutil.Process(setup["server"])
        self._listener = socket.socket(fileno=setup["listener"])
        # Clients see the credentials of the process that has done so last.
        self._listener.listen()
        self._error: Optional[BaseException] = None
        #: Connections of jobs that came before Airflow was imported.
        self._early: List[socket.socket] = []

    def run(self) -> None:
        try:
            has_imported = self._import()
            if has_imported and self._error is None:
                redaction.mask_configured(self._setup["mask"])
                _share()
                self._serve()
        finally:
            # The next job starts another warm process.
            shutil.rmtree(os.path.dirname(self._setup["address"]), ignore_errors=True)
        while has_imported and (self._early or self._is_awaited(0)):
            self._accept()

    # The import of Airflow

    def _import(self) -> bool:
        """Import Airflow in a thread, whose priority can be lower; return False if this process is to end instead."""
        imports = threading.Thread(target=self._import_airflow, daemon=True)
        begun = time.monotonic()
        imports.start()
        while imports.is_alive():
            imports.join(_WATCH_SECONDS)
            if not self._server_runs():
                return False
            if imports.is_alive() and self._has_early() and self._is_starved(time.monotonic() - begun):
                return False
        return True

    def _has_early(self) -> bool:
        """Accept the connections that there are, and return whether a job waits; others see whether this one exists."""
        while self._is_awaited(0):
            self._early.append(self._listener.accept()[0])
        self._early = [end for end in self._early if not _is_closed(end)]
        return bool(self._early)

    def _is_starved(self, seconds: float) -> bool:
        # Without privileges a thread cannot raise its priority again.
        return not self._setup["at_once"] and time.process_time() < _SHARE * seconds

    def _import_airflow(self) -> None:
        if not self._setup["at_once"]:
            _become_idle()
        try:
            _import_airflow()
            if not self._setup["at_once"]:
                _create_execution_api()
        except BaseException as exc:
            log.exception("Airflow could not be imported")
            self._error = exc

    # Jobs

    def _serve(self) -> None:
        last_job = time.monotonic()
        while True:
            if self._early or self._is_awaited(_WATCH_SECONDS):
                self._accept()
                last_job = time.monotonic()
            elif not self._server_runs() or time.monotonic() - last_job > self._setup["idle_seconds"]:
                return
            else:
                _rehearse()
                _create_execution_api()
            process_tree.reap()

    def _is_awaited(self, seconds: float) -> bool:
        return bool(select.select([self._listener], [], [], seconds)[0])

    def _accept(self) -> None:
        """Accept a connection and fork a supervisor for it."""
        end = self._early.pop(0) if self._early else self._listener.accept()[0]
        channel = Channel(end)
        try:
            if _is_of_this_user(end):
                self._answer(channel)
        except (EOFError, OSError):
            # The web worker has ended.
            pass
        finally:
            channel.close()

    def _answer(self, channel: Channel) -> None:
        needs_execution_api = channel.receive(_MESSAGE_SECONDS)
        if self._error is not None:
            error = {"exception": type(self._error).__name__, "message": str(self._error)}
            channel.send({"state": "unavailable", "error": error})
            return
        if needs_execution_api:
            _create_execution_api()
        if os.fork() == 0:
            for inherited in (self._listener, *self._early):
                inherited.close()
            _supervise(channel)

    def _server_runs(self) -> bool:
        try:
            return bool(self._server.is_running() and self._server.status() != psutil.STATUS_ZOMBIE)
        except psutil.NoSuchProcess:
            return False


def _become_idle() -> None:
    """Let this thread, on Linux, run only when no other process needs the processor."""
    with suppress(OSError, AttributeError):
        os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))


def _is_closed(end: socket.socket) -> bool:
    try:
        return end.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT) == b""
    except BlockingIOError:
        return False
    except OSError:
        return True


def _is_of_this_user(end: socket.socket) -> bool:
    """Return whether the process at the other end has the user of this process."""
    try:
        credentials = end.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
    except AttributeError:
        # Only Linux has it; the folder of the socket has the permissions of this user.
        return True
    return bool(_CREDENTIALS.unpack(credentials)[1] == os.geteuid())


def _import_airflow() -> None:
    from native_api.adapters.compat import airflow
    from native_api.adapters.sandbox import guard, supervisor, worker  # noqa: F401

    airflow().user_code.preload()


@lru_cache(maxsize=None)
def _create_execution_api() -> None:
    """Create the execution API once, when idle or when a task needs it; it takes seconds."""
    from native_api.adapters.compat import airflow

    # Only jobs that run a task need it; the log of such a job has the error.
    _prepare("The in-process execution API could not be created", airflow().user_code.create_execution_api)


@lru_cache(maxsize=None)
def _rehearse() -> None:
    """Run the statements of jobs once, when idle, so that SQLAlchemy has compiled them in each fork."""
    from airflow import settings

    from native_api.adapters.compat import airflow

    _prepare("The statements of jobs could not be compiled in advance", airflow().test_runs.rehearse)
    settings.Session.remove()  # type: ignore[union-attr]


def _prepare(failure: str, prepare: Callable[[], None]) -> None:
    """Call what prepares this process for jobs, and log the failure: it can be any of Airflow's, and ends no job."""
    try:
        prepare()
    except Exception:
        log.warning(failure, exc_info=True)
    _share()


def _share() -> None:
    """Exclude the present objects from garbage collection, so that forks share their memory pages."""
    gc.collect()
    gc.freeze()


def _supervise(channel: Channel) -> NoReturn:
    from native_api.adapters.sandbox.guard import run_guarded
    from native_api.adapters.sandbox.supervisor import Supervisor

    try:
        run_guarded(Supervisor(channel).run)
    finally:
        os._exit(1)
