"""With execute_on = executor the web server has no DAG files, and executes no DAG code: Airflow's executor does."""

from __future__ import annotations

import json
import shutil
from contextlib import suppress
from http.client import HTTPConnection
from pathlib import Path
from typing import Any, Dict, Iterator, Optional

import psutil
import pytest

from tests.servers.client import Client
from tests.servers.deployment import HERE, TOKEN, Deployment, running, serving
from tests.servers.processes import eventually
from tests.support.versions import AIRFLOW, by_default_on

pytestmark = [by_default_on("2.7", "2.11", "3.0", "3.3"), pytest.mark.slow]

DAG_ID = "user_code"
AT = "2024-03-04"


@pytest.fixture(scope="module")
def workers(deployment: Deployment) -> Deployment:
    """The machine with the DAG files, where the scheduler and its executor run."""
    own = deployment.copy(
        deployment.home.with_name("workers"),
        AIRFLOW__REST_API_PLUGIN__REST_API_PLUGIN_EXPECTED_HTTP_TOKEN=TOKEN,
        AIRFLOW__NATIVE_API__TOKEN_EFFECTS="read,write,execute,deploy",
        AIRFLOW__NATIVE_API__ALLOW_DEPLOY="True",
        AIRFLOW__NATIVE_API__EXECUTE_ON="executor",
        AIRFLOW__NATIVE_API__JOB_GRACE_SECONDS="1",
        AIRFLOW__CORE__EXECUTOR="LocalExecutor" if AIRFLOW >= (3, 0) else "SequentialExecutor",
        AIRFLOW__SCHEDULER__SCHEDULER_IDLE_SLEEP_TIME="0.2",
        AIRFLOW__SCHEDULER__JOB_HEARTBEAT_SEC="1",
        # A changed file is parsed when it is asked for, and not before: the names on Airflow 2, and on 3.
        AIRFLOW__SCHEDULER__MIN_FILE_PROCESS_INTERVAL="3600",
        AIRFLOW__SCHEDULER__FILE_PARSING_SORT_MODE="alphabetical",
        AIRFLOW__DAG_PROCESSOR__MIN_FILE_PROCESS_INTERVAL="3600",
        AIRFLOW__DAG_PROCESSOR__FILE_PARSING_SORT_MODE="alphabetical",
        AIRFLOW__CORE__MIN_SERIALIZED_DAG_UPDATE_INTERVAL="0",
        AIRFLOW__CORE__MIN_SERIALIZED_DAG_FETCH_INTERVAL="0",
    )
    # Workers keep their logs where web servers find them, as with remote logging.
    own.options["AIRFLOW__LOGGING__BASE_LOG_FOLDER"] = str(own.home / "logs")
    own.dags = shutil.copytree(HERE / "worker_dags", own.home.with_name("worker_dags"))
    return own


@pytest.fixture(scope="module")
def client(workers: Deployment) -> Iterator[Client]:
    """A client of a web server on another machine, which has no DAG files."""
    home, dags = workers.home.with_name("web_machine"), workers.home.with_name("no_dags_here")
    home.mkdir()
    dags.mkdir()
    options = {
        **workers.options,
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{workers.database}",
        "NATIVE_API_TESTS_NO_DAG_CODE": "True",
    }
    web_server = Deployment(home, dags, options)
    commands = ("scheduler", "dag-processor") if AIRFLOW >= (3, 0) else ("scheduler",)
    with serving(web_server) as server:
        # Tasks of Airflow 3 call its API.
        url = web_server.options.get("AIRFLOW__CORE__EXECUTION_API_SERVER_URL", "")
        workers.options["AIRFLOW__CORE__EXECUTION_API_SERVER_URL"] = url
        with running(workers, *commands):
            client = server.holder()
            eventually(lambda: {DAG_ID, "native_api_jobs"} <= dag_ids(client), "the DAGs of the workers")
            client.write("set_variable", key="a_variable", value="a value").result()
            client.write("set_variable", key="the_password", value="hunter2-and-more").result()
            yield client


def dag_ids(client: Client) -> Any:
    return {dag["dag_id"] for dag in client.read("list_dags", limit=1000).result()["dags"]}


def outcome_of(client: Client, task_id: str, **arguments: Any) -> Dict[str, Any]:
    result: Dict[str, Any] = client.write(
        "test_task", dag_id=DAG_ID, task_id=task_id, logical_date=AT, **arguments
    ).result()
    return result


def test_templates_are_rendered(client: Client) -> None:
    """They read variables as on a worker."""
    answer = client.write("render_task", dag_id=DAG_ID, task_id="bash", logical_date=AT).result()
    fields = {field["name"]: field["value"] for field in answer["template_fields"]}
    assert fields["bash_command"] == f"echo {AT} a value; echo returned"


