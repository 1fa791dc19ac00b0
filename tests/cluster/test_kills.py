"""A host is lost while a job runs: nothing else is."""

from __future__ import annotations

import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

from tests.cluster.calls import AT, DAG_ID, ended, runs, started
from tests.cluster.cluster import SCHEDULER, Cluster
from tests.servers.client import Client
from tests.servers.processes import eventually

READS, READERS = 1000, 4


def test_a_web_server_is_killed_while_a_job_runs(cluster: Cluster, client: Client) -> None:
    """The other one returns the state and the result of the job."""
    job_id = started(client, "slow", "queues")
    runs(client, job_id)
    cluster.kill("web-1")
    state = ended(client, job_id)
    assert (state["state"], state["result"]["return_value"]) == ("success", "slept"), state
    assert {client.read("health").result()["hostname"] for _ in range(4)} == {"web-2"}
    cluster.start("web-1")


def test_no_read_is_lost_while_a_web_server_restarts(cluster: Cluster, client: Client) -> None:
    """The load balancer sends it to the other one."""
    eventually(lambda: cluster.serves("web-1"), "web-1 responds")
    with ThreadPoolExecutor(READERS) as threads:
        restarted = threading.Event()
        reading = [threads.submit(_read, client, restarted) for _ in range(READERS)]
        try:
            cluster.stop("web-2")
            cluster.start("web-2")
            eventually(lambda: cluster.serves("web-2"), "web-2 responds")
        finally:
            restarted.set()
        statuses = sum((one.result() for one in reading), Counter())
    assert [*statuses] == [200] and statuses[200] >= READS, statuses


def _read(client: Client, restarted: threading.Event) -> Counter[int]:
    """Read evenly until the web server has restarted and enough has been read; return the number of each status."""
    statuses: Counter[int] = Counter()
    while sum(statuses.values()) < READS / READERS or not restarted.is_set():
        statuses[client.read("get_variable", key="a_variable").status] += 1
        time.sleep(0.02)
    return statuses


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
