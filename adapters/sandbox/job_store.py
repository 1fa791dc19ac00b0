"""
The job store: a folder for each job, with its facts, its state, its log, its result and a lock.

The supervisor of the job holds the lock while it lives. Every web worker of the machine can read the folder, and only
the user that Airflow runs as can. Where web servers of several hosts share the folder, a lock says nothing of another
host's job: its supervisor lives as long as it changes the time of the lock file.
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
from typing import Any, Dict, Iterable, Iterator, List, Mapping, NamedTuple, Optional, Tuple

from native_api.adapters import private_files
from native_api.adapters.sandbox.slots import is_locked, lock
from native_api.host import ID, hostname

#: The states of a job that has not ended.
LIVE = ("queued", "running")

#: How often a supervisor changes the time of its lock file, in seconds.
_BEAT_SECONDS = 10
#: After how many seconds without that a job of another host is lost, and after how many this host cleans up after it.
_LOST_SECONDS = 120
_LEFT_SECONDS = 3600


class Size(NamedTuple):
    """When a folder has changed last, in seconds of the epoch, and how many bytes are in it."""

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
    def create(cls, jobs: Path, facts: Mapping[str, Any]) -> Record:
        """Create the folder of a new job, and lock it until this process ends."""
        unfinished = private_files.folder(private_files.folder(jobs) / f".{uuid.uuid4().hex}")
        record = cls(unfinished)
        record._write("job.json", facts)
        record.lock_descriptor = lock(record._alive)
        unfinished.rename(jobs / facts["job_id"])
        record._folder = jobs / facts["job_id"]
        return record

    #: The descriptor of the lock that says that the supervisor lives, or that another process cleans up after it.
    lock_descriptor: Optional[int] = None

    @property
    def facts(self) -> Dict[str, Any]:
        """What was known when the job began: job_id, operation, owner, caller, arguments, created_at, cleanup."""
        facts: Dict[str, Any] = json.loads(self._facts.read_text())
        return facts

    @property
    def _facts(self) -> Path:
        return self._folder / "job.json"

    @property
    def log(self) -> Path:
        """The file that the job's output goes to."""
        return self._folder / "log"

    @property
    def result(self) -> Path:
        """The file that the job leaves what it returns in."""
        return self._folder / "result.json"

    @property
    def _alive(self) -> Path:
        return self._folder / "alive"

    def state(self) -> Dict[str, Any]:
        """Return the job's state, started_at, ended_at and outcome; a live state without a supervisor is ``lost``."""
        job_state = self._stored_state()
        if job_state["state"] in LIVE and not self.is_alive():
            # It may have ended between one look and the other.
            job_state = self._stored_state()
            if job_state["state"] in LIVE:
                job_state["state"] = "lost"
        return job_state

    def set_state(self, **job_state: Any) -> None:
        """Store the job's state."""
        self._write("state.json", job_state)
        if "ended_at" in job_state:
            private_files.write(self._folder / "ended", "")

    def has_ended(self) -> bool:
        """Return whether the end of the job is written down."""
        return (self._folder / "ended").exists()

    def is_here(self) -> bool:
        """Return whether the job is one of this host."""
        with suppress(FileNotFoundError):
            return self.facts.get("hostname") in (None, hostname())
        return True

    def is_alive(self) -> bool:
        """Return whether the job's supervisor lives."""
        return is_locked(self._alive) if self.is_here() else self._silent_seconds() < _LOST_SECONDS

    def is_locked(self) -> bool:
        """Return whether the supervisor lives, of a job of this host."""
        return is_locked(self._alive)

    def beat(self) -> None:
        """Say to other hosts that the supervisor lives."""
        if self._silent_seconds() > _BEAT_SECONDS:
            with suppress(FileNotFoundError):
                os.utime(self._alive)

    def _silent_seconds(self) -> float:
        with suppress(FileNotFoundError):
            return time.time() - self._alive.stat().st_mtime
        return math.inf

    def take_over(self) -> bool:
        """Lock the record of a job whose supervisor has ended; return whether this process has the lock."""
        with suppress(FileNotFoundError):
            if not self.is_here() and self._silent_seconds() < _LEFT_SECONDS:
                return False
            self.lock_descriptor = None if self.is_locked() else lock(self._facts, 0)
        if self.lock_descriptor is not None and not self._facts.exists():
            # Another has taken it away meanwhile.
            self.let_go()
        return self.lock_descriptor is not None

    def let_go(self) -> None:
        """Hold the record no longer."""
        if self.lock_descriptor is not None:
            os.close(self.lock_descriptor)
            self.lock_descriptor = None

    def ask_to_end(self) -> None:
        """Ask the supervisor to end the job."""
        private_files.write(self._folder / "cancel", "")

    def is_asked_to_end(self) -> bool:
        """Return whether somebody has asked to end the job."""
        return (self._folder / "cancel").exists()

    def keep(self) -> None:
        """Keep the folder after the job's end: nobody waits for its answer."""
        private_files.write(self._folder / "kept", "")

    def is_kept(self) -> bool:
        """Return whether the folder is there to be read after the job's end."""
        return (self._folder / "kept").exists()

    def size(self) -> Size:
        """Return when the job's folder has changed last, and how much is in it."""
        with suppress(FileNotFoundError):
            changed = self._folder.stat().st_mtime
            return Size(changed, sum(entry.stat().st_size for entry in os.scandir(self._folder)))
        return Size(math.inf, 0)

    def remove(self) -> None:
        """Delete the folder; whoever looks meanwhile finds the whole of it or nothing."""
        going = self._folder.with_name(f".{self._folder.name}")
        with suppress(FileNotFoundError):
            self._folder.rename(going)
            shutil.rmtree(going, ignore_errors=True)

    def _stored_state(self) -> Dict[str, Any]:
        try:
            job_state: Dict[str, Any] = json.loads((self._folder / "state.json").read_text())
        except FileNotFoundError:
            return {"state": "queued"}
        return job_state

    def _write(self, name: str, content: Any) -> None:
        new = self._folder / f".{name}"
        private_files.write(new, json.dumps(content))
        new.replace(self._folder / name)


def find(jobs: Path, job_id: str) -> Optional[Record]:
    """Return the record of the job, or None where there is none."""
    if not ID.fullmatch(job_id) or not (jobs / job_id / "job.json").is_file():
        return None
    return Record(jobs / job_id)


def every(jobs: Path) -> Iterator[Record]:
    """Return the records of all jobs."""
    with suppress(FileNotFoundError):
        for entry in os.scandir(jobs):
            record = find(jobs, entry.name)
            if record is not None:
                yield record


def beyond(ended: Iterable[Record], *, since: float, number: int, size: int) -> List[Record]:
    """Return the records that are older than *since*, or more than *number* or *size* bytes, the newest being kept."""
    gone, kept, left = [], 0, size
    for (changed, of_one), record in sorted(((record.size(), record) for record in ended), key=_newest_first):
        left -= of_one
        if changed < since or kept >= number or left < 0:
            gone.append(record)
            # What is older than one that goes, goes too.
            left = min(left, -1)
        else:
            kept += 1
    return gone


def _newest_first(sized: Tuple[Size, Record]) -> float:
    return -sized[0].changed
