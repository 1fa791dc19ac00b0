"""Folders and files that only the user of Airflow can use, whatever the umask."""

from __future__ import annotations

import os
import stat
from contextlib import suppress
from pathlib import Path
from typing import Optional, Union

_OF_FOLDERS, _OF_FILES = 0o700, 0o600


def folder(path: Union[str, Path]) -> Path:
    """Create a folder and its missing parents; remove the permissions of other users from it."""
    created = Path(path)
    if not created.parent.exists():
        folder(created.parent)
    with suppress(FileExistsError):
        os.mkdir(created, _OF_FOLDERS)
    mode = os.stat(created).st_mode
    if mode & 0o777 != _OF_FOLDERS:
        # One that belongs to somebody else is an affair of whoever configured it.
        with suppress(PermissionError):
            os.chmod(created, stat.S_IMODE(mode) & ~0o777 | _OF_FOLDERS)
    return created


def opened(path: Union[str, Path], flags: int, dir_fd: Optional[int] = None) -> int:
    """Return a descriptor of a file that only its owner can read; an *opener* for ``open``."""
    descriptor = os.open(path, flags | os.O_CLOEXEC, _OF_FILES, dir_fd=dir_fd)
    if os.fstat(descriptor).st_mode & 0o777 != _OF_FILES:
        with suppress(PermissionError):
            os.fchmod(descriptor, _OF_FILES)
    return descriptor


def write(path: Path, text: str) -> None:
    """Write a file that only its owner can read."""
    with open(path, "w", encoding="utf-8", opener=opened) as file:
        file.write(text)
