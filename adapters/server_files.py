"""Files on the server: read, and replaced atomically, always below ``files_dir``."""

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
    """Return the absolute path of a file below ``files_dir``."""
    return os.path.join(settings.get("files_dir"), file)


def read(file: str) -> bytes:
    """
    Return the content of the file.

    :param file: its path relative to ``files_dir``, or its absolute path.
    :raises NotInFilesDir: the path is outside of the folder.
    :raises ServerFileNotFound: there is no such file.
    """
    limit: int = settings.get("body_bytes")
    with _our_errors(file), _folder_of(file) as (folder, name):
        _require_regular(file, name, folder)
        descriptor = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=folder)
        with os.fdopen(descriptor, "rb") as opened:
            content = opened.read(limit + 1)
    if len(content) > limit:
        raise Invalid({"file": [f"The file is larger than the maximum of {limit} bytes."]})
    return content


def replace(file: str, content: bytes) -> None:
    """
    Replace a file by one that only its owner can read; on failure, the old one remains.

    :param file: its path relative to ``files_dir``, or its absolute path; its folder must exist.
    :raises NotInFilesDir: the path is outside of the folder.
    :raises Invalid: the file name is not plain.
    :raises Refused: the folder has the maximum number of files.
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
    Yield the descriptor of the file's folder, and the file name; symbolic links to folders are refused.

    :param outside: returns the error for a path outside of *root*.
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
    """Return the parts of the file's path relative to *root*."""
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
    """Return the reason why a file of that path must not be written, None if all its names are plain."""
    if any(ord(character) < 32 or character in "\\\x7f" for character in path):
        return "Has a character that is not allowed in file names."
    steps = path.encode().split(b"/")
    if any(step.startswith(b".") or not step for step in steps):
        return "No part of the path can be empty or begin with a dot: Airflow ignores such files."
    if any(len(step) > LONGEST_NAME for step in steps):
        return f"No part of the path can be longer than {LONGEST_NAME} bytes."
    return None


def _require_room(file: str, folder: int) -> None:
    most = settings.get("files_kept")
    with os.scandir(folder) as entries:
        count = sum(not entry.is_dir(follow_symlinks=False) for entry in entries)
    if count >= most:
        raise Refused(
            f"The folder of '{file}' has {count} files; the maximum is {most}, the option [native_api] files_kept. "
            "Replace or remove a file."
        )


def _require_regular(file: str, name: str, folder: int) -> None:
    if not stat.S_ISREG(os.stat(name, dir_fd=folder, follow_symlinks=False).st_mode):
        raise NotInFilesDir(file)


@contextmanager
def _our_errors(file: str) -> Iterator[None]:
    with errors_as_ours(file, NotInFilesDir):
        try:
            yield
        except FileNotFoundError as exc:
            raise ServerFileNotFound(file) from exc


@contextmanager
def errors_as_ours(file: str, outside: Outside) -> Iterator[None]:
    """
    Translate the errors of using a file to those of this API.

    :param outside: the error for a path that leads out of its folder.
    """
    try:
        yield
    except UnicodeEncodeError as exc:
        raise outside(file) from exc
    except OSError as exc:
        # What a link, or a file in the place of a folder, gives.
        if exc.errno in (errno.ELOOP, errno.ENOTDIR):
            raise outside(file) from exc
        raise Refused(f"The file '{file}' cannot be used: {os.strerror(exc.errno or 0)}.") from exc
