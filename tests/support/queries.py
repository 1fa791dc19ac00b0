"""Counts the statements and the transactions that are sent to the database."""

from __future__ import annotations

from contextlib import contextmanager
from typing import Any, Iterator, List


@contextmanager
def statements() -> Iterator[List[str]]:
    """Return a context manager with a list of the statements that are sent in its block."""
    seen: List[str] = []
    with _listening("before_cursor_execute", lambda connection, cursor, statement, *rest: seen.append(statement)):
        yield seen


@contextmanager
def transactions() -> Iterator[List[object]]:
    """Return a context manager with a list of the transactions that begin in its block."""
    seen: List[object] = []
    with _listening("begin", seen.append):
        yield seen


@contextmanager
def _listening(event_name: str, note: Any) -> Iterator[None]:
    from airflow import settings
    from sqlalchemy import event

    def noted(*args: Any) -> None:
        note(*args)

    event.listen(settings.engine, event_name, noted)
    try:
        yield
    finally:
        event.remove(settings.engine, event_name, noted)
