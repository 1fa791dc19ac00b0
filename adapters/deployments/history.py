"""The stored versions of a DAG file, outside of the DAGs folder, and its lock."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import time
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Dict, Iterator, List, Optional, TypedDict

from native_api import settings
from native_api.adapters import private_files
from native_api.adapters.deployments import locks
from native_api.adapters.deployments.targets import Target
from native_api.adapters.sandbox.slots import is_locked
from native_api.errors import DeploymentNotFound, DeploymentRuns, NativeApiError, Refused
from native_api.host import hostname, other_host_of


class NewRecord(TypedDict):
    """What is known of a deployment before it begins."""

    deployment_id: str
    hostname: str
    #: deploy, rollback, delete or found.
    operation: str
    path: str
    bundle_name: Optional[str]
    fileloc: str
    bytes: int
    owner: Optional[str]
    #: Seconds of the epoch.
    deployed_at: float
    dag_ids: Optional[List[str]]
    #: The deployment that a rollback restored.
    restored: Optional[str]


class _Numbered(NewRecord):
    number: int
    #: SHA-256 of the file; None if it was deleted.
    checksum: Optional[str]


class Replaced(TypedDict):
    """What a deployment has replaced."""

    #: The deployment whose content was in the file before, if there was a file.
    old: Optional[str]


class Record(_Numbered):
    """A deployment."""

    undo: Replaced


class Undo(Replaced):
    """What it takes to undo a deployment."""

    #: The folder beside the file that has the new content.
    staging: str
    #: The folders that did not exist.
    folders: List[str]
    #: The record of a file that existed without a deployment.
    found: Optional[Record]
    old_checksum: Optional[str]
    #: The mode of the file.
    rights: Optional[int]
    #: Whether the file can have been changed.
    is_made: bool
    #: The pause states of the DAGs; None for a DAG that did not exist.
    paused: Dict[str, Optional[bool]]


class Journal(_Numbered):
    """A deployment that has not ended."""

    undo: Undo


#: Seconds to wait for the changes of other files: each takes moments, but several may come first.
_OTHERS_SECONDS = 20.0
#: Seconds to wait for a process that only tests whether a file is locked, which locks it for a moment.
_LOOK_SECONDS = 0.5


def root() -> Path:
    """Return the folder of the versions of all files."""
    return Path(settings.get("state_dir")) / "deployments"


def every() -> Iterator[Record]:
    """Yield the records of all files."""
    for folder in sorted(root().glob("*")):
        yield from History(folder).records()


def checksum(content: Optional[bytes]) -> Optional[str]:
    """Return the SHA-256 of a file, None if there is no file."""
    return None if content is None else hashlib.sha256(content).hexdigest()


def of(target: Target) -> History:
    """Return the history of a file."""
    named = json.dumps([target.bundle.name, os.path.realpath(target.bundle.path), target.file])
    return History(root() / hashlib.sha256(named.encode()).hexdigest()[:32])


@contextmanager
def one_at_a_time() -> Iterator[None]:
    """
    Lock out changes of all other files, since no two files can define the same DAG.

    :raises Refused: they do not end in time.
    """
    reason = f"Deployments of other files did not end within {_OTHERS_SECONDS:.0f} s; try again."
    of_all = locks.locked("deployments", seconds=_OTHERS_SECONDS, error=Refused(reason))
    with of_all, _locked(root().with_name("deployments.lock"), _OTHERS_SECONDS, Refused(reason)):
        yield


@contextmanager
def locked_history(target: Target) -> Iterator[History]:
    """
    Lock the file against other changes, also on other hosts, and yield its history.

    :raises DeploymentRuns: it is locked.
    """
    name, error = target.bundle.name, DeploymentRuns(target.file)
    versions = of(target)
    with locks.locked("file", name, target.file, seconds=_LOOK_SECONDS, error=error), versions.locked_history(
        target.file
    ):
        yield versions


def new_record(target: Target, deployment_id: str, operation: str, owner: str, size: int) -> NewRecord:
    """Return the record of a deployment, as it is written before the deployment begins."""
    return {
        "deployment_id": deployment_id,
        "hostname": hostname(),
        "operation": operation,
        "path": target.file,
        "bundle_name": target.bundle.name,
        "fileloc": target.path,
        "bytes": size,
        "owner": owner,
        "deployed_at": time.time(),
        "dag_ids": None,
        "restored": None,
    }


class History:
    """
    The records and contents of one file.

    A record is a completed deployment. ``journal.json`` is the record of one that has not ended: it has the data to
    undo it, and is renamed to become a record.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._journal, self._lock = folder / "journal.json", folder / "lock"

    @contextmanager
    def locked_history(self, file: str) -> Iterator[None]:
        """
        Lock the file against other changes on this host.

        :raises DeploymentRuns: it is locked.
        """
        with _locked(self._lock, _LOOK_SECONDS, DeploymentRuns(file)):
            yield

    def is_being_changed(self) -> bool:
        """Return whether the file is being changed now."""
        return is_locked(self._lock)

    def records(self) -> List[Record]:
        """Return the deployments of the file, the oldest first."""
        found: List[Record] = []
        for path in self.folder.glob("[0-9a-f]*.json"):
            # A deployment may forget it meanwhile.
            with suppress(FileNotFoundError):
                found.append(json.loads(path.read_text()))
        return sorted(found, key=lambda record: record["number"])

    def record(self, deployment_id: Optional[str], file: str) -> Record:
        """
        Return a deployment whose content is stored: the one with that id, or the one before the current.

        :raises DeploymentNotFound: there is none.
        """
        records = self.records()
        chosen = [record for record in records if record["deployment_id"] == deployment_id]
        if deployment_id is None:
            chosen = [record for record in records[:-1] if record["checksum"] is not None]
            if records and records[-1]["checksum"] is None:
                chosen = [record for record in records if record["checksum"] is not None]
        if not chosen or chosen[-1]["checksum"] is None:
            raise DeploymentNotFound(file, deployment_id, hostname(), other_host_of(deployment_id or ""))
        return chosen[-1]

    def content(self, deployment_id: str) -> bytes:
        """Return the content of the file after a deployment."""
        return self._content(deployment_id).read_bytes()

    def keep(self, deployment_id: str, content: bytes) -> None:
        """Store the content of a file after, or before, a deployment."""
        _write(self._content(deployment_id), content)

    def _content(self, deployment_id: str) -> Path:
        return self.folder / f"{deployment_id}.content"

    def _record(self, deployment_id: str) -> Path:
        return self.folder / f"{deployment_id}.json"

    # The journal

    def journal(self) -> Optional[Journal]:
        """Return the record of a deployment that has begun and not ended, None if there is none."""
        try:
            journal: Journal = json.loads(self._journal.read_text())
        except FileNotFoundError:
            return None
        return journal

    def begin(self, journal: Journal) -> None:
        """Write the journal; from here on the change is undone unless it is committed."""
        _write(self._journal, json.dumps(journal).encode())

    def commit(self, journal: Journal, kept: int) -> None:
        """Commit the change as a deployment, and delete versions older than the last *kept* before it."""
        found = journal["undo"]["found"]
        if found:
            _write(self._record(found["deployment_id"]), json.dumps(found).encode())
        _write(self._journal, json.dumps(journal).encode())
        os.replace(self._journal, self._record(journal["deployment_id"]))
        _sync_folder(self.folder)
        self._forget_beyond(kept)

    def undone(self, journal: Journal) -> None:
        """Delete the journal of an undone change; until then, its contents remain available to undo it again."""
        found = journal["undo"]["found"]
        if found:
            with suppress(FileNotFoundError):
                self._record(found["deployment_id"]).unlink()
        self._journal.unlink()
        self.sweep()

    def sweep(self) -> None:
        """Delete what a killed process has left; no change can be active."""
        known = {record["deployment_id"] for record in self.records()}
        for path in [*self.folder.glob("*.content"), *self.folder.glob("*.new")]:
            if path.suffix == ".new" or path.stem not in known:
                path.unlink()

    def _forget_beyond(self, kept: int) -> None:
        for record in self.records()[: -(kept + 1)]:
            self._forget(record["deployment_id"])

    def _forget(self, deployment_id: str) -> None:
        for path in (self._record(deployment_id), self._content(deployment_id)):
            with suppress(FileNotFoundError):
                path.unlink()


@contextmanager
def _locked(path: Path, seconds: float, error: NativeApiError) -> Iterator[None]:
    """Hold a lock file, or raise the error if others hold it for that long."""
    private_files.folder(path.parent)
    until = time.monotonic() + seconds
    with open(path, "w", opener=private_files.opened) as lock:
        while not _takes(lock):
            if time.monotonic() > until:
                raise error
            time.sleep(0.01)
        yield


def _takes(lock: IO[str]) -> bool:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _write(path: Path, content: bytes) -> None:
    """Write a file atomically."""
    new = path.with_name(f"{path.name}.new")
    with open(new, "wb", opener=private_files.opened) as opened:
        opened.write(content)
        opened.flush()
        os.fsync(opened.fileno())
    os.replace(new, path)
    _sync_folder(path.parent)


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
