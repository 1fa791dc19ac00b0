"""Real daemons: a run with Redis and a Celery worker, a Kerberos ticket, a signed log request."""

from __future__ import annotations

import json
import time
from http.client import HTTPConnection
from pathlib import Path
from typing import Any, Dict, Iterator, Mapping, Optional

import jwt
import psutil
import pytest

from tests.daemons.services import PRINCIPAL, KeyDistributionCentre, listens
from tests.real_daemons.conftest import SECRET, running_on
from tests.servers.client import Response
from tests.servers.deployment import Server, serving
from tests.servers.processes import eventually, free_port
from tests.support.versions import AIRFLOW

#: What a run takes, in the order of the start. On Airflow 2 the scheduler reads the DAGs itself.
NEEDED = ("scheduler", "worker", *(("dag_processor",) if AIRFLOW >= (3, 0) else ()))
RUN_SECONDS = 150


def start(server: Server, daemon: str, **arguments: Any) -> Any:
    """Start a daemon as an administrator, and return its state when it is running."""
    wanted = {"daemon": daemon, "wait_seconds": 5, **arguments}
    return server.user("admin").write("start_daemon", **wanted).result(201)


def state(server: Server, name: str) -> str:
    result: str = server.user("admin").read("daemon_state", name=name).result()["state"]
    return result


def log(server: Server, name: str) -> str:
    content: str = server.user("admin").read("daemon_log", name=name).result()["content"]
    return content


@pytest.fixture(scope="module")
def started(server: Server) -> Iterator[Server]:
    """The server, with all daemons that run tasks, and the run that they have run."""
    arguments: Dict[str, Dict[str, Any]] = {"worker": {"concurrency": 1, "queues": "default", "skip_serve_logs": True}}
    for daemon in NEEDED:
        begun = start(server, daemon, **arguments.get(daemon, {}))
        assert begun["state"] == "running", begun
    yield server


@pytest.fixture(scope="module")
def run(started: Server) -> Mapping[str, str]:
    """A run that has ended."""
    admin = started.user("admin")
    admin.write("unpause_dag", dag_id="two_tasks").result()
    run_id = admin.write("trigger_dag", dag_id="two_tasks").result(201)["run_id"]
    named = {"dag_id": "two_tasks", "run_id": run_id}
    for _ in range(3 * RUN_SECONDS):
        if admin.read("dag_state", **named).result()["state"] in ("success", "failed"):
            return named
        time.sleep(0.3)
    raise AssertionError("\n".join(f"{daemon}:\n{log(started, daemon)[-3000:]}" for daemon in NEEDED))


def test_a_scheduler_and_a_worker_run_a_dag(started: Server, run: Mapping[str, str]) -> None:
    """The tasks go through Redis to the worker, whose log has them."""
    admin = started.user("admin")
    assert admin.read("dag_state", **run).result()["state"] == "success", log(started, "worker")[-4000:]
    for task_id in ("first", "second"):
        assert admin.read("task_state", **run, task_id=task_id).result()["state"] == "success"
    assert "celery@" in log(started, "worker")
    eventually(lambda: log(started, "worker").count("succeeded in") == 2, "the worker says that both went well")


def test_the_heartbeats_are_those_of_our_processes(started: Server) -> None:
    for daemon in NEEDED:
        result = started.user("admin").read("daemon_state", name=daemon).result()
        assert result["state"] == "running"
        assert (result["heartbeat"] is None) == (daemon == "worker"), result
    assert started.user("admin").read("health").result()["scheduler"]["status"] == "healthy"


def test_flower_sees_the_worker(started: Server) -> None:
    port = free_port()
    start(started, "flower", hostname="127.0.0.1", port=port)
    eventually(lambda: listens(port), "flower listens")

    def page() -> str:
        return get(port, "/workers").text

    eventually(lambda: "celery@" in page(), "flower shows the worker")


def test_an_occupied_port_is_the_reason_in_the_error(started: Server, server: Server) -> None:
    wanted = {"daemon": "flower", "name": "second_flower", "hostname": "127.0.0.1", "port": server.port}
    response = server.user("admin").write("start_daemon", **wanted, wait_seconds=60)
    assert (response.status, response.json()["reason"]) == (409, "the port is in use.")


