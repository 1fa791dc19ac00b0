"""
Start a real Airflow 3 with the plugin and a sample DAG, call it, and stay until Ctrl-C.

It lives in a new folder for temporary files, on SQLite, and on a free port of 127.0.0.1. ``--once`` ends after the
calls. Run it by ``tox run -e demo``.
"""

from __future__ import annotations

import argparse
import base64
import json
import os
import secrets
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, Callable, Dict, Iterator, List, Optional, Tuple
from urllib.error import HTTPError, URLError
from urllib.parse import urlencode
from urllib.request import Request, urlopen

DAGS = Path(__file__).resolve().parent / "dags"
USER = "admin"
COMPONENTS = (("api-server",), ("scheduler", "--skip-serve-logs"), ("dag-processor",))
#: Seconds that anything may take before the demo gives up.
PATIENCE = 300

CONFIGURATION = """\
[core]
dags_folder = {dags}
executor = LocalExecutor
load_examples = False
fernet_key = {fernet_key}
simple_auth_manager_users = {user}:admin
execution_api_server_url = {url}/execution/

[database]
sql_alchemy_conn = sqlite:///{home}/airflow.db

[api]
base_url = {url}
host = 127.0.0.1
port = {port}
workers = 1
secret_key = {secret_key}

[api_auth]
jwt_secret = {jwt_secret}

[logging]
base_log_folder = {home}/logs
"""


class Stopped(Exception):
    """The demo was interrupted."""


class Failed(Exception):
    """A part of the demo has failed."""


def say(text: str = "") -> None:
    """Print a line."""
    print(text, flush=True)


