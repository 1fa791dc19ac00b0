"""Zip archives of DAGs: validated before anything in them is loaded."""

from __future__ import annotations

import copy
import io
import stat
import zipfile
import zlib
from typing import Optional

from native_api.errors import Invalid

#: Maximum unpacked size of an archive, in bytes.
UNPACKED_BYTES = 500 * 1024 * 1024
#: Maximum number of members of an archive.
MEMBERS = 10_000
_PIECE = 1024 * 1024


def require_sound(content: bytes, *, is_archive: bool) -> None:
    """
    Raise :class:`Invalid` if the content does not match the file name, or an archive must not be loaded.

    Members are unpacked up to the maximum, since an archive can declare a wrong size.
    """
    if zipfile.is_zipfile(io.BytesIO(content)) != is_archive:
        raise _invalid("Not a zip archive." if is_archive else "Is a zip archive: the file name must end in .zip.")
    if not is_archive:
        return
    try:
        reason = _what_is_wrong(content)
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, ValueError) as exc:
        raise _invalid(f"Not a valid zip archive: {exc}") from exc
    if reason:
        raise _invalid(reason)


def _what_is_wrong(content: bytes) -> Optional[str]:
    left = UNPACKED_BYTES
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        members = archive.infolist()
        if len(members) > MEMBERS:
            return f"The archive has more than {MEMBERS} members."
        for member in members:
            if _leads_out(member):
                return f"The member '{member.filename}' leads out of the archive."
            left -= _size(archive, member, left)
            if left < 0:
                return f"The unpacked archive is larger than {UNPACKED_BYTES} bytes."
    return None


def _leads_out(member: zipfile.ZipInfo) -> bool:
    name = member.filename
    is_link = stat.S_ISLNK(member.external_attr >> 16)
    return is_link or name.startswith("/") or "\\" in name or ":" in name or ".." in name.split("/")


def _size(archive: zipfile.ZipFile, member: zipfile.ZipInfo, limit: int) -> int:
    """Return the unpacked size of a member, or more than the limit if it exceeds that."""
    whole = copy.copy(member)
    # What the archive claims; with less, reading ends there.
    whole.file_size = limit + _PIECE
    size = 0
    with archive.open(whole) as opened:
        while size <= limit:
            piece = opened.read(_PIECE)
            if not piece:
                break
            size += len(piece)
    return size


def _invalid(reason: str) -> Invalid:
    return Invalid({"dag_file": [reason]})
