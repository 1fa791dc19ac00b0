"""What the whole database holds, to see whether anything of it was changed."""

from __future__ import annotations

import hashlib
from contextlib import contextmanager
from typing import Any, Dict, Iterator, Tuple

#: Our own audit rows, which a call is meant to leave.
OURS = "native_api."


def of_everything() -> Dict[str, Tuple[int, str]]:
    """Return of every table how many rows it has, and a checksum of them."""
    from airflow import settings
    from sqlalchemy import inspect, text

    engine: Any = settings.engine
    found = {}
    with engine.connect() as connection:
        for name in inspect(engine).get_table_names():
            rows = sorted(repr(tuple(row)) for row in connection.execute(text(f'SELECT * FROM "{name}"')))
            rows = [row for row in rows if name != "log" or OURS not in row]
            found[name] = (len(rows), hashlib.sha256("\n".join(rows).encode()).hexdigest())
    return found


@contextmanager
def unchanged() -> Iterator[None]:
    """Fail where the block below has left, changed or deleted a row of any table."""
    before = of_everything()
    yield
    after = of_everything()
    assert len(before) > 20
    assert {name: after[name] for name in after if after[name] != before[name]} == {}
