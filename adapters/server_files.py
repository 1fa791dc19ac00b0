"""Files on the server: read, and replaced whole, below ``files_dir`` and never out of it."""

from __future__ import annotations

import errno
import os
import stat
import uuid
from contextlib import contextmanager, suppress
from typing import Callable, ContextManager, Iterator, List, Optional, Tuple

from native_api import settings
from native_api.adapters import private_files
from native_api.errors import Invalid, NativeApiError, NotInFilesDir, Refused, ServerFileNotFound

#: In bytes; file systems take no more.
LONGEST_NAME = 255

Outside = Callable[[str], NativeApiError]


def path_of(file: str) -> str:
    """Return the whole path of a file that is named below ``files_dir``."""
    return os.path.join(settings.get("files_dir"), file)


def read(file: str) -> bytes:
    """
    Return what the file holds.

    :param file: its path below ``files_dir``, or its whole path.
    :raises NotInFilesDir: the path leads elsewhere.
    :raises ServerFileNotFound: there is none.
    """
    limit: int = settings.get("body_bytes")
    with _our_errors(file), _folder_of(file) as (folder, name):
        _require_regular(file, name, folder)
        descriptor = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=folder)
        with os.fdopen(descriptor, "rb") as opened:
            content = opened.read(limit + 1)
    if len(content) > limit:
        raise Invalid({"file": [f"The file is larger than {limit} bytes."]})
    return content


def replace(file: str, content: bytes) -> None:
    """
    Put a new file, which only its owner may read, in the place of the old one; what fails leaves that.

    :param file: its path below ``files_dir``, or its whole path; its folder is there already.
    :raises NotInFilesDir: the path leads elsewhere.
    :raises Invalid: it is no name that a file should have.
    :raises Refused: the folder has as many files as it may.
    """
    root = settings.get("files_dir")
    with _our_errors(file):
        wrong = complaint("/".join(_steps(root, file, NotInFilesDir)))
    if wrong:
        raise Invalid({"file": [wrong]})
    private_files.folder(root)
    with _our_errors(file), _folder_of(file) as (folder, name):
        try:
            _require_regular(file, name, folder)
        except FileNotFoundError:
            _require_room(file, folder)
        new = f".{uuid.uuid4().hex}"
        descriptor = private_files.opened(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, dir_fd=folder)
        try:
            with os.fdopen(descriptor, "wb") as opened:
                opened.write(content)
                opened.flush()
                os.fsync(opened.fileno())
            os.replace(new, name, src_dir_fd=folder, dst_dir_fd=folder)
        finally:
            with suppress(FileNotFoundError):
                os.unlink(new, dir_fd=folder)
        os.fsync(folder)


def _folder_of(file: str) -> ContextManager[Tuple[int, str]]:
    return folder_below(settings.get("files_dir"), file, NotInFilesDir)


@contextmanager
def folder_below(root: str, file: str, outside: Outside) -> Iterator[Tuple[int, str]]:
    """
    Give the descriptor of the file's folder, and its name there; a folder on the way that is a link is refused.

    :param outside: makes the error for a path that leads out of *root*.
    """
    *folders, name = _steps(root, file, outside)
    descriptor = os.open(root, os.O_RDONLY | os.O_DIRECTORY)
    try:
        for folder in folders:
            below = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=descriptor)
            os.close(descriptor)
            descriptor = below
        yield descriptor, name
    finally:
        os.close(descriptor)


def _steps(root: str, file: str, outside: Outside) -> List[str]:
    """Return the names on the way from *root* to the file."""
    # Half of a surrogate pair would name a file that nobody can write down.
    file.encode()
    if os.path.isabs(file):
        if not file.startswith(f"{root}/"):
            raise outside(file)
        file = file[len(root) :]
    steps = [step for step in file.split("/") if step not in ("", ".")]
    if not steps or ".." in steps or "\0" in file or file.endswith(("/", "/.")):
        raise outside(file)
    return steps


def complaint(path: str) -> Optional[str]:
    """Return what is wrong with the path of a file that is to be written, or None where its names are plain."""
    if any(ord(character) < 32 or character in "\\\x7f" for character in path):
        return "Has a character in it that no name of a file should have."
    steps = path.encode().split(b"/")
    if any(step.startswith(b".") or not step for step in steps):
        return "No part of it may be empty or begin with a dot: Airflow or others would pass it over."
    if any(len(step) > LONGEST_NAME for step in steps):
        return f"No part of it may be longer than {LONGEST_NAME} bytes."
    return None


def _require_room(file: str, folder: int) -> None:
    most = settings.get("files_kept")
    with os.scandir(folder) as entries:
        count = sum(not entry.is_dir(follow_symlinks=False) for entry in entries)
    if count >= most:
        raise Refused(
            f"The folder of '{file}' has {count} files; the option [native_api] files_kept allows {most}: "
            "replace one, or have some removed."
        )


def _require_regular(file: str, name: str, folder: int) -> None:
    if not stat.S_ISREG(os.stat(name, dir_fd=folder, follow_symlinks=False).st_mode):
        raise NotInFilesDir(file)


@contextmanager
def _our_errors(file: str) -> Iterator[None]:
    try:
        yield
    except FileNotFoundError as exc:
        raise ServerFileNotFound(file) from exc
    except UnicodeEncodeError as exc:
        raise NotInFilesDir(file) from exc
    except OSError as exc:
        # What a link, or a file in the place of a folder, gives.
        if exc.errno in (errno.ELOOP, errno.ENOTDIR):
            raise NotInFilesDir(file) from exc
        raise Refused(f"The file '{file}' cannot be used: {os.strerror(exc.errno or 0)}.") from exc
