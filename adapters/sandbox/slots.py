"""
How many jobs run at once on this machine, how many wait, and which share of both one caller has.

A slot, a turn in the queue and a reservation are files that a running process has locked; whose job it is stands in the
file. They are taken as long as the process that took them lives, however it ends.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import time
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Iterator, List, NamedTuple, Optional

from native_api.adapters import private_files

#: More jobs than this cannot have gone beyond the slots: each has begun in a request.
_MOST_BEYOND = 1000


@dataclass(frozen=True)
class Bounds:
    """
    How many jobs of one kind there may be.

    :param running: on the machine.
    :param waiting: on the machine, besides those.
    :param of_caller: running and waiting, of one caller.
    :param running_of_caller: of these those that run.
    """

    running: int
    waiting: int
    of_caller: int
    running_of_caller: int

    @classmethod
    def shared(cls, running: int, waiting: int, of_caller: int) -> Bounds:
        """
        Return the bounds with that share for one caller.

        :param of_caller: 0 stands for half of all, which has all slots but one, so that others come to run at once.
        """
        if of_caller:
            return cls(running, waiting, of_caller, min(running, of_caller))
        return cls(running, waiting, (running + waiting + 1) // 2, max(running - 1, 1))


class Entered(NamedTuple):
    """A slot, or a turn to wait for one, or neither; then whether it is the caller who has all of its share."""

    slot: Optional[int] = None
    turn: Optional[int] = None
    caller_is_full: bool = False


class _Held(NamedTuple):
    caller: str
    since: float


class Slots:
    """The slots of one kind, shared by every process that names the same folder, as *caller* sees them."""

    def __init__(self, folder: Path, bounds: Bounds, caller: str) -> None:
        self._folder, self._bounds = folder, bounds
        self._running, self._waiting, self._beyond = folder / "running", folder / "waiting", folder / "beyond"
        self._me = _Held(hashlib.sha256(caller.encode(errors="surrogatepass")).hexdigest(), time.time())

    def enter(self) -> Entered:
        """Take a slot, or else a turn in the queue."""
        with self._alone():
            if self._is_caller_full():
                return Entered(caller_is_full=True)
            slot = self._next_slot()
            return Entered(slot, None if slot is not None else self._lock_one(self._waiting, self._bounds.waiting))

    def slot(self) -> Optional[int]:
        """Return the descriptor that holds a slot, or None where none is free or others come first."""
        with self._alone():
            return self._next_slot()

    def is_for_others(self) -> bool:
        """Return whether a slot that is free is not for this caller, who has as many as one may."""
        with self._alone():
            running = [one.caller for one in _held(self._running)]
        mine = running.count(self._me.caller)
        return len(running) < self._bounds.running and mine >= self._bounds.running_of_caller

    def reserve(self) -> Optional[int]:
        """Return the descriptor of a part of the caller's share that needs no slot, or None where it has all of it."""
        with self._alone():
            return None if self._is_caller_full() else self._lock_one(self._beyond, _MOST_BEYOND)

    def slot_out_of_turn(self) -> Optional[int]:
        """Return the descriptor that holds a slot for a job that runs already, or None where none is free."""
        with self._alone():
            return self._lock_one(self._running, self._bounds.running)

    def _is_caller_full(self) -> bool:
        held = [one for folder in (self._running, self._waiting, self._beyond) for one in _held(folder)]
        return sum(one.caller == self._me.caller for one in held) >= self._bounds.of_caller

    def _next_slot(self) -> Optional[int]:
        """Take a slot unless another is to have it: whose caller has fewer jobs that run, or who has waited longer."""
        running = [one.caller for one in _held(self._running)]
        waiting = {*_held(self._waiting), self._me}
        may = [one for one in waiting if running.count(one.caller) < self._bounds.running_of_caller]
        first = min(may, key=lambda one: (running.count(one.caller), one.since), default=None)
        return self._lock_one(self._running, self._bounds.running) if first == self._me else None

    def _lock_one(self, folder: Path, count: int) -> Optional[int]:
        private_files.folder(folder)
        for number in range(count):
            descriptor = lock(folder / str(number))
            if descriptor is not None:
                os.ftruncate(descriptor, 0)
                os.pwrite(descriptor, json.dumps(self._me).encode(), 0)
                return descriptor
        return None

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """Keep others from looking, since a look locks, and from taking anything meanwhile."""
        descriptor = private_files.opened(private_files.folder(self._folder) / "lock", os.O_RDWR | os.O_CREAT)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)


def _held(folder: Path) -> List[_Held]:
    """Return whose the files of a folder are that are locked."""
    with suppress(FileNotFoundError):
        return [_Held(*json.loads(path.read_text())) for path in folder.iterdir() if is_locked(path)]
    return []


def lock(path: Path, flags: int = os.O_CREAT) -> Optional[int]:
    """Return the descriptor of the file, locked, or None where another process has it locked."""
    descriptor = private_files.opened(path, os.O_RDWR | flags)
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
