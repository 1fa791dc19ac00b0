"""The change of one file on disk: staged beside it, swapped in whole, and undone where it does not come to its end."""

from __future__ import annotations

import os
import time
import uuid
from contextlib import suppress
from pathlib import Path
from typing import Any, List, Optional

from native_api.adapters.deploying.history import History, Record, checksum
from native_api.adapters.deploying.names import Target
from native_api.adapters.seam import airflow

_CONTENT = "content"


class Change:
    """
    A change of one file that has been begun.

    The new content lies in a folder beside the file that Airflow passes over, so that it can be renamed into place.
    """

    def __init__(self, target: Target, history: History, journal: Record) -> None:
        self._target, self._history, self.journal = target, history, journal
        self._undo = journal["undo"]

    @classmethod
    def begin(cls, target: Target, history: History, record: Record, content: Optional[bytes]) -> Change:
        """
        Write down what is to be done; nothing is touched in the DAGs folder yet.

        :param content: what the file is to hold; None deletes it.
        """
        old, records = current(target), history.records()
        found = _found(target, records, old, record)
        if found and old is not None:
            history.keep(found["deployment_id"], old)
        if content is not None:
            history.keep(record["deployment_id"], content)
        before = [*records, *([found] if found else [])][-1:]
        undo = {
            "staging": f".native_api-{record['deployment_id']}",
            "folders": [name for name in target.folders if not os.path.isdir(os.path.join(target.bundle.path, name))],
            "found": found,
            "old": before[0]["deployment_id"] if old is not None else None,
        }
        number = before[0]["number"] + 1 if before else 1
        journal = {**record, "number": number, "checksum": checksum(content), "undo": undo}
        history.begin(journal)
        return cls(target, history, journal)

    @property
    def staged(self) -> str:
        """Where the new content lies."""
        return os.path.join(os.path.dirname(self._target.path), self._undo["staging"], _CONTENT)

    def stage(self, content: bytes) -> None:
        """Put the new content beside the file, in a folder that Airflow passes over."""
        for folder in self._undo["folders"]:
            with suppress(FileExistsError):
                os.mkdir(os.path.join(self._target.bundle.path, folder))
        with self._target.folder() as (folder, name):
            staging = self._undo["staging"]
            os.mkdir(staging, dir_fd=folder)
            below = os.open(staging, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=folder)
            try:
                _write(below, ".airflowignore", airflow().syncing.ignore_everything().encode())
                _write(below, _CONTENT, content)
                _make_newer(below, folder, name)
            finally:
                os.close(below)

    def swap(self) -> None:
        """Put the new content in the place of the old."""
        with self._target.folder() as (folder, name):
            os.replace(self.staged, name, dst_dir_fd=folder)
            os.fsync(folder)
        self._remove_staging()

    def remove(self) -> None:
        """Delete the file."""
        with self._target.folder() as (folder, name):
            os.unlink(name, dir_fd=folder)
            os.fsync(folder)
        _forget_bytecode(self._target)

    def commit(self, kept: int, **facts: Any) -> Record:
        """Have it stay so; return its record."""
        self.journal.update(facts)
        self._history.commit(self.journal, kept)
        return self.journal

    def undo(self) -> bool:
        """Put back what was there, and leave nothing else; return whether it had been changed."""
        self._remove_staging()
        was_changed = self._is_done()
        if was_changed:
            self._put_back()
        for folder in reversed(self._undo["folders"]):
            with suppress(OSError):
                os.rmdir(os.path.join(self._target.bundle.path, folder))
        return was_changed

    def forget(self) -> None:
        """Forget it; what it changed has been put back."""
        self._history.undone(self.journal)

    def _is_done(self) -> bool:
        there = checksum(current(self._target))
        return there == self.journal["checksum"] and there != self._old_checksum()

    def _old_checksum(self) -> Optional[str]:
        return checksum(self._old())

    def _old(self) -> Optional[bytes]:
        return None if self._undo["old"] is None else self._history.content(self._undo["old"])

    def _put_back(self) -> None:
        old = self._old()
        if old is None:
            self.remove()
            return
        self.stage(old)
        self.swap()

    def _remove_staging(self) -> None:
        staging = Path(self.staged).parent
        # What is in it goes before what has Airflow pass it over.
        for name in (_CONTENT, ".airflowignore"):
            with suppress(FileNotFoundError, NotADirectoryError):
                (staging / name).unlink()
        with suppress(FileNotFoundError, NotADirectoryError):
            staging.rmdir()


def current(target: Target) -> Optional[bytes]:
    """Return what the file holds now, None where there is none."""
    if target.mode() is None:
        return None
    with target.folder() as (folder, name):
        descriptor = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=folder)
        with os.fdopen(descriptor, "rb") as opened:
            return opened.read()


def _found(target: Target, records: List[Record], old: Optional[bytes], record: Record) -> Optional[Record]:
    """Return the record of a file that is there and was not deployed by us, None where there is no such file."""
    if old is None or (records and records[-1]["checksum"] == checksum(old)):
        return None
    known = {name: record[name] for name in ("path", "bundle_name", "fileloc")}
    mode = target.mode()
    return {
        **known,
        "deployment_id": uuid.uuid4().hex,
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


def _make_newer(staging: int, folder: int, name: str) -> None:
    """Give the new content the old one's rights, and a later time: Python takes bytecode for that of a file by both."""
    with suppress(FileNotFoundError):
        old = os.stat(name, dir_fd=folder, follow_symlinks=False)
        os.chmod(_CONTENT, old.st_mode & 0o777, dir_fd=staging)
        now = max(time.time(), int(old.st_mtime) + 1)
        os.utime(_CONTENT, (now, now), dir_fd=staging)


def _forget_bytecode(target: Target) -> None:
    path = Path(target.path)
    for compiled in (path.parent / "__pycache__").glob(f"{path.stem}.*.pyc"):
        with suppress(FileNotFoundError):
            compiled.unlink()
