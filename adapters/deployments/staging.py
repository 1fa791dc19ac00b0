"""The change of one file on disk: staged beside it, renamed into place, and undone if it does not complete."""

from __future__ import annotations

import os
import time
from contextlib import suppress
from pathlib import Path
from typing import Dict, List, Optional

from native_api.adapters.compat import airflow
from native_api.adapters.deployments.history import History, Journal, NewRecord, Record, Undo, checksum
from native_api.adapters.deployments.targets import Target
from native_api.host import hostname, new_id

_CONTENT = "content"
#: Pause states by dag_id; None for a DAG that did not exist.
PauseStates = Dict[str, Optional[bool]]


class Change:
    """
    A change of one file that has begun.

    The new content is in a folder beside the file that Airflow ignores, so that it can be renamed into place. Undoing
    can be interrupted at any step: the journal is deleted last, and has all data to undo again.
    """

    def __init__(self, target: Target, history: History, journal: Journal) -> None:
        self._target, self._history, self.journal = target, history, journal
        self._undo = journal["undo"]

    @classmethod
    def begin(cls, target: Target, history: History, record: NewRecord, content: Optional[bytes]) -> Change:
        """
        Write the journal; nothing in the DAGs folder is changed yet.

        :param content: the new content; None deletes the file.
        """
        old, mode, records = current(target), target.mode(), history.records()
        found = _found(target, records, old, record)
        if found and old is not None:
            history.keep(found["deployment_id"], old)
        if content is not None:
            history.keep(record["deployment_id"], content)
        before = [*records, *([found] if found else [])][-1:]
        undo: Undo = {
            "staging": f".native_api-{record['deployment_id']}",
            "folders": [name for name in target.folders if not os.path.isdir(os.path.join(target.bundle.path, name))],
            "found": found,
            "old": before[0]["deployment_id"] if old is not None else None,
            "old_checksum": checksum(old),
            "rights": mode.st_mode & 0o777 if mode else None,
            "is_made": False,
            "paused": {},
        }
        number = before[0]["number"] + 1 if before else 1
        journal: Journal = {**record, "number": number, "checksum": checksum(content), "undo": undo}
        history.begin(journal)
        return cls(target, history, journal)

    @property
    def staged(self) -> str:
        """The path of the new content."""
        return os.path.join(os.path.dirname(self._target.path), self._undo["staging"], _CONTENT)

    def stage(self, content: bytes) -> None:
        """Write the new content beside the file, in a folder that Airflow ignores."""
        self._target.make_folders(self._undo["folders"])
        with self._target.folder() as (folder, name):
            staging = self._undo["staging"]
            os.mkdir(staging, dir_fd=folder)
            below = os.open(staging, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=folder)
            try:
                _write(below, ".airflowignore", airflow().dag_files.ignore_everything().encode())
                _write(below, _CONTENT, content)
                self._make_newer(below, folder, name)
            finally:
                os.close(below)

    def _make_newer(self, staging: int, folder: int, name: str) -> None:
        """Set the mode of the old content, and a later time, since Python identifies bytecode by time and size."""
        if self._undo["rights"] is not None:
            os.chmod(_CONTENT, self._undo["rights"], dir_fd=staging)
        with suppress(FileNotFoundError):
            old = os.stat(name, dir_fd=folder, follow_symlinks=False)
            now = max(time.time(), int(old.st_mtime) + 1)
            os.utime(_CONTENT, (now, now), dir_fd=staging)

    def swap(self, paused: PauseStates) -> None:
        """Replace the file by the new content; undoing restores these pause states."""
        self._make(paused)
        self._swap()

    def remove(self, paused: PauseStates) -> None:
        """Delete the file; undoing restores these pause states."""
        self._make(paused)
        self._remove()

    def _make(self, paused: PauseStates) -> None:
        """Record in the journal that the file and its DAGs can be changed from here on."""
        self._undo["is_made"], self._undo["paused"] = True, paused
        self._history.begin(self.journal)

    def _swap(self) -> None:
        with self._target.folder() as (folder, name):
            os.replace(self.staged, name, dst_dir_fd=folder)
            os.fsync(folder)
        self._remove_staging()

    def _remove(self) -> None:
        with self._target.folder() as (folder, name):
            os.unlink(name, dir_fd=folder)
            os.fsync(folder)
        _forget_bytecode(self._target)

    def commit(self, kept: int, dag_ids: List[str]) -> Journal:
        """Commit the change; return its record."""
        self.journal["dag_ids"] = dag_ids
        self._history.commit(self.journal, kept)
        return self.journal

    @property
    def is_committed(self) -> bool:
        """Whether the change is committed, whatever is raised from now on."""
        return self._history.journal() is None

    @property
    def paused(self) -> PauseStates:
        """The previous pause states."""
        return self._undo["paused"]

    def undo(self) -> bool:
        """Restore the previous file, or delete a new one; return whether its DAGs can have been changed."""
        self._remove_staging()
        if self._undo["is_made"] and self._is_there():
            self._put_back()
        self._target.remove_folders(self._undo["folders"])
        return self._undo["is_made"]

    def forget(self) -> None:
        """Delete the journal after everything is restored."""
        self._history.undone(self.journal)

    def _is_there(self) -> bool:
        """Return whether the file has the content of this change, and not a later one of others."""
        there = checksum(current(self._target))
        return bool(there == self.journal["checksum"] != self._undo["old_checksum"])

    def _put_back(self) -> None:
        if self._undo["old"] is None:
            self._remove()
            return
        self.stage(self._history.content(self._undo["old"]))
        self._swap()

    def _remove_staging(self) -> None:
        staging = Path(self.staged).parent
        # Where nothing may be written, removing what is not there is refused, too.
        if not staging.is_dir():
            return
        # What is in it goes before what has Airflow pass it over.
        for name in (_CONTENT, ".airflowignore"):
            with suppress(FileNotFoundError, NotADirectoryError):
                (staging / name).unlink()
        with suppress(FileNotFoundError, NotADirectoryError):
            staging.rmdir()


def current(target: Target) -> Optional[bytes]:
    """Return the present content of the file, None if there is none."""
    if target.mode() is None:
        return None
    with target.folder() as (folder, name):
        descriptor = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=folder)
        with os.fdopen(descriptor, "rb") as opened:
            return opened.read()


def _found(target: Target, records: List[Record], old: Optional[bytes], record: NewRecord) -> Optional[Record]:
    """Return the record of a file that exists without a deployment, None if there is no such file."""
    if old is None or (records and records[-1]["checksum"] == checksum(old)):
        return None
    mode = target.mode()
    return {
        "path": record["path"],
        "bundle_name": record["bundle_name"],
        "fileloc": record["fileloc"],
        "deployment_id": new_id(),
        "hostname": hostname(),
        "number": (records[-1]["number"] if records else 0) + 1,
        "operation": "found",
        "checksum": checksum(old),
        "bytes": len(old),
        "deployed_at": mode.st_mtime if mode else time.time(),
        "owner": None,
        "dag_ids": None,
        "restored": None,
        "undo": {"old": None},
    }


def _write(folder: int, name: str, content: bytes) -> None:
    descriptor = os.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666, dir_fd=folder)
    with os.fdopen(descriptor, "wb") as opened:
        opened.write(content)
        opened.flush()
        os.fsync(opened.fileno())


def _forget_bytecode(target: Target) -> None:
    path = Path(target.path)
    for compiled in (path.parent / "__pycache__").glob(f"{path.stem}.*.pyc"):
        with suppress(FileNotFoundError):
            compiled.unlink()
