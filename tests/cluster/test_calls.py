"""Operations through the load balancer: each request goes to another web server than the one before."""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any, Dict, Iterator, Optional

import pytest
from sqlalchemy import create_engine, text

from tests.cluster.calls import AT, DAG_ID, UNFINISHED, ended, outcome_of, result_of, started, state_of
from tests.cluster.cluster import JOB_SECONDS_MAX, WEB_SERVERS, WORKERS, Cluster
from tests.servers.client import Client, Response
from tests.servers.processes import eventually
from tests.support.versions import AIRFLOW

INSTANCE = {"dag_id": DAG_ID, "logical_date": AT}


@pytest.fixture(scope="module")
def waiting(client: Client) -> Iterator[Future[Response]]:
    """A request that waits for a job that hangs."""
    with ThreadPoolExecutor(1) as threads:
        yield threads.submit(client.write, "test_task", task_id="hang", **INSTANCE)


@pytest.fixture(scope="module", autouse=True)
def _started(hanging: str, waiting: Future[Response], backfill: Dict[str, Any], run_id: str) -> None:
    """Start what takes time."""


def test_both_web_servers_respond(client: Client) -> None:
    healths = [client.read("health").result() for _ in range(4)]
    assert {health["hostname"] for health in healths} == {*WEB_SERVERS}
    assert {(health["mode"], health["jobs_dag"]) for health in healths} == {("executor", "available")}


def test_a_user_logs_in_at_one_and_calls_both(cluster: Cluster) -> None:
    """With Basic on Airflow 2, with a JWT on 3."""
    client = cluster.balancer.user("viewer")
    assert {client.read("health").result()["hostname"] for _ in range(4)} == {*WEB_SERVERS}


def test_a_request_that_takes_long_becomes_a_job(client: Client, waiting: Future[Response]) -> None:
    """Both web servers have the job, and either cancels it."""
    job_id = waiting.result().result(202)["job_id"]
    for _ in WEB_SERVERS:
        assert state_of(client, job_id)["state"] in UNFINISHED
    client.write("cancel_job", job_id=job_id).result()
    assert ended(client, job_id)["state"] == "cancelled"


def test_a_task_is_tested(client: Client) -> None:
    """Secrets are masked."""
    result = outcome_of(client, "succeed")
    assert (result["state"], result["exit_code"]) == ("success", 0), result
    assert result["return_value"]["rows"] == 3
    assert "the password is ***" in result["log"] and "hunter2" not in result["log"]


def test_a_task_fails(client: Client) -> None:
    result = outcome_of(client, "fail")
    assert (result["state"], result["exit_code"], result["exception"]) == ("failed", 1, "RuntimeError"), result
    assert result["message"] == "This task fails." and "Traceback" in result["log"]


def test_a_task_ends_its_process(client: Client) -> None:
    result = outcome_of(client, "crash")
    assert (result["state"], result["exit_code"], result["exception"]) == ("failed", 7, "UserCodeCrashed"), result


def test_an_asynchronous_job_is_in_the_list_of_both(client: Client) -> None:
    job_id = started(client, "succeed")
    state = ended(client, job_id)
    assert (state["state"], state["operation"]) == ("success", "test_task"), state
    assert state["result"]["return_value"]["rows"] == 3 and state["hostname"] in WORKERS
    for _ in WEB_SERVERS:
        assert job_id in [job["job_id"] for job in client.read("list_jobs").result()["jobs"]]
    log = client.read("task_log", dag_id="native_api_jobs", run_id=job_id, task_id="run_job").result()["content"]
    assert "the password is ***" in log and "hunter2" not in log


def test_a_task_is_rendered(client: Client) -> None:
    result = result_of(client, client.write("render_task", task_id="bash", **INSTANCE))
    fields = {field["name"]: field["value"] for field in result["template_fields"]}
    assert fields["bash_command"] == f"echo {AT} a value; echo returned"


@pytest.mark.parametrize(
    ("dag_id", "task_id", "queue"),
    [
        pytest.param("queues", "special", None, id="that of the task"),
        pytest.param(DAG_ID, "succeed", "special", id="that of the caller"),
    ],
)
def test_a_task_is_tested_in_a_queue(
    cluster: Cluster, client: Client, dag_id: str, task_id: str, queue: Optional[str]
) -> None:
    """The worker that has the queue runs it, in the pool of the option."""
    job_id = started(client, task_id, dag_id, **({"queue": queue} if queue else {}))
    state = ended(client, job_id)
    assert (state["state"], state["hostname"]) == ("success", "worker-1"), state
    assert pool_of(cluster, job_id) == "jobs"


