"""The processes that a job leaves: found whatever session they are in, and ended."""

from __future__ import annotations

import ctypes
import os
import signal
import time
from contextlib import suppress
from typing import List

import psutil

_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36


def _prctl(option: int, value: int) -> None:
    # Linux; elsewhere a grandchild in a session of its own may be missed.
    with suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(option, value, 0, 0, 0)


def adopt_orphans() -> None:
    """Make this process the parent of every descendant whose own parent ends."""
    _prctl(_PR_SET_CHILD_SUBREAPER, 1)


def die_with_parent(parent: int) -> None:
    """Kill this process when its parent, the process *parent*, ends."""
    _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(1)


def descendants() -> List[psutil.Process]:
    """Return the processes below this one."""
    return [process for process in psutil.Process().children(recursive=True) if _is_alive(process)]


def kill_descendants() -> None:
    """Kill every process below this one, and wait until none is left."""
    while True:
        left = descendants()
        for process in left:
            with suppress(psutil.NoSuchProcess):
                process.kill()
        reap()
        if not left:
            return
        time.sleep(0.01)


def reap() -> None:
    """Take the exit status of those that have ended."""
    with suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass


def _is_alive(process: psutil.Process) -> bool:
    try:
        return bool(process.status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False
