"""
The folder of a job: what it is, how it stands, what it printed, and a lock that its supervisor holds while it lives.

Every web worker of the machine can read it; only the user that Airflow runs as can.
"""

from __future__ import annotations

import json
import math
import os
import re
import shutil
import uuid
from contextlib import suppress
from pathlib import Path
from typing import Any, Dict, Iterable, Iterator, List, Mapping, NamedTuple, Optional, Tuple

from native_api.adapters import private_files
from native_api.adapters.sandbox.slots import is_locked, lock

#: The states of a job that has not ended.
LIVE = ("queued", "running")

_ID = re.compile(r"[0-9a-f]{32}")


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
        """Make the folder of a new job, which this process holds until it ends."""
        unfinished = private_files.folder(private_files.folder(jobs) / f".{uuid.uuid4().hex}")
        record = cls(unfinished)
        record._write("job.json", facts)
        record.held = lock(record._alive)
        unfinished.rename(jobs / facts["job_id"])
        record._folder = jobs / facts["job_id"]
        return record

    #: The descriptor that tells others that the supervisor lives, or that another takes away what it left.
    held: Optional[int] = None

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
        """Return how the job stands: its state, started_at, ended_at, and what came of it."""
        standing = self._standing()
        if standing["state"] in LIVE and not self.is_held():
            # It may have ended between one look and the other.
            standing = self._standing()
            if standing["state"] in LIVE:
                standing["state"] = "lost"
        return standing

    def set_state(self, **standing: Any) -> None:
        """Write down how the job stands."""
        self._write("state.json", standing)
        if "ended_at" in standing:
            private_files.write(self._folder / "ended", "")

    def has_ended(self) -> bool:
        """Return whether the end of the job is written down."""
        return (self._folder / "ended").exists()

    def is_held(self) -> bool:
        """Return whether the job's supervisor lives."""
        return is_locked(self._alive)

    def take_over(self) -> bool:
        """Have what is left of a job whose supervisor lives no longer for this process alone; return whether it is."""
        with suppress(FileNotFoundError):
            self.held = None if self.is_held() else lock(self._facts, 0)
        if self.held is not None and not self._facts.exists():
            # Another has taken it away meanwhile.
            self.let_go()
        return self.held is not None

    def let_go(self) -> None:
        """Hold the record no longer."""
        if self.held is not None:
            os.close(self.held)
            self.held = None

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

    def _standing(self) -> Dict[str, Any]:
        try:
            standing: Dict[str, Any] = json.loads((self._folder / "state.json").read_text())
        except FileNotFoundError:
            return {"state": "queued"}
        return standing

    def _write(self, name: str, content: Any) -> None:
        new = self._folder / f".{name}"
        private_files.write(new, json.dumps(content))
        new.replace(self._folder / name)


def find(jobs: Path, job_id: str) -> Optional[Record]:
    """Return the record of the job, or None where there is none."""
    if not _ID.fullmatch(job_id) or not (jobs / job_id / "job.json").is_file():
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
