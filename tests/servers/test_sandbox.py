"""Jobs of a real web server that is killed, aborted or restarted."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPConnection, HTTPException
from typing import Any, Iterator, List, Optional
from urllib.parse import urlencode

import psutil
import pytest

from tests.servers.client import LEGACY, TYPED
from tests.servers.deployment import TOKEN, Deployment, Server, serving
from tests.servers.processes import eventually
from tests.support.versions import AIRFLOW, on

pytestmark = [on("2.11", "3.3"), pytest.mark.slow]

WAITED_FOR, IN_BACKGROUND, ABORTED, LEFT = "2024-03-04", "2024-03-05", "2024-03-06", "2024-03-07"
#: Airflow 2's web server ends a worker that takes longer than this.
WORKER_SECONDS = 25


@pytest.fixture
def own(deployment: Deployment, request: Any) -> Iterator[Deployment]:
    """An Airflow of this test only, which it can kill."""
    yield deployment.copy(
        deployment.home.with_name(request.node.name),
        AIRFLOW__REST_API_PLUGIN__REST_API_PLUGIN_EXPECTED_HTTP_TOKEN=TOKEN,
        AIRFLOW__WEBSERVER__WEB_SERVER_WORKER_TIMEOUT=str(WORKER_SECONDS),
    )


def test_asynchronous_jobs_survive_the_web_worker_and_others_do_not(own: Deployment) -> None:
    """The next web server returns the state of an asynchronous job."""
    with serving(own) as server, ThreadPoolExecutor(1) as threads:
        eventually(lambda: warm_processes(own), "the warm process starts with the server")
        job = ask(server, IN_BACKGROUND, **{"async": True}).result(202)
        assert job["url"] == f"/native_api/v1/job_state?job_id={job['job_id']}"
        eventually(lambda: sleeping(own, IN_BACKGROUND), "the task in the background sleeps")
        threads.submit(ask_in_vain, server, WAITED_FOR)
        eventually(lambda: sleeping(own, WAITED_FOR), "the task that is waited for sleeps")
        web_worker_of(server).kill()
        eventually(lambda: not sleeping(own, WAITED_FOR), "the task that is waited for is gone")
        assert sleeping(own, IN_BACKGROUND)
    with serving(own) as server:
        holder = server.holder()
        assert holder.read("job_state", job_id=job["job_id"]).result()["state"] == "running"
        assert holder.write("cancel_job", job_id=job["job_id"]).result()["state"] == "cancelled"
        assert not sleeping(own, IN_BACKGROUND)
        eventually(lambda: own.rows("SELECT run_id FROM dag_run WHERE dag_id = 'hanging'") == [], "no row is left")


@pytest.mark.skipif(AIRFLOW >= (3, 0), reason="Airflow 3's web server ends no worker that takes long.")
def test_a_job_ends_when_gunicorn_aborts_its_web_worker(own: Deployment) -> None:
    """The next worker can run jobs."""
    with serving(own) as server:
        assert ask_in_vain(server, ABORTED) in (None, 500, 502)
        eventually(lambda: not sleeping(own, ABORTED), "the task is gone")
        response = server.holder().write("render_task", dag_id="hanging", task_id="sleep", logical_date=ABORTED)
        assert [
            field["value"] for field in response.result()["template_fields"] if field["name"] == "bash_command"
        ] == ["sleep 20240306"]


@pytest.mark.parametrize("path", [f"{TYPED}test_task", LEGACY], ids=["typed", "legacy"])
def test_a_job_is_cancelled_when_its_client_disconnects(path: str, working_server: Server) -> None:
    """Whether it has sent a body or a query string."""
    named = urlencode({"dag_id": "hanging", "task_id": "sleep", "execution_date": LEFT})
    holder = working_server.holder()
    connection = HTTPConnection("127.0.0.1", holder.port)
    if path == LEGACY:
        connection.request("GET", f"{path}?api=test&{named}", headers=holder.headers)
    else:
        form = {"Content-Type": "application/x-www-form-urlencoded"}
        connection.request("POST", path, body=named, headers={**holder.headers, **form})
    eventually(lambda: sleeping(working_server.deployment, LEFT), "the task sleeps")
    connection.close()
    eventually(lambda: not sleeping(working_server.deployment, LEFT), "the task is gone")


def ask(server: Server, date: str, **how: Any) -> Any:
    """Test the task that sleeps."""
    return server.holder().write("test_task", dag_id="hanging", task_id="sleep", logical_date=date, **how)


def ask_in_vain(server: Server, date: str) -> Optional[int]:
    """Test the task that sleeps; return the status, or None if the connection closes without a response."""
    try:
        status: int = ask(server, date).status
    except (OSError, HTTPException):
        return None
    return status


def sleeping(own: Deployment, date: str) -> List[psutil.Process]:
    """Return the process of this Airflow that sleeps for the date."""
    command, home = ["sleep", date.replace("-", "")], str(own.home)
    processes = psutil.process_iter(["cmdline", "environ"])
    return [
        process
        for process in processes
        if process.info["cmdline"] == command and (process.info["environ"] or {}).get("AIRFLOW_HOME") == home
    ]


def web_worker_of(server: Server) -> psutil.Process:
    """Return the one web worker of a server: the last in the line of its processes."""
    process = psutil.Process(server.process.pid)
    return [process, *process.children(recursive=True)][-1]


def warm_processes(own: Deployment) -> List[psutil.Process]:
    """Return the warm process of this Airflow, and forks of it."""
    processes = psutil.process_iter(["cmdline", "environ"])
    return [
        process
        for process in processes
        if any("adapters.warm_process" in word for word in process.info["cmdline"] or [])
        and (process.info["environ"] or {}).get("AIRFLOW_HOME") == str(own.home)
    ]
