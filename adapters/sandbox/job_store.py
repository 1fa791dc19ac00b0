"""
The job store: a folder for each job, with its facts, its state, its log, its result and a lock file.

The supervisor of the job keeps the file locked as long as it runs. Only the Unix user of Airflow can read the folder.
Web servers on several hosts can share the folder. There a lock shows nothing about a job of another host; its
supervisor runs as long as it sends a heartbeat, which is the modification time of the lock file.
"""

from __future__ import annotations

import json
import math
import os
import shutil
import time
import uuid
from contextlib import suppress
from pathlib import Path
from typing import Iterable, Iterator, List, NamedTuple, Optional, Tuple

from native_api import settings
from native_api.adapters import private_files
from native_api.adapters.sandbox.capture import tail
from native_api.adapters.sandbox.messages import Facts, Message, State
from native_api.adapters.sandbox.slots import is_locked, lock
from native_api.host import ID, hostname

#: The states of a job that has not ended, like Airflow's ``State.unfinished``.
UNFINISHED = ("queued", "running")

#: The interval of the heartbeat, in seconds.
_HEARTBEAT_SECONDS = 10
#: Seconds without a heartbeat after which a job of another host is lost, and after which this host cleans it up.
_LOST_SECONDS = 120
_ABANDONED_SECONDS = 3600


class Size(NamedTuple):
    """The modification time of a folder, in seconds of the epoch, and the bytes of its files."""

    changed: float
    bytes: int


