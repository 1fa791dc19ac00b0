"""
The plugin's own share of a read: its time without Airflow's authentication, rights and statements.

Measured in a process with the web application of Airflow. The whole is the time of the plugin's own app on Airflow 3,
and of the plugin's view on Airflow 2, whose Flask app is Airflow's. CPU time counts, which with SQLite includes the
database.
"""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import time
from collections import Counter, defaultdict
from contextlib import contextmanager
from functools import wraps
from pathlib import Path
from typing import Any, Callable, Dict, Iterator, List, Mapping, Tuple
from urllib.parse import urlencode

from benchmarks import figures
from benchmarks.rows import DAG_ID, RUN_ID, TASK_ID
from benchmarks.servers import command_of, logins, served, token
from tests.servers.client import TYPED
from tests.support.versions import AIRFLOW

READS: Dict[str, Mapping[str, str]] = {
    "version": {},
    "get_variable": {"key": "key_1"},
    "dag_state": {"dag_id": DAG_ID, "run_id": RUN_ID},
    "task_state": {"dag_id": DAG_ID, "run_id": RUN_ID, "task_id": TASK_ID},
}
#: What a class of adapters.compat does with Airflow's auth manager.
_AUTH = ("by_authorization", "by_session", "may", "is_administrator", "dag_ids", "names")
_WARM = 20


def measure(folder: Path, kind: str, rounds: int, command_rounds: int) -> Dict[str, Any]:
    """Return the milliseconds of each read, by the way of authentication."""
    with served(folder, kind, dags=1, runs=1) as server:
        sent = {"rounds": rounds, "logins": {**logins(server), "token": token()}}
        found = subprocess.run(
            command_of("benchmarks.share"),
            env=server.deployment.environment(),
            input=json.dumps(sent),
            stdout=subprocess.PIPE,
            text=True,
            check=True,
        )
    return {"shares": json.loads(found.stdout.splitlines()[-1])}


def tables(measured: Mapping[str, Any]) -> List[Tuple[str, str]]:
    """Return the title and the table of the figures."""
    header = ["Operation", "Login", "Whole", "Authentication and rights", "Statements", "Own share"]
    rows = [
        [f"``{row['operation']}``", row["login"], *(figures.number(row[part]) for part in _PARTS)]
        for row in measured["shares"]
    ]
    return [("The plugin's own share of a read, milliseconds of CPU time", figures.table(header, rows))]


_PARTS = ("whole", "auth", "statements", "own")


class Parts:
    """The CPU seconds of the parts of a request; those of statements within authentication are of authentication."""

    def __init__(self) -> None:
        self.seconds: Counter[str] = Counter()
        self.measured: List[Counter[str]] = []
        self._running: List[str] = []

    @contextmanager
    def timed(self, part: str) -> Iterator[None]:
        """Add the time of the block to a part, unless it is within another one."""
        self.begin(part)
        try:
            yield
        finally:
            self.end()

    def begin(self, part: str) -> None:
        """Begin a part."""
        self._running.append(part)
        if len(self._running) == 1:
            self.seconds[part] -= time.process_time()

    def end(self) -> None:
        """End the part that was begun last."""
        part = self._running.pop()
        if not self._running:
            self.seconds[part] += time.process_time()

    def whole(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """Return the function, whose call is the whole, of which the parts are."""

        @wraps(function)
        def timed(*args: object, **kwargs: object) -> Any:
            self.seconds.clear()
            start = time.process_time()
            result = function(*args, **kwargs)
            seconds = Counter(self.seconds, whole=time.process_time() - start)
            seconds["own"] = seconds["whole"] - seconds["auth"] - seconds["statements"]
            self.measured.append(seconds)
            return result

        return timed

    def around(self, part: str, function: Callable[..., Any]) -> Callable[..., Any]:
        """Return the function, whose time is added to a part."""

        @wraps(function)
        def timed(*args: object, **kwargs: object) -> Any:
            with self.timed(part):
                return function(*args, **kwargs)

        return timed


def main() -> None:
    """Measure, and print JSON."""
    output, sys.stdout = sys.stdout, sys.stderr
    wanted = json.load(sys.stdin)
    parts = Parts()
    send = _flask_client(parts) if AIRFLOW < (3, 0) else _asgi_client(parts)
    _watch_airflow(parts)
    taken: Dict[Tuple[str, str], List[Counter[str]]] = defaultdict(list)
    for _ in range(_WARM + wanted["rounds"]):
        for login, headers in wanted["logins"].items():
            for operation, arguments in READS.items():
                assert send(f"{TYPED}{operation}?{urlencode(arguments)}", headers) == 200
                taken[operation, login].append(parts.measured.pop())
    shares = [
        {
            "operation": operation,
            "login": login,
            **{part: figures.summary([one[part] for one in timed[_WARM:]])["median"] for part in _PARTS},
        }
        for (operation, login), timed in taken.items()
    ]
    print(json.dumps(shares), file=output, flush=True)


def _watch_airflow(parts: Parts) -> None:
    """Add the time of authentication and rights, and that of the statements, to *parts*."""
    from airflow import settings
    from sqlalchemy import event

    from native_api.adapters.compat import airflow

    rights: Any = airflow().rights
    for name in _AUTH:
        setattr(rights, name, parts.around("auth", getattr(rights, name)))
    event.listen(settings.engine, "before_cursor_execute", lambda *args: parts.begin("statements"))
    event.listen(settings.engine, "after_cursor_execute", lambda *args: parts.end())


def _flask_client(parts: Parts) -> Callable[[str, Mapping[str, str]], int]:
    from airflow.www.app import create_app

    app = create_app()
    app.view_functions["native_api.call"] = parts.whole(app.view_functions["native_api.call"])
    client = app.test_client(use_cookies=False)
    return lambda path, headers: int(client.get(path, headers={"Accept": "application/json", **headers}).status_code)


def _asgi_client(parts: Parts) -> Callable[[str, Mapping[str, str]], int]:
    from airflow.api_fastapi.app import create_app

    core = create_app("core")
    (app,) = (route.app for route in core.routes if getattr(route, "path", None) == "/native_api")  # type: ignore[attr-defined]
    loop = asyncio.new_event_loop()

    run = parts.whole(loop.run_until_complete)
    return lambda path, headers: int(run(_status(app, path, {"Accept": "application/json", **headers})))


async def _status(app: Any, path: str, headers: Mapping[str, str]) -> int:
    """Call an ASGI app and return the status of its response."""
    statuses: List[int] = []
    path, _, query = path.partition("?")
    sent = [(b"host", b"localhost"), *((name.lower().encode(), value.encode()) for name, value in headers.items())]
    scope = {
        "type": "http",
        "http_version": "1.1",
        "method": "GET",
        "scheme": "http",
        "path": path,
        "root_path": "/native_api",
        "query_string": query.encode(),
        "headers": sent,
        "client": ("127.0.0.1", 1),
        "server": ("127.0.0.1", 8080),
    }

    async def receive() -> Dict[str, object]:
        return {"type": "http.request", "body": b""}

    async def send(message: Mapping[str, Any]) -> None:
        if message["type"] == "http.response.start":
            statuses.append(message["status"])

    await app(scope, receive, send)
    return statuses[0]


if __name__ == "__main__":
    main()
