"""
The warm process, from which jobs are forked: it has imported Airflow and does nothing else.

Each web worker that runs jobs has one, which ends with the web worker. It has one thread, opens no database
connection, and runs no DAG code.
"""

from __future__ import annotations

import gc
import logging
import os
import select
import signal
from functools import lru_cache

from native_api.adapters.sandbox import redaction
from native_api.adapters.sandbox.channel import Channel

log = logging.getLogger(__name__)

#: The message that Airflow is imported.
READY = "ready"
#: The byte that is sent with the channel of a job: whether the job needs the execution API.
ANY, NEEDS_EXECUTION_API = b"-", b"t"


def main(descriptor: int) -> None:
    """
    Fork a supervisor for each channel that is received, until the web worker ends.

    :param descriptor: that of the channel to the web worker.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    control = Channel.from_descriptor(descriptor)
    _import_airflow()
    try:
        redaction.mask_configured(control.receive())
        control.send(READY)
    except (EOFError, ConnectionError):
        return
    while True:
        readable, _, _ = select.select([control], [], [], 1)
        _reap()
        if not readable:
            _create_execution_api()
            continue
        taken = control.receive_channel()
        if taken is None:
            return
        channel, word = taken
        if word == NEEDS_EXECUTION_API:
            _create_execution_api()
        if os.fork() == 0:
            control.close()
            _supervise(channel)
        channel.close()


def _import_airflow() -> None:
    from native_api.adapters.compat import airflow
    from native_api.adapters.sandbox import guard, supervisor, worker  # noqa: F401

    airflow().user_code.preload()
    _share()


@lru_cache(maxsize=None)
def _create_execution_api() -> None:
    """Create the execution API once, when idle or when a task needs it; it takes seconds."""
    from native_api.adapters.compat import airflow

    try:
        airflow().user_code.create_execution_api()
    except Exception:
        # Only jobs that run a task need it; the log of such a job has the error.
        log.warning("The in-process execution API could not be created", exc_info=True)
    _share()


def _share() -> None:
    """Exclude the present objects from garbage collection, so that forks share their memory pages."""
    gc.collect()
    gc.freeze()


def _supervise(channel: Channel) -> None:
    from native_api.adapters.sandbox.guard import run_guarded
    from native_api.adapters.sandbox.supervisor import Supervisor

    run_guarded(Supervisor(channel).run)


def _reap() -> None:
    try:
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
    except ChildProcessError:
        pass
