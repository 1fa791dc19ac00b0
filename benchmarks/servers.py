"""The Airflows that are measured: their databases, their web servers, and the clients."""

from __future__ import annotations

import json
import re
import shutil
import sys
import time
from contextlib import ExitStack, contextmanager, suppress
from http.client import HTTPConnection
from pathlib import Path
from typing import Any, Dict, Iterator, List, Mapping, Optional

import psutil

from tests.servers.client import TYPED
from tests.servers.deployment import EXECUTE, TOKEN, Deployment, Server, prepared, serving
from tests.servers.deployment import HERE as SAMPLES
from tests.support.on_postgres import postgres, program
from tests.support.versions import AIRFLOW

HERE = Path(__file__).resolve().parent
#: The path of Airflow's REST API.
REST = "/api/v2/" if AIRFLOW >= (3, 0) else "/api/v1/"


class Timed:
    """The seconds that a request took, and the CPU seconds of the server meanwhile."""

    def __init__(self, seconds: float, cpu: float, status: int, body: bytes) -> None:
        self.seconds, self.cpu, self.status, self.body = seconds, cpu, status, body

    def result(self) -> Any:
        """Return the JSON of the response, which must be a success."""
        assert self.status in (200, 201, 204), (self.status, self.body[:500])
        return json.loads(self.body or b"null")


class Connection:
    """A persistent connection to a server, where that keeps connections."""

    def __init__(self, server: Server, headers: Mapping[str, str], *, counts_cpu: bool = True) -> None:
        self._server, self._counts_cpu = server, counts_cpu
        self._headers = {"Accept": "application/json", **headers}
        self._connection = HTTPConnection("127.0.0.1", server.port, timeout=120)

    def send(self, method: str, path: str, body: Optional[Mapping[str, Any]] = None) -> Timed:
        """Send a request and measure the time until the whole response is there."""
        text = None if body is None else json.dumps(body)
        headers = self._headers if text is None else {**self._headers, "Content-Type": "application/json"}
        cpu, start = self._cpu(), time.perf_counter()
        self._connection.request(method, path, text, headers)
        response = self._connection.getresponse()
        content = response.read()
        seconds = time.perf_counter() - start
        return Timed(seconds, self._cpu() - cpu, response.status, content)

    def _cpu(self) -> float:
        return cpu_seconds(self._server) if self._counts_cpu else 0.0

    def call(self, operation: str, arguments: Mapping[str, Any]) -> Any:
        """Call one of our operations that write, and return its result."""
        return self.send("POST", f"{TYPED}{operation}", arguments).result()


def cpu_seconds(server: Server) -> float:
    """Return the CPU seconds of a server's processes and threads, in nanoseconds' resolution."""
    total = 0
    parent = psutil.Process(server.process.pid)
    for process in (parent, *parent.children(recursive=True)):
        for file in Path(f"/proc/{process.pid}/task").glob("*/schedstat"):
            with suppress(OSError):
                total += int(file.read_text().split()[0])
    return total / 1e9


@contextmanager
def database(kind: str) -> Iterator[Dict[str, str]]:
    """Return the options of the database: an SQLite file of the deployment, or a PostgreSQL that is started."""
    if kind == "sqlite":
        yield {}
        return
    initdb, pg_ctl = program("initdb"), program("pg_ctl")
    if initdb is None or pg_ctl is None:
        raise SystemExit("PostgreSQL is not installed.")
    with postgres(initdb, pg_ctl) as address:
        yield {"AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": address}


@contextmanager
def filled(folder: Path, kind: str, **rows: int) -> Iterator[Deployment]:
    """Return a deployment with the rows of :mod:`benchmarks.rows`."""
    with database(kind) as options:
        options.update(
            {
                "AIRFLOW__API__AUTH_BACKENDS": "airflow.api.auth.backend.basic_auth,airflow.api.auth.backend.session",
                "AIRFLOW__DATABASE__SQL_ALCHEMY_POOL_ENABLED": "True",
                "AIRFLOW__NATIVE_API__READ_SECRETS_BACKENDS": "False",
                "AIRFLOW__REST_API_PLUGIN__REST_API_PLUGIN_EXPECTED_HTTP_TOKEN": TOKEN,
                EXECUTE: "False",
            }
        )
        # The file that fills the database has a run created of one of the DAGs of the tests.
        dags = Path(shutil.copytree(SAMPLES / "dags", folder / "samples"))
        shutil.copy(HERE / "dags" / "benched.py", dags)
        deployment = prepared(folder / "airflow", dags, options)
        fill(deployment, **rows)
        yield deployment


def fill(deployment: Deployment, **rows: int) -> None:
    """Add the rows of :mod:`benchmarks.rows` that are not there yet."""
    deployment.start("rows", *command_of("benchmarks.rows"), json.dumps(rows)).finish(600)


def command_of(module: str) -> List[str]:
    """Return the command that runs a module of this checkout in any folder, with the installed plugin."""
    run = (
        "import runpy, sys; sys.path.append(sys.argv.pop(1)); runpy.run_module(sys.argv.pop(1), None, '__main__', True)"
    )
    return [sys.executable, "-c", run, str(HERE.parent), module]


@contextmanager
def served(folder: Path, kind: str, workers: int = 1, **rows: int) -> Iterator[Server]:
    """Return a running web server with the rows of :mod:`benchmarks.rows`."""
    with ExitStack() as stack:
        deployment = stack.enter_context(filled(folder, kind, **rows))
        yield stack.enter_context(serving(deployment, workers=workers))


def logins(server: Server, user: str = "admin") -> Dict[str, Dict[str, str]]:
    """Return the headers of each way to authenticate that Airflow's REST API accepts, too."""
    if AIRFLOW >= (3, 0):
        return {"JWT": {"Authorization": server.authorization(user)}}
    return {"session": {"Cookie": _session(server, user)}, "Basic": {"Authorization": server.authorization(user)}}


def token() -> Dict[str, str]:
    """Return the header with the static token."""
    return {"rest-api-plugin-http-token": TOKEN}


def _session(server: Server, user: str) -> str:
    browser = server.anonymous.keeping_cookies()
    found = re.search(r'name="csrf_token"[^>]*value="([^"]+)"', browser.get("/login/").text)
    assert found
    form = {"username": user, "password": user, "csrf_token": found.group(1)}
    assert browser.send("POST", "/login/", form=form).status == 302
    return f"session={browser.cookies['session']}"
