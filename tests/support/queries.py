"""Counts the statements that are sent to the database."""

from __future__ import annotations

from contextlib import contextmanager
from typing import Iterator, List


@contextmanager
def statements() -> Iterator[List[str]]:
    """Return a context manager with a list of the statements that are sent in its block."""
    from airflow import settings
    from sqlalchemy import event

    seen: List[str] = []

    def note(connection, cursor, statement, parameters, context, executemany):  # type: ignore[no-untyped-def]
        seen.append(statement)

    event.listen(settings.engine, "before_cursor_execute", note)
    try:
        yield seen
    finally:
        event.remove(settings.engine, "before_cursor_execute", note)
