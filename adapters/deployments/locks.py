"""
Locks in the metadata database, which hold for all web servers that share it.

On PostgreSQL a lock is an advisory lock of a transaction, which works through PgBouncer; on MySQL it is a named lock.
Both are released with their connection, however the process ends. With SQLite it is a locked file beside the database,
which holds wherever SQLite's own locks do.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import time
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Callable, ContextManager, Dict, Iterator, Optional

from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError

from native_api.adapters import private_files
from native_api.errors import NativeApiError

if TYPE_CHECKING:
    from sqlalchemy.engine import Engine

#: Takes the lock, and returns whether it has it.
Take = Callable[[], bool]

_PAUSE_SECONDS = 0.02


@contextmanager
def locked(*key: Optional[str], seconds: float, error: NativeApiError) -> Iterator[None]:
    """
    Hold the lock of that key.

    :param seconds: how long to wait for it.
    :raises NativeApiError: the *error*, where another holds it that long.
    """
    from airflow import settings

    engine: Any = settings.engine
    number = hashlib.sha256(json.dumps(["native_api", *key]).encode()).digest()[:8]
    lock = _LOCKS.get(engine.dialect.name, _nothing)
    with lock(engine, number) as take:
        until = time.monotonic() + seconds
        while not take():
            if time.monotonic() > until:
                raise error
            time.sleep(_PAUSE_SECONDS)
        yield


@contextmanager
def _of_postgresql(engine: Engine, number: bytes) -> Iterator[Take]:
    statement = text("SELECT pg_try_advisory_xact_lock(:number)")
    key = {"number": int.from_bytes(number, "big", signed=True)}
    with closing(engine.connect()) as connection:
        transaction = connection.begin()
        try:
            yield lambda: bool(connection.execute(statement, key).scalar())
        finally:
            # Where the connection is gone, so is the lock.
            with suppress(SQLAlchemyError):
                transaction.rollback()


@contextmanager
def _of_mysql(engine: Engine, number: bytes) -> Iterator[Take]:
    key = {"name": f"native_api.{number.hex()}"}
    with closing(engine.connect()) as connection:
        try:
            yield lambda: connection.execute(text("SELECT GET_LOCK(:name, 0)"), key).scalar() == 1
        finally:
            with suppress(SQLAlchemyError):
                connection.execute(text("SELECT RELEASE_LOCK(:name)"), key)


@contextmanager
def _of_sqlite(engine: Engine, number: bytes) -> Iterator[Take]:
    if not engine.url.database or engine.url.database.startswith((":", "file:")):
        yield lambda: True
        return
    folder = private_files.folder(Path(engine.url.database).parent / "native_api" / "locks")
    descriptor = private_files.opened(folder / number.hex(), os.O_RDWR | os.O_CREAT)
    try:
        yield lambda: _is_locked_now(descriptor)
    finally:
        os.close(descriptor)


def _is_locked_now(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


@contextmanager
def _nothing(engine: Engine, number: bytes) -> Iterator[Take]:
    yield lambda: True


_LOCKS: Dict[str, Callable[[Any, bytes], ContextManager[Take]]] = {
    "postgresql": _of_postgresql,
    "mysql": _of_mysql,
    "sqlite": _of_sqlite,
}
