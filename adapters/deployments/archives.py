"""Archives of DAGs: looked through before anything in them is loaded."""

from __future__ import annotations

import copy
import io
import stat
import zipfile
import zlib
from typing import Optional

from native_api.errors import Invalid

#: How large what is in an archive may be, in bytes.
UNPACKED_BYTES = 500 * 1024 * 1024
#: How many members an archive may have.
MEMBERS = 10_000
_PIECE = 1024 * 1024


def require_sound(content: bytes, *, is_archive: bool) -> None:
    """
    Raise :class:`Invalid` where a file is not what its name says, or an archive is not to be loaded.

    Python reads the modules of an archive whole, whatever size the archive claims: they are read here, to the bound.
    """
    if zipfile.is_zipfile(io.BytesIO(content)) != is_archive:
        raise _invalid("Not a zip archive." if is_archive else "An archive: its name must end in .zip.")
    if not is_archive:
        return
    try:
        reason = _what_is_wrong(content)
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, ValueError) as exc:
        raise _invalid(f"Not a sound zip archive: {exc}") from exc
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
                return f"What is in the archive is larger than {UNPACKED_BYTES} bytes."
    return None


def _leads_out(member: zipfile.ZipInfo) -> bool:
    name = member.filename
    is_link = stat.S_ISLNK(member.external_attr >> 16)
    return is_link or name.startswith("/") or "\\" in name or ":" in name or ".." in name.split("/")


def _size(archive: zipfile.ZipFile, member: zipfile.ZipInfo, limit: int) -> int:
    """Return how much a member really holds, or more than the limit where it holds that."""
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
