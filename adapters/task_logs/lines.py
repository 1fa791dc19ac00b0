"""Lines of a task log: structured and as text, and the maximum number of them in a response."""

from __future__ import annotations

import datetime
import re
from collections import deque
from dataclasses import dataclass, field, replace
from typing import Any, Deque, Dict, Iterable, List, Mapping, Optional, Tuple

#: Maximum size of the text in a response, in bytes.
LOG_BYTES = 1024 * 1024

#: A line in the default [logging] log_format.
_FORMAT = re.compile(
    r"\[(?P<timestamp>[^\]]{19,35})\] \{(?P<filename>[^}]*):(?P<lineno>\d+)\} (?P<level>[A-Z]+) - (?P<event>.*)", re.S
)


@dataclass(frozen=True)
class LogLine:
    """A line of a log."""

    event: str
    text: str
    timestamp: Optional[datetime.datetime] = None
    level: Optional[str] = None
    logger: Optional[str] = None
    context: Dict[str, object] = field(default_factory=dict)

    @property
    def size(self) -> int:
        """Size of the text in bytes, including the line end."""
        return len(self.text.encode("utf-8", "replace")) + 1

    def cut(self, size: int) -> LogLine:
        """Return the line, truncated to *size* bytes."""
        text = self.text.encode("utf-8", "replace")[: size - 1].decode("utf-8", "ignore")
        return replace(self, event=self.event[: len(text)], text=text, context={})


def line_of(fields: Mapping[str, Any]) -> LogLine:
    """Return the parsed line, whether Airflow wrote it structured or as text."""
    rest = dict(fields)
    event, timestamp = str(rest.pop("event")), rest.pop("timestamp", None)
    level, logger = rest.pop("level", None), rest.pop("logger", None)
    if rest or level or logger:
        line = LogLine(event, "", timestamp, level, logger, rest)
        return replace(line, text=_text(line))
    found = _FORMAT.fullmatch(event)
    moment = _moment(found["timestamp"]) if found else None
    if found is None or moment is None:
        # Airflow 3 gives a line that has no timestamp the one of the line before it; Airflow 2 leaves it without.
        return LogLine(event, event)
    context = {"filename": found["filename"], "lineno": int(found["lineno"])}
    return LogLine(found["event"], event, moment, found["level"].lower(), None, context)


def _moment(text: str) -> Optional[datetime.datetime]:
    for form in ("%Y-%m-%dT%H:%M:%S.%f%z", "%Y-%m-%dT%H:%M:%S%z"):
        try:
            return datetime.datetime.strptime(text, form)
        except ValueError:
            continue
    return None


def _text(line: LogLine) -> str:
    """Return the text of a structured line of Airflow 3 in the format of Airflow 2."""
    # The first versions of Airflow 3 add the channel that a line was printed on, which is not part of the line.
    context = {name: value for name, value in line.context.items() if name != "chan"}
    place, number, errors = (context.pop(name, None) for name in ("filename", "lineno", "error_detail"))
    words = [
        f"[{line.timestamp.isoformat()}]" if line.timestamp else "",
        f"{{{place}:{number}}}" if place else f"{{{line.logger}}}" if line.logger else "",
        f"{line.level.upper()} -" if line.level else "",
        line.event,
        *(f"{name}={value}" for name, value in context.items()),
    ]
    return "\n".join([" ".join(word for word in words if word), *_traceback(errors)])


def _traceback(errors: Any) -> List[str]:
    """Return the exceptions of a line as Python prints them; other values are skipped."""
    lines: List[str] = []
    for error in errors if isinstance(errors, list) else ():
        if isinstance(error, dict):
            lines.append("Traceback (most recent call last):")
            for frame in error.get("frames") or ():
                lines.append(f'  File "{frame.get("filename")}", line {frame.get("lineno")}, in {frame.get("name")}')
            lines.append(f"{error.get('exc_type')}: {error.get('exc_value')}")
    return lines


def head(lines: Iterable[LogLine]) -> Tuple[List[LogLine], bool]:
    """Return the lines that fit into a response, at least one, and whether there are more."""
    shown: List[LogLine] = []
    size = 0
    for line in lines:
        size += line.size
        if size > LOG_BYTES:
            return shown or [line.cut(LOG_BYTES)], True
        shown.append(line)
    return shown, False


def tail(lines: Iterable[LogLine], most_lines: int, most_bytes: int) -> Tuple[List[LogLine], bool, int]:
    """
    Return the last lines, at least one, whether the maximum size of a response truncated them, and their number.

    :param most_lines: maximum number of lines.
    :param most_bytes: maximum size, in bytes.
    """
    shown: Deque[LogLine] = deque()
    size, count, bound = 0, 0, min(most_bytes, LOG_BYTES)
    for line in lines:
        count += 1
        shown.append(line)
        size += line.size
        while len(shown) > 1 and (len(shown) > most_lines or size > bound):
            size -= shown.popleft().size
    fewer = most_bytes > LOG_BYTES and (size > bound or len(shown) < min(most_lines, count))
    return [shown[0].cut(bound)] if size > bound else list(shown), fewer, count
