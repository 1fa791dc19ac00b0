"""How many jobs run at once on this machine, and how many wait: files that a running process has locked."""

from __future__ import annotations

import fcntl
import os
from contextlib import suppress
from pathlib import Path
from typing import Optional

from native_api.adapters import private


class Slots:
    """
    The places of one kind, shared by every process that names the same folder.

    A place is taken as long as the process that took it lives, however it ends.
    """

    def __init__(self, folder: Path, places: int, queue: int) -> None:
        self._running, self._waiting, self._places, self._queue = folder / "running", folder / "waiting", places, queue

    def place(self) -> Optional[int]:
        """Return the descriptor that holds a place, or None where all are taken."""
        return _lock_one(self._running, self._places)

    def turn(self) -> Optional[int]:
        """Return the descriptor that holds a turn in the queue, or None where that is full."""
        return _lock_one(self._waiting, self._queue)


def _lock_one(folder: Path, count: int) -> Optional[int]:
    private.folder(folder)
    for number in range(count):
        descriptor = lock(folder / str(number))
        if descriptor is not None:
            return descriptor
    return None


def lock(path: Path, flags: int = os.O_CREAT) -> Optional[int]:
    """Return the descriptor of the file, locked, or None where another process has it locked."""
    descriptor = private.opened(path, os.O_RDWR | flags)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        return None
    return descriptor


def is_locked(path: Path) -> bool:
    """Return whether another has the file locked; two that ask at once do not take each other for one that has."""
    with suppress(FileNotFoundError), path.open("rb") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False
