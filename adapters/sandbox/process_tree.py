"""The descendants of a process: find and kill them in whatever session they are."""

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
    # Linux only. Elsewhere a grandchild in another session can be missed.
    with suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(option, value, 0, 0, 0)


def adopt_orphans() -> None:
    """Make this process the parent of each descendant whose parent ends, as Linux's ``PR_SET_CHILD_SUBREAPER`` does."""
    _prctl(_PR_SET_CHILD_SUBREAPER, 1)


def die_with_parent(parent: int) -> None:
    """
    Have Linux kill this process when its parent ends.

    :param parent: the process id of the parent, which can have ended already.
    """
    _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(1)


def terminate_with_parent(parent: int) -> None:
    """Send SIGTERM to this process when its parent, the process *parent*, ends."""
    _prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
    if os.getppid() != parent:
        os.kill(os.getpid(), signal.SIGTERM)


def descendants() -> List[psutil.Process]:
    """Return the descendants of this process that run."""
    return [process for process in psutil.Process().children(recursive=True) if _is_alive(process)]


def kill_descendants() -> None:
    """Kill the descendants of this process and wait until none is left."""
    while reap():
        for process in descendants():
            with suppress(psutil.NoSuchProcess):
                process.kill()
        time.sleep(0.01)


def reap() -> bool:
    """Wait for the children that have ended, so that no zombies remain, and return whether there are others."""
    try:
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
    except ChildProcessError:
        return False
    return True


def _is_alive(process: psutil.Process) -> bool:
    try:
        return bool(process.status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False
