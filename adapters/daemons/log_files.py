"""The logs of daemons, and the reason of a daemon's end in them."""

from __future__ import annotations

import os
import re
from typing import Optional, Tuple

from native_api.adapters.daemons import folder

#: Maximum size of a log in a response, in bytes.
MOST = 1024 * 1024

#: Patterns in a log tail and the reasons of the end that they show; the last match counts.
_REASONS: Tuple[Tuple[str, str], ...] = (
    (r"No module named '?([\w.]+)'?", "the Python module {0} is not installed"),
    (
        r"No such file or directory: '?((?:\S*/)?kinit)'?",
        "{0} is not installed; Debian has it in the package krb5-user",
    ),
    (r"(Address already in use|[Cc]onnection in use)", "the port is in use"),
    (r"(kinit: .+)", "{0}"),
    (r"(?:Keytab renewer not starting), (no keytab configured)", "{0}"),
    (r"airflow command error: (.+?)(?:, see help above\.)?$", "{0}"),
    (
        r"(no such table: \w+|relation \"\w+\" does not exist)",
        "the database is not set up ({0}): run airflow db migrate",
    ),
)


def size(path: str) -> int:
    """Return the size of a log in bytes, 0 if there is none."""
    try:
        return os.stat(path, follow_symlinks=False).st_size
    except FileNotFoundError:
        return 0


def tail(path: str, lines: int, size_bytes: int, begins: int = 0) -> str:
    """Return the log tail, limited to that number of lines and bytes, from the offset *begins* on."""
    if not os.path.lexists(path):
        return ""
    with os.fdopen(folder.open_log(path, os.O_RDONLY), "rb") as opened:
        end = opened.seek(0, os.SEEK_END)
        start = max(end - min(size_bytes, MOST), begins if begins <= end else 0)
        opened.seek(start)
        text = opened.read(end - start).decode("utf-8", "replace")
    return "".join(text.splitlines(keepends=True)[-lines:])


def reason(text: str) -> Optional[str]:
    """Return the reason of the process's end from its log tail, None if it is not recognised."""
    for line in reversed(text.splitlines()):
        for pattern, sentence in _REASONS:
            found = re.search(pattern, line)
            if found:
                return f"{sentence.format(*found.groups())}."
    return None