class Airflow:
    """The processes of one Airflow, each in its own process group, and their AIRFLOW_HOME."""

    def __init__(self, home: Path) -> None:
        self.home = home
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        self.url = f"http://127.0.0.1:{port}"
        self._processes: Dict[str, subprocess.Popen[bytes]] = {}
        self._environment = {name: value for name, value in os.environ.items() if not name.startswith("AIRFLOW")}
        self._environment["AIRFLOW_HOME"] = str(home)
        values = {"home": home, "dags": DAGS, "url": self.url, "port": port, "user": USER}
        keys = {name: secrets.token_urlsafe(32) for name in ("secret_key", "jwt_secret")}
        keys["fernet_key"] = base64.urlsafe_b64encode(secrets.token_bytes(32)).decode()
        (home / "airflow.cfg").write_text(CONFIGURATION.format(**values, **keys))

    def start(self) -> None:
        """Create the database and start Airflow's processes."""
        self._start("migrate", "db", "migrate")
        wait_for("the database", self._is_migrated)
        for component in COMPONENTS:
            self._start(component[0], *component)
        wait_for("Airflow", self._is_healthy)

    def stop(self) -> None:
        """Stop all processes and wait for their end."""
        for sent, seconds in ((signal.SIGTERM, 20), (signal.SIGKILL, 10)):
            groups = [process.pid for process in self._processes.values() if _is_alive(process)]
            for group in groups:
                os.killpg(group, sent)
            deadline = time.monotonic() + seconds
            while time.monotonic() < deadline and any(map(_is_alive, self._processes.values())):
                time.sleep(0.1)

    def password(self) -> str:
        """Return the password that Airflow has created for the user."""
        passwords = json.loads((self.home / "simple_auth_manager_passwords.json.generated").read_text())
        return str(passwords[USER])

    def logs(self) -> str:
        """Return the end of the output of each process."""
        texts = ((name, self._log(name).read_text(errors="replace")) for name in self._processes)
        return "\n".join(f"--- {name}\n" + "\n".join(text.splitlines()[-30:]) for name, text in texts)

    def _start(self, name: str, *words: str) -> None:
        command = [sys.executable, "-m", "airflow", *words]
        with self._log(name).open("wb") as log:
            self._processes[name] = subprocess.Popen(
                command,
                cwd=self.home,
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def _log(self, name: str) -> Path:
        return self.home / f"{name}.log"

    def _is_migrated(self) -> bool:
        code = self._processes["migrate"].poll()
        if code:
            raise Failed(f"'airflow db migrate' ended with {code}.")
        return code == 0

    def _is_healthy(self) -> bool:
        for name, *_ in COMPONENTS:
            if self._processes[name].poll() is not None:
                raise Failed(f"'airflow {name}' ended by itself.")
        try:
            with urlopen(f"{self.url}/api/v2/monitor/health", timeout=5) as response:
                health = json.load(response)
        except (URLError, OSError):
            return False
        return all(health[part]["status"] == "healthy" for part in ("metadatabase", "scheduler", "dag_processor"))


def _is_alive(process: subprocess.Popen[bytes]) -> bool:
    """Return whether a process of the group runs."""
    process.poll()
    try:
        os.killpg(process.pid, 0)
    except ProcessLookupError:
        return False
    return True


class Client:
    """Calls the API as a program does, and prints requests and responses."""

    def __init__(self, url: str, password: str) -> None:
        self.url = url
        login = {"username": USER, "password": password}
        self.token: str = self._send("POST", "/auth/token", login)[1]["access_token"]

    def call(self, method: str, path: str, body: Optional[Dict[str, Any]] = None, *, show: bool = True) -> Any:
        """Call the API; an error fails the demo."""
        status, response = self._send(method, path, body)
        if show:
            say(f"\n{method} {path}{'' if body is None else '  ' + json.dumps(body)}")
            say(f"{status} " + json.dumps(response, indent=2))
        if status >= 400:
            raise Failed(f"{method} {path} gave {status}: {response}")
        return response

    def curl(self, method: str, path: str, body: Optional[Dict[str, Any]] = None) -> str:
        """Return the same call as a curl command with the token in a variable."""
        line = f'curl -s -X {method} -H "Authorization: Bearer $TOKEN" '
        if body is not None:
            line += "-H 'Content-Type: application/json' -d " + shlex.quote(json.dumps(body)) + " "
        return line + shlex.quote(self.url + path)

    def _send(self, method: str, path: str, body: Optional[Dict[str, Any]]) -> Tuple[int, Any]:
        request = Request(self.url + path, None if body is None else json.dumps(body).encode(), method=method)
        request.add_header("Content-Type", "application/json")
        if hasattr(self, "token"):
            request.add_header("Authorization", f"Bearer {self.token}")
        try:
            with urlopen(request, timeout=60) as response:
                return response.status, json.load(response)
        except HTTPError as exc:
            return exc.code, json.load(exc)


def wait_for(what: str, is_there: Callable[[], Any]) -> Any:
    """Wait until *is_there* returns a true value, and return it."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        found = is_there()
        if found:
            return found
        time.sleep(0.5)
    raise Failed(f"Waited {PATIENCE} seconds for {what} in vain.")


def typed(operation: str, **arguments: str) -> str:
    """Return the path of an operation of the typed API."""
    return f"/native_api/v1/{operation}" + (f"?{urlencode(arguments)}" if arguments else "")


def legacy(api: str, **arguments: str) -> str:
    """Return the path of a call of airflow-rest-api-plugin's protocol."""
    return "/admin/rest_api/api?" + urlencode({"api": api, **arguments})


def make_calls(client: Client) -> None:
    """Trigger the sample DAG with both APIs and wait until its runs succeed."""
    client.call("GET", typed("version"))
    wait_for("the sample DAG", lambda: client.call("GET", typed("list_dags"), show=False)["total_entries"])
    client.call("GET", typed("list_dags", tags="demo"))
    client.call("POST", typed("unpause_dag"), {"dag_id": "greet"})
    client.call("POST", typed("trigger_dag"), {"dag_id": "greet", "run_id": "typed", "conf": {"name": "typed"}})
    _see_success(client, typed("dag_state", dag_id="greet", run_id="typed"), lambda response: response["state"])
    client.call("GET", typed("task_state", dag_id="greet", task_id="say", run_id="typed"))
    client.call("GET", legacy("trigger_dag", dag_id="greet", run_id="legacy", conf='{"name": "legacy"}'))
    state = legacy("dag_state", dag_id="greet", run_id="legacy")
    _see_success(client, state, lambda response: response["output"]["stdout"].strip())


def _see_success(client: Client, path: str, state: Callable[[Any], str]) -> None:
    def is_over() -> bool:
        return state(client.call("GET", path, show=False)) in ("success", "failed")

    wait_for(f"an end of the run at {path}", is_over)
    found = state(client.call("GET", path))
    if found != "success":
        raise Failed(f"The run ended as {found}.")


def lines_to_paste(client: Client) -> Iterator[str]:
    """Print calls for the user's shell."""
    yield f"TOKEN={client.token}"
    yield client.curl("GET", typed("list_dags"))
    yield client.curl("POST", typed("trigger_dag"), {"dag_id": "greet", "conf": {"name": "you"}})
    yield client.curl("GET", legacy("trigger_dag", dag_id="greet"))
    yield client.curl("GET", "/native_api/openapi.json")


def _stop(signum: int, frame: Any) -> None:
    # Ctrl-C reaches us from the terminal and again from tox: the first is enough.
    for name in (signal.SIGINT, signal.SIGTERM):
        signal.signal(name, signal.SIG_IGN)
    raise Stopped


def demonstrate(airflow: Airflow, once: bool) -> None:
    """Start Airflow, call the API, and wait for Ctrl-C."""
    say(f"Starting Airflow at {airflow.url}, its home is {airflow.home} …")
    airflow.start()
    client = Client(airflow.url, airflow.password())
    make_calls(client)
    say("\nBoth runs have succeeded.")
    if once:
        return
    say(f"\nURL:      {airflow.url}\nuser:     {USER}\npassword: {airflow.password()}\n")
    for line in lines_to_paste(client):
        say(line)
    say("\nCtrl-C stops it.")
    while True:
        time.sleep(3600)


def main(arguments: Optional[List[str]] = None) -> int:
    """Run the demo; return its exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--once", action="store_true", help="end after the calls")
    once = parser.parse_args(arguments).once
    for name in (signal.SIGINT, signal.SIGTERM):
        signal.signal(name, _stop)
    airflow = Airflow(Path(tempfile.mkdtemp(prefix="native_api-demo-")))
    code = 0
    try:
        demonstrate(airflow, once)
    except Stopped:
        say("\nStopping …")
    except Failed as exc:
        say(f"{airflow.logs()}\n\nThe demo failed: {exc}")
        code = 1
    finally:
        for name in (signal.SIGINT, signal.SIGTERM):
            signal.signal(name, signal.SIG_IGN)
        airflow.stop()
        shutil.rmtree(airflow.home, ignore_errors=True)
    say("Stopped all that was started.")
    return code


if __name__ == "__main__":
    sys.exit(main())
