"""Files on the server: read, and replaced whole, below ``files_dir`` and never out of it."""

from __future__ import annotations

import errno
import os
import stat
import uuid
from contextlib import contextmanager, suppress
from typing import Callable, ContextManager, Iterator, List, Tuple

from native_api import settings
from native_api.adapters import private
from native_api.errors import Invalid, NativeApiError, NotInFilesDir, Refused, ServerFileNotFound

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
    """
    private.folder(settings.get("files_dir"))
    with _our_errors(file), _folder_of(file) as (folder, name):
        with suppress(FileNotFoundError):
            _require_regular(file, name, folder)
        new = f".{uuid.uuid4().hex}"
        descriptor = private.opened(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, dir_fd=folder)
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
