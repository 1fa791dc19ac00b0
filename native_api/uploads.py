"""Uploaded files."""

from __future__ import annotations

import hashlib
import os
import shutil
from typing import IO

_CHUNK_BYTES = 65536


class Upload:
    """
    An uploaded file, which is on disk if it is large.

    :param stream: the content, which can be read and rewound.
    :param filename: the name from the client, which is not validated.
    """

    def __init__(self, stream: IO[bytes], filename: str = "") -> None:
        self._stream = stream
        self.filename = filename

    @property
    def size(self) -> int:
        """The size in bytes."""
        # Before Python 3.11 seek() of a spooled file returns None.
        self._stream.seek(0, os.SEEK_END)
        return self._stream.tell()

    def content(self) -> bytes:
        """Return the content."""
        self._stream.seek(0)
        return self._stream.read()

    def checksum(self) -> str:
        """Return the SHA-256 checksum of the content, in hexadecimal."""
        self._stream.seek(0)
        digest = hashlib.sha256()
        for chunk in iter(lambda: self._stream.read(_CHUNK_BYTES), b""):
            digest.update(chunk)
        return digest.hexdigest()

    def copy_to(self, target: IO[bytes]) -> None:
        """Write the content to an open file."""
        self._stream.seek(0)
        shutil.copyfileobj(self._stream, target, _CHUNK_BYTES)