def test_serve_logs_requires_a_signature(started: Server, run: Mapping[str, str]) -> None:
    deployment = started.deployment
    port = int(deployment.options["AIRFLOW__LOGGING__WORKER_LOG_SERVER_PORT"])
    assert start(started, "serve_logs")["state"] == "running"
    eventually(lambda: listens(port), "the logs are served")
    logs = deployment.home / "logs"
    (file,) = [path for path in logs.rglob("*.log") if run["run_id"] in str(path) and "first" in str(path)]
    name = str(file.relative_to(logs))
    response = get(port, f"/log/{name}", {"Authorization": signature(name)})
    assert (response.status, response.body) == (200, file.read_bytes())
    assert get(port, f"/log/{name}").status == 403
    assert get(port, f"/log/{name}", {"Authorization": signature("another.log")}).status == 403


def signature(filename: str) -> str:
    """Return the authorization that Airflow sends with the request for a log."""
    now = int(time.time())
    claims = {"aud": "task-instance-logs", "iat": now, "nbf": now, "exp": now + 30, "filename": filename}
    return jwt.encode(claims, SECRET, algorithm="HS512")


def get(port: int, path: str, headers: Optional[Mapping[str, str]] = None) -> Response:
    """Send a request to a server other than Airflow's."""
    connection = HTTPConnection("127.0.0.1", port, timeout=30)
    try:
        connection.request("GET", path.replace("+", "%2B"), headers=dict(headers or {}))
        response = connection.getresponse()
        return Response(path, response.status, response.msg, response.read())
    finally:
        connection.close()


def test_the_renewer_gets_a_ticket(server: Server, centre: KeyDistributionCentre) -> None:
    cache = server.deployment.options["AIRFLOW__KERBEROS__CCACHE"]
    begun = start(server, "kerberos", principal=PRINCIPAL, keytab=str(centre.keytab))
    eventually(lambda: Path(cache).exists() or state(server, "kerberos") != "running", "there is a ticket")
    assert state(server, "kerberos") == "running", log(server, "kerberos")
    assert f"Default principal: {PRINCIPAL}" in centre.run("klist", "-c", cache)
    assert state(server, "kerberos") == begun["state"] == "running"


def test_the_message_of_kinit_is_in_the_error(server: Server, tmp_path: Path) -> None:
    wanted = {"daemon": "kerberos", "name": "keyless", "principal": PRINCIPAL, "keytab": str(tmp_path / "none")}
    response = server.user("admin").write("start_daemon", **wanted, wait_seconds=60)
    assert response.status == 409 and response.json()["reason"].startswith("kinit: "), response


def test_the_old_protocol_starts_daemons(started: Server) -> None:
    """A running one is 409 with its pid; the output for a new one has its pid and log file."""
    result = started.user("admin").read("daemon_state", name="scheduler").result()
    assert str(result["pid"]) in started.user("admin").legacy("scheduler").refusal(409)
    printed = started.user("admin").legacy("triggerer", skip_serve_logs="on").printed()
    result = started.user("admin").read("daemon_state", name="triggerer").result()
    assert printed == f"Started triggerer with pid {result['pid']}, log {result['log_file']}\n"


def test_they_survive_the_web_server_and_stop_with_all_descendants(started: Server, run: Mapping[str, str]) -> None:
    """Another web server finds them."""
    home = started.deployment.home
    before = {daemon: started.user("admin").read("daemon_state", name=daemon).result()["pid"] for daemon in NEEDED}
    started.process.stop()
    with serving(started.deployment) as second:
        listed = second.user("admin").read("list_daemons").result()["daemons"]
        alive = {daemon["name"]: daemon["pid"] for daemon in listed if daemon["state"] == "running"}
        assert {name: alive.get(name) for name in before} == before
        stop = {"grace_seconds": 30}
        for name in alive:
            # The scheduler is killed the hard way.
            wanted = {"name": name, **(stop if name != "scheduler" else {"grace_seconds": 0})}
            response = second.user("admin").write("stop_daemon", **wanted).result()
            assert response["state"] == "stopped"
            assert bool(response["killed"]) == (name == "scheduler"), (name, response, log(second, name)[-2000:])
        second.process.stop()
    eventually(lambda: not running_on(home), f"nothing runs\n{[describe(process) for process in running_on(home)]}")
    rows = started.deployment.rows("SELECT event, owner, extra FROM log WHERE event LIKE 'native_api.st%_daemon'")
    assert {(event, owner) for event, owner, _ in rows} == {
        ("native_api.start_daemon", "admin"),
        ("native_api.stop_daemon", "admin"),
    }
    assert any(json.loads(extra).get("daemon") == "scheduler" for _, _, extra in rows)


def describe(process: psutil.Process) -> str:
    try:
        return f"{process.pid} of {process.ppid()}: {' '.join(process.cmdline())}"
    except psutil.NoSuchProcess:
        return f"{process.pid} has ended"
