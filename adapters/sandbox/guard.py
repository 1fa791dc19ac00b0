"""The parent process of a supervisor: if the supervisor is killed, it kills the processes of the job."""

from __future__ import annotations

import os
import signal
from typing import Callable, NoReturn

from native_api.adapters.sandbox import process_tree


def run_guarded(supervise: Callable[[], None]) -> NoReturn:
    """
    Run a function in a child process and exit after it.

    If the child fails or is killed, all its descendants are killed.
    """
    os.setsid()
    _redirect_to_null()
    process_tree.adopt_orphans()
    supervisor = os.fork()
    if supervisor == 0:
        _run(supervise)
    # A signal to the whole process group reaches the supervisor, too, which terminates the job.
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    _, status = os.waitpid(supervisor, 0)
    if status:
        process_tree.kill_descendants()
    os._exit(0)


def _run(supervise: Callable[[], None]) -> NoReturn:
    code = 1
    try:
        supervise()
        code = 0
    finally:
        os._exit(code)


def _redirect_to_null() -> None:
    # A job in the background would keep the output of the web server open.
    null = os.open(os.devnull, os.O_RDWR)
    for descriptor in (0, 1, 2):
        os.dup2(null, descriptor)
    os.close(null)