class Record:
    """The folder of one job."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Record) and self._folder == other._folder

    def __hash__(self) -> int:
        return hash(self._folder)

    @classmethod
    def create(cls, jobs: Path, facts: Facts) -> Record:
        """Create the record of a job, locked until this process ends."""
        unfinished = private_files.folder(private_files.folder(jobs) / f".{uuid.uuid4().hex}")
        record = cls(unfinished)
        record._write("job.json", facts)
        record.lock_descriptor = lock(record._alive)
        unfinished.rename(jobs / facts["job_id"])
        record._folder = jobs / facts["job_id"]
        return record

    #: The file descriptor of the lock: the supervisor's, or that of a process that cleans up.
    lock_descriptor: Optional[int] = None

    @property
    def facts(self) -> Facts:
        """What the supervisor stored at the start."""
        facts: Facts = json.loads(self._facts.read_text())
        return facts

    @property
    def _facts(self) -> Path:
        return self._folder / "job.json"

    @property
    def log(self) -> Path:
        """The file with the newest part of the job's log."""
        return self._folder / "log"

    @property
    def result(self) -> Path:
        """The file with the result or the error of the job's function."""
        return self._folder / "result.json"

    @property
    def _alive(self) -> Path:
        return self._folder / "alive"

    def state(self) -> State:
        """
        Return the job's state, started_at, ended_at, and its result, error or exit code.

        A job that has not ended and has no supervisor has the state ``lost``. Times are seconds of the epoch.
        """
        job_state = self._stored_state()
        if job_state["state"] in UNFINISHED and not self.is_alive():
            # The job may have ended between the two checks.
            job_state = self._stored_state()
            if job_state["state"] in UNFINISHED:
                job_state["state"] = "lost"
        return job_state

    def message(self) -> Message:
        """Return the state with the outcome, and the log tail."""
        log, cut = tail(self.log, settings.get("job_log_tail_bytes"))
        return {**self.state(), "log": log, "log_cut": cut}

    def set_state(self, **job_state: object) -> None:
        """Store the job's state."""
        self._write("state.json", job_state)
        if "ended_at" in job_state:
            private_files.write(self._folder / "ended", "")

    def has_ended(self) -> bool:
        """Return whether the job's end is stored."""
        return (self._folder / "ended").exists()

    def is_on_this_host(self) -> bool:
        """Return whether the job runs, or ran, on this host."""
        with suppress(FileNotFoundError):
            return self.facts.get("hostname") in (None, hostname())
        return True

    def is_alive(self) -> bool:
        """Return whether the job's supervisor runs."""
        return is_locked(self._alive) if self.is_on_this_host() else self._seconds_since_heartbeat() < _LOST_SECONDS

    def is_locked(self) -> bool:
        """Return whether a process of this host has the lock."""
        return is_locked(self._alive)

    def heartbeat(self) -> None:
        """Send a heartbeat to other hosts, at most once per interval."""
        if self._seconds_since_heartbeat() > _HEARTBEAT_SECONDS:
            with suppress(FileNotFoundError):
                os.utime(self._alive)

    def _seconds_since_heartbeat(self) -> float:
        with suppress(FileNotFoundError):
            return time.time() - self._alive.stat().st_mtime
        return math.inf

    def take_over(self) -> bool:
        """
        Lock the record of a job whose supervisor has ended, to clean it up; return whether this process has the lock.

        That of another host is locked only after an hour without a heartbeat.
        """
        with suppress(FileNotFoundError):
            if not self.is_on_this_host() and self._seconds_since_heartbeat() < _ABANDONED_SECONDS:
                return False
            self.lock_descriptor = None if self.is_locked() else lock(self._facts, 0)
        if self.lock_descriptor is not None and not self._facts.exists():
            # Another process has deleted the record.
            self.release()
        return self.lock_descriptor is not None

    def release(self) -> None:
        """Unlock the record."""
        if self.lock_descriptor is not None:
            os.close(self.lock_descriptor)
            self.lock_descriptor = None

    def request_cancel(self) -> None:
        """Ask the supervisor to cancel the job."""
        private_files.write(self._folder / "cancel", "")

    def is_cancel_requested(self) -> bool:
        """Return whether :meth:`request_cancel` was called, in any process."""
        return (self._folder / "cancel").exists()

    def keep(self) -> None:
        """Retain the record after the job's end, for ``job_state``: the job is asynchronous."""
        private_files.write(self._folder / "kept", "")

    def is_kept(self) -> bool:
        """Return whether the record is retained after the job's end."""
        return (self._folder / "kept").exists()

    def size(self) -> Size:
        """Return the modification time and the size of the record; a deleted one is newest and empty."""
        with suppress(FileNotFoundError):
            changed = self._folder.stat().st_mtime
            return Size(changed, sum(entry.stat().st_size for entry in os.scandir(self._folder)))
        return Size(math.inf, 0)

    def remove(self) -> None:
        """Delete the record; other processes find all of it or nothing."""
        going = self._folder.with_name(f".{self._folder.name}")
        with suppress(FileNotFoundError):
            self._folder.rename(going)
            shutil.rmtree(going, ignore_errors=True)

    def _stored_state(self) -> State:
        try:
            job_state: State = json.loads((self._folder / "state.json").read_text())
        except FileNotFoundError:
            return {"state": "queued"}
        return job_state

    def _write(self, name: str, content: object) -> None:
        new = self._folder / f".{name}"
        private_files.write(new, json.dumps(content))
        new.replace(self._folder / name)


def find(jobs: Path, job_id: str) -> Optional[Record]:
    """Return the record of a job, or None if there is none."""
    if not ID.fullmatch(job_id) or not (jobs / job_id / "job.json").is_file():
        return None
    return Record(jobs / job_id)


def every(jobs: Path) -> Iterator[Record]:
    """Yield the records of all jobs, in no order."""
    with suppress(FileNotFoundError):
        for entry in os.scandir(jobs):
            record = find(jobs, entry.name)
            if record is not None:
                yield record


def expired(ended: Iterable[Record], *, since: float, number: int, size: int) -> List[Record]:
    """
    Return the records to delete, the oldest ones.

    :param ended: records of jobs that have ended.
    :param since: records that have changed before are deleted, in seconds of the epoch.
    :param number: the number of records to retain.
    :param size: the bytes of records to retain.
    """
    gone, kept, left = [], 0, size
    for (changed, of_one), record in sorted(((record.size(), record) for record in ended), key=_newest_first):
        left -= of_one
        if changed < since or kept >= number or left < 0:
            gone.append(record)
            # All older records are deleted, too.
            left = min(left, -1)
        else:
            kept += 1
    return gone


def _newest_first(sized: Tuple[Size, Record]) -> float:
    return -sized[0].changed
