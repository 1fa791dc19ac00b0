"""
The warm process that jobs are forked from: Airflow is imported in it, and nothing else ever happens there.

One belongs to each web worker that runs jobs; it ends when that worker does. It has one thread, opens no connection to
the database, and runs no user code.
"""

from __future__ import annotations

import gc
import os
import select
import signal

from native_api.adapters.sandbox.link import Link

#: What it says when Airflow is imported.
READY = "ready"


def main(descriptor: int) -> None:
    """Fork a supervisor for each link that comes in, until nobody is at the other end."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    control = Link.of(descriptor)
    _import_airflow()
    control.send(READY)
    while True:
        readable, _, _ = select.select([control], [], [], 1)
        _reap()
        if not readable:
            continue
        link = control.take_over()
        if link is None:
            return
        if os.fork() == 0:
            control.close()
            _supervise(link)
        link.close()


def _import_airflow() -> None:
    from native_api.adapters.sandbox import guard, supervisor, worker  # noqa: F401
    from native_api.adapters.seam import airflow

    airflow().user_code.preload()
    gc.collect()
    # What is there now is never looked at again, so that the forks go on sharing it.
    gc.freeze()


def _supervise(link: Link) -> None:
    from native_api.adapters.sandbox.guard import guarded
    from native_api.adapters.sandbox.supervisor import Supervisor

    guarded(Supervisor(link).run)


def _reap() -> None:
    try:
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
    except ChildProcessError:
        pass
