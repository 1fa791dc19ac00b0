"""Copies of the database, which restore it faster than the operations that changed it would."""

from __future__ import annotations

import sqlite3


class DatabaseCopy:
    """A copy of the SQLite database in memory."""

    def __init__(self) -> None:
        self._copy = sqlite3.connect(":memory:")
        with sqlite3.connect(_path()) as source:
            source.backup(self._copy)
        source.close()

    def put_back(self) -> None:
        """Restore the database."""
        from airflow import settings

        settings.engine.dispose()
        with sqlite3.connect(_path()) as target:
            self._copy.backup(target)
        target.close()


def _path() -> str:
    from airflow import settings

    return str(settings.engine.url.database)
