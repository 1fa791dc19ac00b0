"""
The warm process that jobs are forked from: Airflow is imported in it, and nothing else ever happens there.

One belongs to each web worker that runs jobs; it ends when that worker does. It has one thread, opens no connection to
the database, and runs no user code.
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

#: What it says when Airflow is imported.
READY = "ready"
#: The words that a link comes with: what its job is.
ANY, WITH_TASK = b"-", b"t"


def main(descriptor: int) -> None:
    """Fork a supervisor for each link that comes in, until nobody is at the other end."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    control = Channel.of(descriptor)
    _import_airflow()
    try:
        redaction.of_configuration(control.receive())
        control.send(READY)
    except (EOFError, ConnectionError):
        return
    while True:
        readable, _, _ = select.select([control], [], [], 1)
        _reap()
        if not readable:
            _make_api()
            continue
        taken = control.take_over()
        if taken is None:
            return
        channel, word = taken
        if word == WITH_TASK:
            _make_api()
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
def _make_api() -> None:
    """Create the execution API once, when idle or when a task needs it; it takes seconds."""
    from native_api.adapters.compat import airflow

    try:
        airflow().user_code.make_api()
    except Exception:
        # Jobs that have no task need none; one that asks for it tells in its log what is wrong.
        log.warning("Airflow's API could not be made for tasks", exc_info=True)
    _share()


def _share() -> None:
    """Freeze the objects in memory, so that forks keep sharing their pages."""
    gc.collect()
    gc.freeze()


def _supervise(channel: Channel) -> None:
    from native_api.adapters.sandbox.guard import guarded
    from native_api.adapters.sandbox.supervisor import Supervisor

    guarded(Supervisor(channel).run)


def _reap() -> None:
    try:
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
    except ChildProcessError:
        pass
