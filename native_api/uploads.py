"""Uploaded files."""

from __future__ import annotations

import hashlib
import os
import shutil
from typing import IO

_PIECE_BYTES = 65536


class Upload:
    """A file, on disk where it is large; *filename* is what its sender calls it, and nothing to be trusted."""

    def __init__(self, stream: IO[bytes], filename: str = "") -> None:
        self._stream = stream
        self.filename = filename

    @property
    def size(self) -> int:
        """How many bytes it has."""
        # Before Python 3.11 the seek of a spooled file returns nothing.
        self._stream.seek(0, os.SEEK_END)
        return self._stream.tell()

    def content(self) -> bytes:
        """Return all of it."""
        self._stream.seek(0)
        return self._stream.read()

    def checksum(self) -> str:
        """Return the SHA-256 of it."""
        self._stream.seek(0)
        digest = hashlib.sha256()
        for piece in iter(lambda: self._stream.read(_PIECE_BYTES), b""):
            digest.update(piece)
        return digest.hexdigest()

    def copy_to(self, target: IO[bytes]) -> None:
        """Write all of it to *target*."""
        self._stream.seek(0)
        shutil.copyfileobj(self._stream, target, _PIECE_BYTES)
