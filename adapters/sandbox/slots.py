"""
The slots of jobs: how many run at once on this host, how many are queued, and how many of both one caller can have.

A slot, a turn in the queue and a reservation are files that a process has locked. The file names the caller. However
the process ends, the lock ends with it.
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

#: The maximum number of reservations; jobs that continue after their request started in one.
_MOST_BEYOND = 1000


@dataclass(frozen=True)
class Bounds:
    """
    The maximum numbers of jobs of one kind on this host.

    :param running: running jobs.
    :param waiting: queued jobs.
    :param of_caller: running and queued jobs of one caller.
    :param running_of_caller: running jobs of one caller.
    """

    running: int
    waiting: int
    of_caller: int
    running_of_caller: int

    @classmethod
    def shared(cls, running: int, waiting: int, of_caller: int) -> Bounds:
        """
        Return the bounds with the share of one caller.

        :param of_caller: the option ``jobs_per_caller``. 0 is half of all jobs, and all slots but one, so that a job of
            another caller can start at once.
        """
        if of_caller:
            return cls(running, waiting, of_caller, min(running, of_caller))
        return cls(running, waiting, (running + waiting + 1) // 2, max(running - 1, 1))


class Admission(NamedTuple):
    """
    The file descriptor of a slot or of a turn in the queue; or neither, and whether the reason is the caller's share.
    """

    slot: Optional[int] = None
    turn: Optional[int] = None
    caller_is_full: bool = False


class _Claim(NamedTuple):
    caller: str
    since: float


class Slots:
    """
    The slots of one kind of jobs.

    :param folder: where the locked files are. All processes with the same folder share the slots.
    :param caller: the identity of the caller of the job.
    """

    def __init__(self, folder: Path, bounds: Bounds, caller: str) -> None:
        self._folder, self._bounds = folder, bounds
        self._running, self._waiting, self._beyond = folder / "running", folder / "waiting", folder / "beyond"
        self._me = _Claim(hashlib.sha256(caller.encode(errors="surrogatepass")).hexdigest(), time.time())

    def enter(self) -> Admission:
        """Take a slot, or else a turn in the queue, and return it."""
        with self._exclusive():
            if self._caller_is_full():
                return Admission(caller_is_full=True)
            slot = self._take_next_slot()
            return Admission(slot, None if slot is not None else self._claim_file(self._waiting, self._bounds.waiting))

    def slot(self) -> Optional[int]:
        """Take a slot and return its descriptor, or None if none is free or other callers come first."""
        with self._exclusive():
            return self._take_next_slot()

    def is_reserved_for_others(self) -> bool:
        """Return whether a slot is free but not for this caller, whose running jobs are the maximum."""
        with self._exclusive():
            running = [one.caller for one in _claims(self._running)]
        mine = running.count(self._me.caller)
        return len(running) < self._bounds.running and mine >= self._bounds.running_of_caller

    def reserve(self) -> Optional[int]:
        """Reserve one job of the caller's share, without a slot; return its descriptor, or None if none is left."""
        with self._exclusive():
            return None if self._caller_is_full() else self._claim_file(self._beyond, _MOST_BEYOND)

    def slot_out_of_turn(self) -> Optional[int]:
        """Take a slot for a job that runs already, and return its descriptor, or None if none is free."""
        with self._exclusive():
            return self._claim_file(self._running, self._bounds.running)

    def _caller_is_full(self) -> bool:
        claims = [one for folder in (self._running, self._waiting, self._beyond) for one in _claims(folder)]
        return sum(one.caller == self._me.caller for one in claims) >= self._bounds.of_caller

    def _take_next_slot(self) -> Optional[int]:
        """Take a slot unless a job of a caller with fewer running jobs waits, or one that has waited longer."""
        running = [one.caller for one in _claims(self._running)]
        waiting = {*_claims(self._waiting), self._me}
        eligible = [one for one in waiting if running.count(one.caller) < self._bounds.running_of_caller]
        first = min(eligible, key=lambda one: (running.count(one.caller), one.since), default=None)
        return self._claim_file(self._running, self._bounds.running) if first == self._me else None

    def _claim_file(self, folder: Path, count: int) -> Optional[int]:
        private_files.folder(folder)
        for number in range(count):
            descriptor = lock(folder / str(number))
            if descriptor is not None:
                os.ftruncate(descriptor, 0)
                os.pwrite(descriptor, json.dumps(self._me).encode(), 0)
                return descriptor
        return None

    @contextmanager
    def _exclusive(self) -> Iterator[None]:
        """Lock the slots: another process can neither take a file nor test a lock, for which it takes it, too."""
        descriptor = private_files.opened(private_files.folder(self._folder) / "lock", os.O_RDWR | os.O_CREAT)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)


def _claims(folder: Path) -> List[_Claim]:
    """Return the callers, and the times, of the locked files of a folder."""
    with suppress(FileNotFoundError):
        return [_Claim(*json.loads(path.read_text())) for path in folder.iterdir() if is_locked(path)]
    return []


def lock(path: Path, flags: int = os.O_CREAT) -> Optional[int]:
    """
    Lock a file and return its descriptor, or None if another process has locked it.

    :param flags: those of ``os.open`` besides ``O_RDWR``.
    """
    descriptor = private_files.opened(path, os.O_RDWR | flags)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        return None
    return descriptor


def is_locked(path: Path) -> bool:
    """Return whether a process has locked the file with :func:`lock`; simultaneous tests do not affect each other."""
    with suppress(FileNotFoundError), path.open("rb") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False
