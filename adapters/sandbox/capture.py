"""The log of a job: masked line by line, limited in size, and read from its tail."""

from __future__ import annotations

import os
import re
from contextlib import suppress
from io import FileIO
from pathlib import Path
from typing import Iterable, Optional, Pattern, Set, Tuple

from native_api.adapters import private_files

#: A longer line is written in parts of this size, in bytes.
_LINE = 65536
_MASK = b"***"


class Secrets:
    """The regular expressions of the secrets that are masked."""

    def __init__(self) -> None:
        self._patterns: Set[str] = set()
        self._regex: Optional[Pattern[bytes]] = None

    def add(self, patterns: Iterable[str]) -> None:
        """Mask what these regular expressions match, too."""
        new = {pattern for pattern in patterns if pattern} - self._patterns
        if new:
            self._patterns |= new
            longest_first = sorted(self._patterns, key=len, reverse=True)
            self._regex = re.compile("|".join(longest_first).encode())

    def redacted(self, text: bytes) -> bytes:
        """Return *text* with each secret replaced by ``***``."""
        return self._regex.sub(_MASK, text) if self._regex else text


class Capture:
    """
    The log of a job, in two files.

    :param path: the file with the newest part.
    :param limit: the maximum size of both files together, in bytes. When they are full, the older one is deleted.
    :param secrets: what is masked.
    """

    def __init__(self, path: Path, limit: int, secrets: Secrets) -> None:
        self._path, self._half, self._secrets = path, max(limit // 2, 1), secrets
        self._file = self._open_file(os.O_APPEND)
        self._rest = b""

    def write(self, data: bytes) -> None:
        """Append output; an unfinished last line is written when it ends."""
        lines = self._rest + data
        end = lines.rfind(b"\n") + 1
        if not end and len(lines) >= _LINE:
            end = len(lines)
        self._rest = lines[end:]
        if end:
            self._append(self._secrets.redacted(lines[:end]))

    def close(self) -> None:
        """Write the unfinished last line and close the file."""
        self._append(self._secrets.redacted(self._rest))
        self._file.close()

    def _open_file(self, how: int) -> FileIO:
        return FileIO(private_files.opened(self._path, os.O_WRONLY | os.O_CREAT | how), "ab")

    def _append(self, data: bytes) -> None:
        while data:
            room = self._half - self._file.tell()
            if room <= 0:
                self._file.close()
                os.replace(self._path, previous_part(self._path))
                self._file = self._open_file(os.O_TRUNC)
                continue
            self._file.write(data[:room])
            data = data[room:]


def previous_part(path: Path) -> Path:
    """Return the file with the older part of a log."""
    return path.with_name(f"{path.name}.1")


def tail(path: Path, limit: int) -> Tuple[str, bool]:
    """Return the last *limit* bytes of a log as text, and whether the log is longer."""
    parts, left, more = [], limit, False
    for part in (path, previous_part(path)):
        with suppress(FileNotFoundError), part.open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(size - left, 0))
            parts.append(file.read(left))
            more = more or size > left
            left -= min(size, left)
    text = b"".join(reversed(parts)).decode(errors="replace")
    return text, more