def test_a_task_that_fails_is_a_result(client: Client) -> None:
    """As in the sandbox: the exception and its message."""
    result = outcome_of(client, "fail")
    assert (result["state"], result["exit_code"], result["exception"]) == ("failed", 1, "RuntimeError")
    assert result["message"] == "This task fails." and "Traceback" in result["log"]


def test_a_task_that_ends_its_process_is_a_result(client: Client) -> None:
    """The task of the job survives it, and returns the exit code."""
    result = outcome_of(client, "crash")
    assert (result["state"], result["exit_code"], result["exception"]) == ("failed", 7, "UserCodeCrashed")


def test_a_deferred_task_is_tested_to_its_end(client: Client) -> None:
    """Its trigger runs in the job."""
    assert outcome_of(client, "deferred")["state"] == "success"


@pytest.fixture(scope="module")
def tested(client: Client) -> str:
    """The id of a job that has tested a task."""
    started = client.write("test_task", dag_id=DAG_ID, task_id="succeed", logical_date=AT, **{"async": True})
    return str(started.result(202)["job_id"])


def test_a_task_is_tested_by_a_job_that_is_a_dag_run(client: Client, tested: str) -> None:
    """
    Where the workers are, with the result of the sandbox: state, return value, log, secrets masked.

    The id of the run is the job_id, list_jobs has it, and its task log is that of the job.
    """
    state = ended(client, tested)
    assert (state["state"], state["operation"]) == ("success", "test_task"), state
    result = state["result"]
    assert (result["state"], result["exit_code"], result["return_value"]["rows"]) == ("success", 0, 3), result
    assert tested in [job["job_id"] for job in client.read("list_jobs").result()["jobs"]]
    instance = {"dag_id": "native_api_jobs", "run_id": tested, "task_id": "run_job"}
    for log in (result["log"], client.read("task_log", **instance).result()["content"]):
        assert "the password is ***" in log and "hunter2" not in log


def test_a_cancelled_job_ends_with_all_that_it_has_started(client: Client, workers: Deployment) -> None:
    """Its task is terminated, and the process that the task has started in a session of its own, too."""
    accepted = client.write("test_task", dag_id=DAG_ID, task_id="hang", logical_date=AT, **{"async": True}).result(202)
    eventually(lambda: sleeping(workers), "the process of the task")
    assert client.read("job_state", job_id=accepted["job_id"]).result()["state"] == "running"
    client.write("cancel_job", job_id=accepted["job_id"]).result()
    assert ended(client, accepted["job_id"])["state"] == "cancelled"
    eventually(lambda: not sleeping(workers), "the end of the process of the task")
    assert "cancelled" in client.write("cancel_job", job_id=accepted["job_id"]).refusal(409)


def test_a_client_that_disconnects_cancels_its_job(client: Client, workers: Deployment) -> None:
    """As in the sandbox: nobody waits for the result."""
    body = json.dumps({"dag_id": DAG_ID, "task_id": "hang", "logical_date": AT})
    connection = HTTPConnection("127.0.0.1", client.port, timeout=60)
    connection.request("POST", "/native_api/v1/test_task", body, {**client.headers, "Content-Type": "application/json"})
    eventually(lambda: sleeping(workers), "the process of the task")
    connection.close()
    eventually(lambda: not sleeping(workers), "the end of the process of the task")
    assert newest_job(client)["state"] == "cancelled"


def test_a_job_whose_task_is_killed_is_lost(client: Client, workers: Deployment) -> None:
    """Nothing that it has started is left."""
    accepted = client.write("test_task", dag_id=DAG_ID, task_id="hang", logical_date=AT, **{"async": True}).result(202)
    (process,) = eventually(lambda: sleeping(workers), "the process of the task")
    # Above it are the process of the job, its guard, and the task that Airflow runs.
    psutil.Process(process).parents()[2].kill()
    state = ended(client, accepted["job_id"])
    assert (state["state"], state["error"]["code"]) == ("lost", "user_code_crashed"), state
    eventually(lambda: not sleeping(workers), "the end of the process of the task")


def test_files_are_reported_as_the_workers_have_them(client: Client, workers: Deployment) -> None:
    """One that does not load, too."""
    broken = workers.dags / "broken_file.py"
    broken.write_text("from airflow import DAG\nraise RuntimeError('This file does not load.')\n")
    try:
        report = client.write("dag_report").result()
    finally:
        broken.unlink()
    outcomes = {Path(file["file"]).name: file["outcome"] for file in report["files"]}
    assert outcomes == {"user_code.py": "loaded", "native_api_jobs.py": "loaded", "broken_file.py": "import_error"}
    assert "This file does not load." in str(report["files"])


