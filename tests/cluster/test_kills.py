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


@pytest.fixture
def whole(cluster: Cluster) -> Cluster:
    """The cluster, with the hosts that another test has lost."""
    cluster.restore()
    return cluster


def test_a_web_server_is_killed_while_a_request_waits_for_its_job(whole: Cluster, client: Client) -> None:
    """The other one returns the state and the result of the job."""
    with ThreadPoolExecutor(1) as threads:
        arguments = {"dag_id": "queues", "task_id": "slow", "logical_date": AT}
        request = threads.submit(client.write, "test_task", **arguments)
        job_id: str = eventually(lambda: job_of(client, "slow"), "the job of the request")
        runs(client, job_id)
        host = job_id.partition(".")[2]
        whole.kill(host)
        state = ended(client, job_id)
        assert (state["state"], state["result"]["return_value"]) == ("success", "slept"), state
        (other,) = {*WEB_SERVERS} - {host}
        assert {client.read("health").result()["hostname"] for _ in range(4)} == {other}
        # The load balancer must not repeat what may have changed something.
        assert request.result().status == HTTPStatus.BAD_GATEWAY


def job_of(client: Client, task_id: str) -> Any:
    """Return the newest job, if it tests that task."""
    jobs = client.read("list_jobs", order_by="-created_at", limit=1).result()["jobs"]
    return next((job["job_id"] for job in jobs if job["arguments"].get("task_id") == task_id), None)


@dataclass
class Restart:
    """A web server that was restarted, and the statuses of the reads meanwhile."""

    host: str
    statuses: Counter[int]


@pytest.fixture(scope="module")
def restart(cluster: Cluster, client: Client) -> Restart:
    """Restart a web server, with another option."""
    cluster.restore()
    host, statuses = WEB_SERVERS[-1], Counter[int]()
    with ThreadPoolExecutor(READERS) as threads:
        restarted = threading.Event()
        reading = [threads.submit(_read, client, restarted) for _ in range(READERS)]
        try:
            cluster.options["AIRFLOW__NATIVE_API__JOB_QUEUE_NAME"] = "jobs"
            cluster.stop(host)
            cluster.start(host)
            eventually(lambda: cluster.serves(host), f"{host} responds")
        finally:
            restarted.set()
            del cluster.options["AIRFLOW__NATIVE_API__JOB_QUEUE_NAME"]
        for one in reading:
            statuses += one.result()
    return Restart(host, statuses)


def test_no_read_is_lost_while_a_web_server_restarts(restart: Restart) -> None:
    """The load balancer sends it to the other one."""
    assert [*restart.statuses] == [200] and restart.statuses[200] >= READS, restart.statuses


def _read(client: Client, restarted: threading.Event) -> Counter[int]:
    """Read evenly until the web server has restarted and enough has been read; return the number of each status."""
    statuses: Counter[int] = Counter()
    while sum(statuses.values()) < READS / READERS or not restarted.is_set():
        statuses[client.read("get_variable", key="a_variable").status] += 1
        time.sleep(0.05)
    return statuses


def test_jobs_use_the_queue_of_the_option(cluster: Cluster, client: Client, restart: Restart) -> None:
    """The web server that was restarted has it."""
    own = Client(cluster.ports[restart.host], headers=client.headers)
    state = ended(client, started(own, "succeed"))
    assert (state["state"], state["hostname"]) == ("success", "worker-2"), state


def test_a_worker_is_killed_while_a_job_runs(whole: Cluster, client: Client) -> None:
    """Airflow gives the task up when it has heard nothing for some time."""
    job_id = started(client, "hang", queue="special")
    assert runs(client, job_id)["hostname"] == "worker-1"
    whole.kill("worker-1")
    state = ended(client, job_id)
    assert (state["state"], state["error"]["code"]) == ("lost", "user_code_crashed"), state


def test_jobs_cannot_run(whole: Cluster, client: Client) -> None:
    """The scheduler is down, or it has no DAG of jobs: no job is created, and the response says why."""
    whole.stop(SCHEDULER)
    assert "scheduler has no recent heartbeat" in refusal(client)
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
