"""The files of a log: their ends, where they are so large that Airflow's reader would take all memory for them."""

from __future__ import annotations

import os
import tempfile
from contextlib import contextmanager
from copy import copy
from pathlib import Path
from typing import TYPE_CHECKING, Any, Iterator, List, Optional

if TYPE_CHECKING:
    from airflow.models.taskinstance import TaskInstance

#: The number of bytes to read from the end of a file. A response has 1 MiB of text, for which a structured log file of
#: Airflow 3 has several times as much.
END_BYTES = 8 * 1024 * 1024


@contextmanager
def shortened(handler: Any, instance: TaskInstance, try_number: int) -> Iterator[Optional[object]]:
    """
    Return a context manager with a handler that reads only the tails of a try's files, or None.

    It is None if the files are small, or if the handler is not Airflow's file handler and can read other logs.
    """
    files = _files(handler, instance, try_number)
    if not any(file.stat().st_size > END_BYTES for file in files):
        yield None
        return
    with tempfile.TemporaryDirectory(prefix="native_api_log_") as folder:
        for file in files:
            end = Path(folder, file.relative_to(handler.local_base))
            end.parent.mkdir(parents=True, exist_ok=True)
            end.write_bytes(_end_of(file))
        other = copy(handler)
        other.local_base = folder
        yield other


def _files(handler: Any, instance: TaskInstance, try_number: int) -> List[Path]:
    """Return the files of a try that the handler reads on this host, none where it is of another kind."""
    from airflow.utils.log.file_task_handler import FileTaskHandler

    if type(handler) is not FileTaskHandler:
        return []
    path = Path(handler.local_base, handler._render_filename(instance, try_number))
    return [file for file in sorted(path.parent.glob(path.name + "*")) if file.is_file()]


def _end_of(file: Path) -> bytes:
    """Return the last lines of a file, whole ones where it has any."""
    with open(file, "rb") as opened:
        cut = opened.seek(0, os.SEEK_END) > END_BYTES
        opened.seek(-END_BYTES if cut else 0, os.SEEK_END if cut else os.SEEK_SET)
        end = opened.read(END_BYTES)
    if not cut:
        return end
    _, newline, lines = end.partition(b"\n")
    # Drop the rest of a truncated character.
    return lines if newline and lines else end.lstrip(bytes(range(0x80, 0xC0)))
