"""What a job prints: masked line by line, kept in a bounded file, read from its end."""

from __future__ import annotations

import os
import re
from contextlib import suppress
from io import FileIO
from pathlib import Path
from typing import Iterable, Optional, Pattern, Set, Tuple

from native_api.adapters import private_files

#: A line that does not end is written in parts of this size.
_LINE = 65536
_MASK = b"***"


class Secrets:
    """The texts that are masked, as they come to be known."""

    def __init__(self) -> None:
        self._patterns: Set[str] = set()
        self._regex: Optional[Pattern[bytes]] = None

    def add(self, patterns: Iterable[str]) -> None:
        """Hide what the regular expressions match from now on."""
        new = {pattern for pattern in patterns if pattern} - self._patterns
        if new:
            self._patterns |= new
            longest_first = sorted(self._patterns, key=len, reverse=True)
            self._regex = re.compile("|".join(longest_first).encode())

    def redacted(self, text: bytes) -> bytes:
        """Return *text* with the secrets as ``***``."""
        return self._regex.sub(_MASK, text) if self._regex else text


class Capture:
    """
    The file that a job's output goes to, and the one it fills next.

    :param limit: how many bytes both hold together; the oldest half is dropped when they are full.
    """

    def __init__(self, path: Path, limit: int, secrets: Secrets) -> None:
        self._path, self._half, self._secrets = path, max(limit // 2, 1), secrets
        self._file = self._opened(os.O_APPEND)
        self._rest = b""

    def write(self, data: bytes) -> None:
        """Take down what was printed; the last line waits for its end."""
        lines = self._rest + data
        end = lines.rfind(b"\n") + 1
        if not end and len(lines) >= _LINE:
            end = len(lines)
        self._rest = lines[end:]
        if end:
            self._put(self._secrets.redacted(lines[:end]))

    def close(self) -> None:
        """Take down the line that did not end."""
        self._put(self._secrets.redacted(self._rest))
        self._file.close()

    def _opened(self, how: int) -> FileIO:
        return FileIO(private_files.opened(self._path, os.O_WRONLY | os.O_CREAT | how), "ab")

    def _put(self, data: bytes) -> None:
        while data:
            room = self._half - self._file.tell()
            if room <= 0:
                self._file.close()
                os.replace(self._path, older(self._path))
                self._file = self._opened(os.O_TRUNC)
                continue
            self._file.write(data[:room])
            data = data[room:]


def older(path: Path) -> Path:
    """Return where the part of the log before the newest lies."""
    return path.with_name(f"{path.name}.1")


def tail(path: Path, limit: int) -> Tuple[str, bool]:
    """Return the last *limit* bytes of what was printed, and whether there was more."""
    parts, left, more = [], limit, False
    for part in (path, older(path)):
        with suppress(FileNotFoundError), part.open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(size - left, 0))
            parts.append(file.read(left))
            more = more or size > left
            left -= min(size, left)
    text = b"".join(reversed(parts)).decode(errors="replace")
    return text, more
