"""An Airflow of the tests: its home, its configuration, and its processes."""

from __future__ import annotations

import base64
import json
import os
import shutil
import signal
import sqlite3
import sys
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any, Dict, Iterator, List, Mapping

from tests.servers.client import Client
from tests.servers.fill import USERS
from tests.servers.processes import Process, eventually, free_port
from tests.support.versions import AIRFLOW, HAS_FAB

HERE = Path(__file__).parent
TOKEN = "the-static-token"
EXECUTE = "AIRFLOW__NATIVE_API__ALLOW_EXECUTE"
#: Long enough for HS512.
JWT_SECRET = "x" * 64
#: Small, so that tests need not send much.
BODY_BYTES = 100_000


@dataclass
class Deployment:
    """An AIRFLOW_HOME, and the options of its processes by their environment variables."""

    home: Path
    dags: Path
    options: Dict[str, str] = field(default_factory=dict)

    @property
    def database(self) -> Path:
        """The file of the metadata database."""
        return self.home / "airflow.db"

    def environment(self) -> Dict[str, str]:
        """Return the environment of this deployment's processes, without that of this process."""
        inherited = {name: value for name, value in os.environ.items() if not name.startswith(("AIRFLOW", "_AIRFLOW"))}
        return {
            **inherited,
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
            "AIRFLOW_HOME": str(self.home),
            "AIRFLOW__CORE__DAGS_FOLDER": str(self.dags),
            "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
            "AIRFLOW__CORE__FERNET_KEY": base64.urlsafe_b64encode(b"k" * 32).decode(),
            "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{self.database}",
            # So that the database can be taken away: a pool would hold connections to it.
            "AIRFLOW__DATABASE__SQL_ALCHEMY_POOL_ENABLED": "False",
            "AIRFLOW__NATIVE_API__BODY_BYTES": str(BODY_BYTES),
            "AIRFLOW__SCHEDULER__ENABLE_HEALTH_CHECK": "False",
            "PYTHONDONTWRITEBYTECODE": "1",
            "PYTHONUNBUFFERED": "1",
            **self.options,
        }

    def copy(self, home: Path, **options: str) -> Deployment:
        """Return a deployment with a copy of this one's database, and the same DAGs."""
        shutil.copytree(self.home, home)
        return Deployment(home, self.dags, {**self.options, **options})

    def start(self, name: str, *command: str) -> Process:
        """Start a process of this deployment."""
        return Process(command, self.environment(), self.home / f"{name}.log")

    def rows(self, query: str) -> List[Any]:
        """Return the result of a query on the metadata database."""
        with sqlite3.connect(f"file:{self.database}?mode=ro", uri=True) as connection:
            return connection.execute(query).fetchall()


@dataclass
class Server:
    """A running web server."""

    deployment: Deployment
    process: Process
    port: int
    base_path: str
    _tokens: Dict[str, str] = field(default_factory=dict)

    @property
    def anonymous(self) -> Client:
        """A client without credentials."""
        return Client(self.port, self.base_path)

    def user(self, name: str) -> Client:
        """Return a client that authenticates as a user of Airflow: with Basic on Airflow 2, with a JWT on 3."""
        return self.anonymous.also({"Authorization": self.authorization(name)})

    def authorization(self, name: str) -> str:
        """Return the Authorization header of a user."""
        if AIRFLOW < (3, 0):
            return "Basic " + base64.b64encode(f"{name}:{name}".encode()).decode()
        return f"Bearer {self.jwt(name)}"

    def jwt(self, name: str) -> str:
        """Return the JWT of a user."""
        if name not in self._tokens:
            response = self.anonymous.post("/auth/token", json={"username": name, "password": name})
            self._tokens[name] = response.result(201)["access_token"]
        return self._tokens[name]

    def holder(self, token: str = TOKEN, header: str = "rest-api-plugin-http-token") -> Client:
        """Return a client that sends a static token."""
        return self.anonymous.also({header: token})


def prepared(home: Path, dags: Path = HERE / "dags", options: Mapping[str, str] = MappingProxyType({})) -> Deployment:
    """Return a deployment with a copy of the DAGs in its database, and with users."""
    home.mkdir()
    users = users_of_simple(home) if AIRFLOW >= (3, 0) and not HAS_FAB else {}
    deployment = Deployment(home, shutil.copytree(dags, home.with_name("dags")), {**users, **options})
    if AIRFLOW >= (3, 0):
        deployment.options["AIRFLOW__API_AUTH__JWT_SECRET"] = JWT_SECRET
    if AIRFLOW >= (3, 0) and HAS_FAB:
        deployment.options["AIRFLOW__CORE__AUTH_MANAGER"] = (
            "airflow.providers.fab.auth_manager.fab_auth_manager.FabAuthManager"
        )
    fill = [sys.executable, str(HERE / "fill.py")]
    deployment.start("fill", *fill, *(["--users"] if HAS_FAB else [])).finish()
    return deployment


def users_of_simple(home: Path) -> Dict[str, str]:
    """Return the options of the simple auth manager, with a file of passwords in the home."""
    names = ("admin", "op", "user", "viewer")
    passwords = home / "passwords.json"
    passwords.write_text(json.dumps({name: name for name in names}))
    return {
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_USERS": ",".join(f"{name}:{USERS[name].lower()}" for name in names),
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE": str(passwords),
    }


@contextmanager
def serving(deployment: Deployment, base_path: str = "", workers: int = 1) -> Iterator[Server]:
    """Run the deployment's web server, and return it when it responds."""
    port = free_port()
    section, command = ("API", "api-server") if AIRFLOW >= (3, 0) else ("WEBSERVER", "webserver")
    base_url = f"http://127.0.0.1:{port}{base_path}"
    deployment.options[f"AIRFLOW__{section}__BASE_URL"] = base_url
    # Airflow 3's scheduler and tasks talk to the web server.
    deployment.options["AIRFLOW__CORE__EXECUTION_API_SERVER_URL"] = f"{base_url}/execution/"
    process = deployment.start(command, "airflow", command, "-H", "127.0.0.1", "-p", str(port), "-w", str(workers))
    try:
        server = Server(deployment, process, port, base_path)
        eventually(lambda: _answers(server), f"{process} responds\n{process.tail()}")
        yield server
    finally:
        # A server that is asked to end takes seconds; without jobs it has nothing to end well.
        process.stop(signal.SIGKILL if deployment.options.get(EXECUTE) == "False" else signal.SIGTERM)


def _answers(server: Server) -> bool:
    server.process.require_running()
    try:
        return server.anonymous.get("/api/v2/monitor/health" if AIRFLOW >= (3, 0) else "/health").status == 200
    except OSError:
        return False


@contextmanager
def running(deployment: Deployment, *commands: str) -> Iterator[None]:
    """Run commands of Airflow, such as the scheduler."""
    processes: List[Process] = []
    try:
        for command in commands:
            processes.append(deployment.start(command, "airflow", command))
        yield
    finally:
        for process in processes:
            process.stop()