def test_a_run_that_the_api_has_not_created_does_nothing(client: Client, tested: str) -> None:
    """It needs no right but that to trigger DAGs, and neither a forged request nor one of another run is executed."""
    request = {"request": conf_of(client, tested)["request"]}
    runs = {"by_hand": {}, "forged": {"request": "gAAAA"}, "copied": request}
    for run_id, conf in runs.items():
        client.write("trigger_dag", dag_id="native_api_jobs", run_id=run_id, conf=conf).result()
    for run_id in runs:
        instance = {"dag_id": "native_api_jobs", "run_id": run_id, "task_id": "run_job"}
        eventually(
            lambda instance=instance: client.read("task_state", **instance).result()["state"] == "failed",
            f"the run {run_id} fails",
        )
        assert "the password is" not in client.read("task_log", **instance).result()["content"]
        client.read("job_state", job_id=run_id).refusal(404)


def test_the_response_says_that_the_dag_is_paused(client: Client) -> None:
    """Nothing is started then."""
    client.write("pause_dag", dag_id="native_api_jobs").result()
    try:
        answer = client.write("test_task", dag_id=DAG_ID, task_id="succeed", logical_date=AT)
        assert "is paused" in answer.refusal(503) and answer.json()["code"] == "jobs_dag_unavailable"
    finally:
        client.write("unpause_dag", dag_id="native_api_jobs").result()


def test_the_old_protocol_tests_a_task(client: Client) -> None:
    """Its clients get what the command would print."""
    answer = client.legacy("test", dag_id=DAG_ID, task_id="succeed", execution_date=AT)
    assert "the password is ***" in answer.printed()


@pytest.mark.skipif(AIRFLOW >= (3, 0), reason="A worker of Airflow 3 has no database")
def test_a_task_instance_is_run_by_a_job(client: Client) -> None:
    """On Airflow 3, whose workers have no database, the scheduler starts it."""
    arguments = {"dag_id": DAG_ID, "task_id": "succeed", "logical_date": AT, "local": True}
    result = client.write("run_task", **arguments).result()
    assert (result["how"], result["state"], result["run_is_new"]) == ("sandbox", "success", True), result


def test_deploying_is_refused(client: Client) -> None:
    """It would parse the file on the host of the web server."""
    answer = client.write("deploy_dag", path="new.py", dag_file="from airflow import DAG\nDAG('new')\n")
    answer.refusal(409)
    assert answer.json()["code"] == "not_on_executor"


def test_health_says_that_jobs_can_run(client: Client) -> None:
    """With the mode, for whoever is on call."""
    health = client.read("health").result()
    assert (health["mode"], health["jobs_dag"]) == ("executor", "available")


def test_a_changed_file_is_refreshed_by_the_dag_processor(client: Client, workers: Deployment) -> None:
    """On Airflow 2.7 to 2.9, which cannot ask it, by a job; the response says what has changed, or what is broken."""
    file = workers.dags / "user_code.py"
    text = file.read_text()
    file.write_text(text.replace("echo returned", "echo something else"))
    result = client.write("refresh_dag", dag_id=DAG_ID).result()
    (entry,) = result["files"]
    assert (entry["outcome"], entry["dag_ids"], result["changed"]) == ("loaded", [DAG_ID], [DAG_ID]), result
    assert "something else" in client.read("dag_source", dag_id=DAG_ID).result()["source"]
    file.write_text(text + "\nraise RuntimeError('It breaks.')\n")
    result = client.write("refresh_dag", dag_id=DAG_ID).result()
    (entry,) = result["files"]
    assert entry["outcome"] == "import_error" and "It breaks." in str(entry["import_errors"]), result


def ended(client: Client, job_id: str) -> Dict[str, Any]:
    """Return the state of a job when it has ended."""

    def state() -> Any:
        found = client.read("job_state", job_id=job_id).result()
        return None if found["state"] in ("queued", "running") else found

    found: Dict[str, Any] = eventually(state, f"the end of the job {job_id}")
    return found


def newest_job(client: Client) -> Dict[str, Any]:
    (job,) = client.read("list_jobs", limit=1, order_by="-created_at").result()["jobs"]
    found: Dict[str, Any] = job
    return found


def conf_of(client: Client, run_id: str) -> Any:
    runs = client.read("list_dag_runs", dag_id="native_api_jobs", limit=100).result()["dag_runs"]
    (conf,) = (run["conf"] for run in runs if run["run_id"] == run_id)
    return conf


def sleeping(workers: Deployment) -> Any:
    """Return the processes that the task ``hang`` of these workers has started."""
    processes = psutil.process_iter(["cmdline"])
    return [one.pid for one in processes if one.info["cmdline"] == ["sleep", "987"] and _folder(one) == workers.dags]


def _folder(process: psutil.Process) -> Optional[Path]:
    """Return the working directory of a process, None if it has just ended."""
    with suppress(OSError, psutil.Error):
        return Path(process.cwd())
    return None