def pool_of(cluster: Cluster, job_id: str) -> str:
    """Return the pool of a job."""
    engine = create_engine(cluster.options["AIRFLOW__DATABASE__SQL_ALCHEMY_CONN"])
    try:
        with engine.connect() as connection:
            query = text("SELECT pool FROM task_instance WHERE run_id = :job_id")
            (pool,) = connection.execute(query, {"job_id": job_id}).one()
    finally:
        engine.dispose()
    return str(pool)


def test_a_broken_file_is_reported(client: Client, broken_file: Path) -> None:
    """As the workers have it."""
    report = result_of(client, client.write("dag_report"))
    outcomes = {Path(file["file"]).name: file["outcome"] for file in report["files"]}
    assert outcomes[broken_file.name] == "import_error" and outcomes["user_code.py"] == "loaded"
    assert "This file does not load." in str(report["files"])


@pytest.fixture
def broken_file(cluster: Cluster) -> Iterator[Path]:
    """A DAG file that does not load."""
    file = cluster.dags / "broken_file.py"
    file.write_text("from airflow import DAG\nraise RuntimeError('This file does not load.')\n")
    yield file
    file.unlink()


def test_a_changed_file_is_refreshed(client: Client, cluster: Cluster) -> None:
    """By the DAG processor, which has the files; each web server then has the change."""
    file = cluster.dags / "user_code.py"
    file.write_text(file.read_text().replace("echo returned", "echo something else"))
    result = client.write("refresh_dag", dag_id=DAG_ID).result()
    (entry,) = result["files"]
    assert (entry["outcome"], entry["dag_ids"], result["changed"]) == ("loaded", [DAG_ID], [DAG_ID]), result
    for _ in WEB_SERVERS:
        assert "something else" in client.read("dag_source", dag_id=DAG_ID).result()["source"]


def test_the_old_protocol_tests_a_task(client: Client) -> None:
    answer = client.legacy("test", dag_id=DAG_ID, task_id="succeed", execution_date=AT)
    assert "the password is ***" in answer.printed()


def test_the_old_protocol_renders_a_task(client: Client) -> None:
    answer = client.legacy("render", dag_id=DAG_ID, task_id="bash", execution_date=AT)
    assert f"echo {AT} a value" in answer.printed()


def test_the_old_protocol_refreshes_a_dag(client: Client) -> None:
    assert DAG_ID in client.legacy("refresh_dag", dag_id=DAG_ID).text


def test_a_triggered_run_succeeds(client: Client, run_id: str) -> None:
    """Its task runs on the worker that has the queue."""

    def state() -> Any:
        found = client.read("dag_state", dag_id="queues", run_id=run_id).result()["state"]
        return None if found in ("queued", "running") else found

    assert eventually(state, "the end of the run") == "success"
    instance = {"dag_id": "queues", "run_id": run_id, "task_id": "special"}
    assert client.read("get_xcom", **instance, key="return_value").result()["value"].endswith("worker-1")


def test_a_backfill_returns_its_progress(client: Client, backfill: Dict[str, Any]) -> None:
    def state() -> Any:
        found = client.read("backfill_state", backfill_id=backfill["backfill_id"]).result()
        return None if found["state"] == "running" else found

    ended_backfill: Dict[str, Any] = eventually(state, "the end of the backfill")
    assert (ended_backfill["state"], ended_backfill["runs"]) == ("success", {"success": 2}), ended_backfill
    assert (ended_backfill["fraction_done"], ended_backfill["failed_tasks"]) == (1.0, [])


@pytest.mark.skipif(AIRFLOW >= (3, 0), reason="Airflow 3 has no local backfills")
def test_a_local_backfill_runs_on_a_worker(client: Client) -> None:
    """With Airflow's own backfill job."""
    dates = {"from_date": "2024-02-02", "to_date": "2024-02-02"}
    backfill_id = client.write("backfill_dag", dag_id="run_locally", **dates, local=True).result(202)["backfill_id"]

    def state() -> Any:
        found = client.read("backfill_state", backfill_id=backfill_id).result()
        return None if found["state"] == "running" else found

    found: Dict[str, Any] = eventually(state, "the end of the backfill")
    (job,) = client.get("/native_api/v1/list_jobs", operation="backfill_dag").result()["jobs"]
    assert (found["state"], found["runs"]) == ("success", {"success": 1}), (found, ended(client, job["job_id"]))


def test_a_job_ends_at_its_timeout(client: Client, hanging: str) -> None:
    state = ended(client, hanging)
    assert state["state"] == "timeout", state
    assert JOB_SECONDS_MAX <= state["seconds"] < 2 * JOB_SECONDS_MAX


def test_no_web_server_has_executed_dag_code(cluster: Cluster) -> None:
    """The DAG files raise an error there."""
    logs = [log.read_text() for host in WEB_SERVERS for log in (cluster.folder / host).glob("*.log")]
    assert len(logs) == len(WEB_SERVERS) and "must not execute DAG code" not in "".join(logs)
