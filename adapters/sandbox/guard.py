"""The process above a supervisor: where that is killed, it ends all that is left of the job."""

from __future__ import annotations

import os
import signal
from typing import Callable, NoReturn

from native_api.adapters.sandbox import process_tree


def guarded(supervise: Callable[[], None]) -> NoReturn:
    """Run the function in a process of its own and end when that has, with nothing of it left."""
    os.setsid()
    _be_silent()
    process_tree.adopt_orphans()
    supervisor = os.fork()
    if supervisor == 0:
        _run(supervise)
    # It ends when its supervisor has; whoever ends all processes at once leaves it to that to end the job.
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


def _be_silent() -> None:
    # What the web server's own output goes to must not stay open because of a job in the background.
    null = os.open(os.devnull, os.O_RDWR)
    for descriptor in (0, 1, 2):
        os.dup2(null, descriptor)
    os.close(null)
