"""A host is lost while a job runs: nothing else is."""

from __future__ import annotations

import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

import pytest

from tests.cluster.calls import AT, DAG_ID, ended, runs, started
from tests.cluster.cluster import SCHEDULER, WEB_SERVERS, Cluster
from tests.servers.client import Client
from tests.servers.processes import eventually

READS, READERS = 1000, 4


@dataclass
class Loss:
    """The web server that was killed, the job whose request it had, and the response to that."""

    host: str
    other: str
    job_id: str
    status: int


@pytest.fixture(scope="module")
def loss(cluster: Cluster, client: Client) -> Loss:
    """A web server that is killed while a request waits for its job."""
    with ThreadPoolExecutor(1) as threads:
        arguments = {"dag_id": "queues", "task_id": "slow", "logical_date": AT}
        request = threads.submit(client.write, "test_task", **arguments)
        job_id: str = eventually(lambda: job_of(client, "slow"), "the job of the request")
        runs(client, job_id)
        host = job_id.partition(".")[2]
        cluster.kill(host)
        (other,) = {*WEB_SERVERS} - {host}
        return Loss(host, other, job_id, request.result().status)


def job_of(client: Client, task_id: str) -> Any:
    """Return the newest job, if it tests that task."""
    (job,) = client.read("list_jobs", order_by="-created_at", limit=1).result()["jobs"]
    return job["job_id"] if job["arguments"].get("task_id") == task_id else None


def test_a_web_server_is_killed_while_a_job_runs(client: Client, loss: Loss) -> None:
    """The other one returns the state and the result of the job."""
    state = ended(client, loss.job_id)
    assert (state["state"], state["result"]["return_value"]) == ("success", "slept"), state
    assert {client.read("health").result()["hostname"] for _ in range(4)} == {loss.other}
    # The load balancer must not repeat what may have changed something.
    assert loss.status == HTTPStatus.BAD_GATEWAY


def test_no_read_is_lost_while_a_web_server_restarts(cluster: Cluster, client: Client, loss: Loss) -> None:
    """The load balancer sends it to the other one."""
    # Both web servers have it after their restart.
    cluster.options["AIRFLOW__NATIVE_API__JOB_QUEUE_NAME"] = "jobs"
    cluster.start(loss.host)
    eventually(lambda: cluster.serves(loss.host), f"{loss.host} responds")
    with ThreadPoolExecutor(READERS) as threads:
        restarted = threading.Event()
        reading = [threads.submit(_read, client, restarted) for _ in range(READERS)]
        try:
            cluster.stop(loss.other)
            cluster.start(loss.other)
            eventually(lambda: cluster.serves(loss.other), f"{loss.other} responds")
        finally:
            restarted.set()
        statuses = sum((one.result() for one in reading), Counter())
    assert [*statuses] == [200] and statuses[200] >= READS, statuses


def _read(client: Client, restarted: threading.Event) -> Counter[int]:
    """Read evenly until the web server has restarted and enough has been read; return the number of each status."""
    statuses: Counter[int] = Counter()
    while sum(statuses.values()) < READS / READERS or not restarted.is_set():
        statuses[client.read("get_variable", key="a_variable").status] += 1
        time.sleep(0.05)
    return statuses


def test_jobs_use_the_queue_of_the_option(client: Client) -> None:
    state = ended(client, started(client, "succeed"))
    assert (state["state"], state["hostname"]) == ("success", "worker-2"), state


def test_a_worker_is_killed_while_a_job_runs(cluster: Cluster, client: Client) -> None:
    """Airflow gives the task up when it has heard nothing for some time."""
    job_id = started(client, "hang", queue="special")
    assert runs(client, job_id)["hostname"] == "worker-1"
    cluster.kill("worker-1")
    state = ended(client, job_id)
    assert (state["state"], state["error"]["code"]) == ("lost", "user_code_crashed"), state


def test_the_scheduler_is_down(cluster: Cluster, client: Client) -> None:
    """No job is created, and the response says why."""
    cluster.stop(SCHEDULER)
    assert "scheduler has no recent heartbeat" in refusal(client)


def test_the_dag_of_jobs_is_absent(client: Client) -> None:
    client.write("delete_dag", dag_id="native_api_jobs", force=True).result()
    assert "no active DAG 'native_api_jobs'" in refusal(client)


def refusal(client: Client) -> str:
    """Return why no job is created, which health returns, too."""
    response = client.write("test_task", dag_id=DAG_ID, task_id="succeed", logical_date=AT)
    sentence = response.refusal(503)
    assert response.json()["code"] == "jobs_dag_unavailable"
    reason: str = client.read("health").result()["jobs_dag"]
    assert sentence.endswith(reason)
    return reason
