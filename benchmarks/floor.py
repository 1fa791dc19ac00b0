"""
Run as a process: what the rows and the JSON of a read cost at least, without HTTP, authentication and permissions.

Each line of the input is a query: the module and the name of a model, the values of columns, and the limit, or null for
one row. The output is a line with the seconds of the query and of ``json.dumps``.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from contextlib import contextmanager
from importlib import import_module
from typing import Any, Callable, Dict, Iterator, Optional, Tuple

from sqlalchemy import func, select

from benchmarks.servers import command_of
from tests.servers.deployment import Deployment

#: The module and the name of a model, the values of columns, and the limit.
Query = Tuple[str, str, Dict[str, Any], Optional[int]]


@contextmanager
def floor(deployment: Deployment) -> Iterator[Callable[[Query], float]]:
    """Start the process, and return a function that returns the seconds of a query."""
    process = subprocess.Popen(
        command_of("benchmarks.floor"),
        env=deployment.environment(),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    assert process.stdin and process.stdout

    def seconds(query: Query) -> float:
        print(json.dumps(query), file=process.stdin, flush=True)
        return float(process.stdout.readline())  # type: ignore[union-attr]

    with process:
        yield seconds
        process.stdin.close()


def main() -> None:
    """Run the queries of the input."""
    from airflow.settings import Session

    output, sys.stdout = sys.stdout, sys.stderr
    for line in sys.stdin:
        module, name, where, limit = json.loads(line)
        model = getattr(import_module(module), name)
        start = time.perf_counter()
        with Session() as session:
            statement = select(model).filter_by(**where)
            rows = session.scalars(statement.limit(limit or 1)).unique().all()
            facts = [{column.name: getattr(row, column.key) for column in model.__table__.columns} for row in rows]
            total = session.scalar(select(func.count()).select_from(model).filter_by(**where)) if limit else None
            json.dumps([facts, total], default=str)
        print(time.perf_counter() - start, file=output, flush=True)


if __name__ == "__main__":
    main()
