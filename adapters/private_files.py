"""Folders and files that only the Unix user of Airflow can use, whatever the umask."""

from __future__ import annotations

import os
import stat
from contextlib import suppress
from pathlib import Path
from typing import Optional, Union

_OF_FOLDERS, _OF_FILES = 0o700, 0o600


def folder(path: Union[str, Path]) -> Path:
    """
    Create a folder and its missing parents, and return it.

    The permissions of other users are removed, of an existing folder, too.
    """
    created = Path(path)
    if not created.parent.exists():
        folder(created.parent)
    with suppress(FileExistsError):
        os.mkdir(created, _OF_FOLDERS)
    mode = os.stat(created).st_mode
    if mode & 0o777 != _OF_FOLDERS:
        # A folder of another user has the permissions that its owner has set.
        with suppress(PermissionError):
            os.chmod(created, stat.S_IMODE(mode) & ~0o777 | _OF_FOLDERS)
    return created


def opened(path: Union[str, Path], flags: int, dir_fd: Optional[int] = None) -> int:
    """
    Open a file that only its owner can read, and return its descriptor; usable as the *opener* of ``open``.

    :param flags: those of ``os.open``.
    :param dir_fd: the descriptor of the folder that a relative path starts from.
    """
    descriptor = os.open(path, flags | os.O_CLOEXEC, _OF_FILES, dir_fd=dir_fd)
    if os.fstat(descriptor).st_mode & 0o777 != _OF_FILES:
        with suppress(PermissionError):
            os.fchmod(descriptor, _OF_FILES)
    return descriptor


def write(path: Path, text: str) -> None:
    """Write *text* to a file that only its owner can read."""
    with open(path, "w", encoding="utf-8", opener=opened) as file:
        file.write(text)
