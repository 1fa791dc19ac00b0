"""The files of daemons: a record, a pid file and logs for each, always below ``daemons_dir``."""

from __future__ import annotations

import fcntl
import json
import os
import stat
from contextlib import contextmanager, suppress
from typing import Iterator, List, Optional

from native_api import settings
from native_api.adapters import private_files
from native_api.adapters.daemons.launch import Record, replace
from native_api.adapters.server_files import errors_as_ours, folder_below
from native_api.errors import NotInDaemonsDir

#: Below ``daemons_dir``; callers have no access to hidden folders.
_RECORDS = ".records"
LOG_SUFFIXES = (".log", ".out", ".err")


def create() -> None:
    """Create the folders, which only their owner can read."""
    for folder in (settings.get("daemons_dir"), os.path.dirname(record_path(""))):
        private_files.folder(folder)


def record_path(name: str) -> str:
    """Return the path of the record of a daemon."""
    return os.path.join(settings.get("daemons_dir"), _RECORDS, f"{name}.json")


def read_record(name: str) -> Optional[Record]:
    """Return the record of a daemon, None if there is none."""
    try:
        with open(record_path(name), encoding="utf-8") as opened:
            record: Record = json.load(opened)
    except FileNotFoundError:
        return None
    return record


def write_record(record: Record) -> None:
    """Replace the record of the same name."""
    replace(record_path(record["name"]), json.dumps(record))


def forget_pid(record: Record) -> None:
    """Delete the pid file of an ended daemon, unless another daemon uses it now."""
    with suppress(FileNotFoundError):
        with open(record["pid_file"], encoding="ascii") as opened:
            if opened.read().strip() != str(record["pid"]):
                return
        os.unlink(record["pid_file"])


def names() -> List[str]:
    """Return the names of the daemons that have a record."""
    with suppress(FileNotFoundError):
        found = os.listdir(os.path.dirname(record_path("")))
        return sorted(name[: -len(".json")] for name in found if name.endswith(".json"))
    return []


@contextmanager
def locked(name: str) -> Iterator[None]:
    """Lock the daemon against being started or stopped by other web workers."""
    with _locked(f"{record_path(name)}.lock"):
        yield


@contextmanager
def locked_pid_files() -> Iterator[None]:
    """Lock the pid files against other web workers."""
    with _locked(record_path("") + ".pids"):
        yield


@contextmanager
def _locked(path: str) -> Iterator[None]:
    create()
    descriptor = private_files.opened(path, os.O_WRONLY | os.O_CREAT)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def path_of(file: Optional[str], default: str, *suffixes: str) -> str:
    """
    Return the absolute path of a file, given relative to ``daemons_dir`` or absolute.

    :raises NotInDaemonsDir: it is outside of the folder, or not a file with one of the *suffixes*.
    """
    root: str = settings.get("daemons_dir")
    file = file or default
    with errors_as_ours(file, NotInDaemonsDir), folder_below(root, file, NotInDaemonsDir) as (folder, name):
        if not name.endswith(suffixes) or any(step.startswith(".") for step in _below(root, file).split(os.sep)):
            raise NotInDaemonsDir(file)
        with suppress(FileNotFoundError):
            if not stat.S_ISREG(os.stat(name, dir_fd=folder, follow_symlinks=False).st_mode):
                raise NotInDaemonsDir(file)
    return os.path.join(root, _below(root, file))


def open_log(path: str, flags: int) -> int:
    """Return a descriptor of a log; symbolic links are refused."""
    root: str = settings.get("daemons_dir")
    with errors_as_ours(path, NotInDaemonsDir), folder_below(root, path, NotInDaemonsDir) as (folder, name):
        return os.open(name, flags | os.O_NOFOLLOW | os.O_NONBLOCK, 0o600, dir_fd=folder)


def _below(root: str, file: str) -> str:
    return os.path.relpath(os.path.normpath(os.path.join(root, file)), root)
