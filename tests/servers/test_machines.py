"""Two web servers with one database: the second has another home and no DAG files, as on another host."""

from __future__ import annotations

import os
import sqlite3
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any, Dict, Iterator, List

import pytest

from tests.servers.client import Client
from tests.servers.deployment import TOKEN, Deployment, running, serving
from tests.servers.processes import eventually
from tests.support.versions import AIRFLOW, on

pytestmark = [on("2.11", "3.3"), pytest.mark.slow]

INSTANCE = {"dag_id": "two_tasks", "task_id": "first", "logical_date": "2024-03-04"}


@pytest.fixture(scope="module")
def own(deployment: Deployment) -> Deployment:
    """The database of both hosts, and the home and the DAG files of the first."""
    own = deployment.copy(
        deployment.home.with_name("machine_one"),
        AIRFLOW__REST_API_PLUGIN__REST_API_PLUGIN_EXPECTED_HTTP_TOKEN=TOKEN,
        AIRFLOW__NATIVE_API__TOKEN_EFFECTS="read,write,execute,deploy",
        AIRFLOW__NATIVE_API__ALLOW_DEPLOY="True",
    )
    own.options.update(named(own.home))
    return own


@pytest.fixture(scope="module")
def other(own: Deployment) -> Iterator[Client]:
    """The web server of the second host."""
    dags = own.home.with_name("no_dags")
    dags.mkdir()
    with serving(another(own, "machine_two", dags)) as server:
        _have_files_elsewhere(own, "/machine_one")
        yield server.holder()
        _have_files_elsewhere(own, str(own.dags), "/machine_one")


def another(own: Deployment, name: str, dags: Path) -> Deployment:
    """Return a host of that name with another home and the database of the first."""
    home = own.home.with_name(name)
    home.mkdir()
    options = {
        **own.options,
        **named(home),
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{own.database}",
    }
    return Deployment(home, dags, options)


def named(home: Path) -> Dict[str, str]:
    """Return the options that set the hostname to the name of its home."""
    modules = home / "modules"
    modules.mkdir(exist_ok=True)
    (modules / "name_of_host.py").write_text(f"def name():\n    return {home.name!r}\n")
    return {"AIRFLOW__CORE__HOSTNAME_CALLABLE": "name_of_host.name", "PYTHONPATH": _path(modules)}


def _path(modules: Path) -> str:
    inherited = os.environ.get("PYTHONPATH")
    return os.pathsep.join([str(modules), *([inherited] if inherited else [])])


def _have_files_elsewhere(own: Deployment, there: str, here: str = "") -> None:
    """Airflow 2 stores absolute paths: make them those of files on the first host only."""
    if AIRFLOW >= (3, 0):
        return
    with closing(sqlite3.connect(own.database)) as connection, connection:
        for table in ("dag", "dag_code"):
            move = f"UPDATE {table} SET fileloc = replace(fileloc, ?, ?)"
            connection.execute(move, [here or str(own.dags), there])


def dags(client: Client) -> Dict[str, Any]:
    """Return the active DAGs in the database, without their parsing times."""
    listed: List[Dict[str, Any]] = client.read("list_dags", limit=1000).result()["dags"]
    return {dag["dag_id"]: {**dag, "last_parsed_time": None} for dag in listed}


def problem(response: Any, code: str) -> Dict[str, Any]:
    response.refusal(409)
    body: Dict[str, Any] = response.json()
    assert body["code"] == code, body
    assert body["hostname"] in body["detail"]
    return body


def test_a_host_without_dag_files_changes_no_dag(other: Client) -> None:
    """409 names what is missing."""
    before = dags(other)
    assert before
    for arguments in ({}, {"remove_missing": True}):
        assert problem(other.write("refresh_all_dags", **arguments), "dag_files_missing")["active_dags"] == len(before)
    problem(other.write("dag_report"), "dag_files_missing")
    assert other.legacy("refresh_all_dags").status == 409
    for operation in ("render_task", "test_task"):
        assert problem(other.write(operation, **INSTANCE), "dag_file_missing")["file"].endswith("sample.py")
    problem(other.write("run_task", **INSTANCE, local=True), "dag_file_missing")
    problem(other.write("refresh_dag", dag_id="two_tasks"), "dag_file_missing")
    problem(other.write("deploy_dag", path="new.py", dag_file="RATE = 1\n", allow_empty=True), "dag_files_missing")
    assert other.write("delete_dag", dag_id="two_tasks").status == 409
    assert dags(other) == before


def test_a_host_with_an_older_file_changes_nothing(own: Deployment, other: Client) -> None:
    """A deployment there does not take over a DAG of the first host."""
    before = dags(other)
    older = own.home.with_name("no_dags") / "sample.py"
    older.write_text(text_of_older(own.dags / "sample.py"))
    os.utime(older, (1_700_000_000, 1_700_000_000))
    try:
        refreshed = other.write("refresh_all_dags", subdir="DAGS_FOLDER/sample.py").result()
        assert refreshed["files"][0]["outcome"] in ("outdated", "elsewhere")
        assert other.write("refresh_dag", dag_id="two_tasks").status == 409
        deployed = other.write("deploy_dag", path="taken_over.py", dag_file=(own.dags / "sample.py").read_text())
        assert "is defined by" in deployed.refusal(409)
        assert dags(other) == before
    finally:
        older.unlink()


@pytest.mark.skipif(AIRFLOW < (3, 0), reason="Airflow 2 has absolute paths, which are those of one host here")
def test_a_host_without_dag_files_has_the_dag_processor_refresh_them(own: Deployment, other: Client) -> None:
    """As it does with execute_on = executor; while no DAG processor runs it is 409."""
    problem(other.write("refresh_dag", dag_id="two_tasks"), "dag_file_missing")
    with running(own, "dag-processor"):
        eventually(lambda: other.read("health").result()["dag_processor"]["status"] == "healthy", "it runs")
        result = other.write("refresh_dag", dag_id="two_tasks").result()
    (entry,) = result["files"]
    assert (entry["outcome"], "two_tasks" in entry["dag_ids"]) == ("loaded", True), result


def text_of_older(path: Path) -> str:
    return path.read_text() + "\n# An older one.\n"


def test_the_health_check_needs_no_authentication_on_either_host(own: Deployment, other: Client) -> None:
    """It is 503 while the database is unavailable."""
    nobody = Client(other.port)
    for method in ("GET", "HEAD"):
        assert nobody.send(method, "/native_api/health").status == 200
    assert nobody.get("/native_api/health").json() == {"status": "ok"}
    away = own.database.with_name("away.db")
    own.database.rename(away)
    own.database.mkdir()
    try:
        response = eventually(lambda: _unhealthy(nobody), "the database is away")
        assert response.json() == {"status": "unhealthy"}
    finally:
        own.database.rmdir()
        away.rename(own.database)
    eventually(lambda: nobody.get("/native_api/health").status == 200, "the database is back")
    health = other.read("health").result()
    assert (health["hostname"], health["mode"]) == ("machine_two", "web_server")


def _unhealthy(client: Client) -> Any:
    response = client.get("/native_api/health")
    return response if response.status == 503 else None


def test_a_job_of_another_host_is_409_with_its_hostname(own: Deployment, other: Client) -> None:
    """A third host, which shares state_dir, returns its state and cancels it."""
    _have_files_elsewhere(own, str(own.dags), "/machine_one")
    third = another(own, "machine_three", own.dags)
    third.options["AIRFLOW__NATIVE_API__STATE_DIR"] = str(own.home / "native_api")
    first_options = dict(own.options)
    with serving(Deployment(own.home, own.dags, first_options)) as first, serving(third) as sharing:
        instance = {"dag_id": "hanging", "task_id": "sleep", "logical_date": "2024-03-05"}
        job_id = first.holder().write("test_task", **instance, **{"async": True}).result(202)["job_id"]
        assert job_id.endswith(".machine-one") or job_id.endswith(".machine_one")
        for response in (other.read("job_state", job_id=job_id), other.write("cancel_job", job_id=job_id)):
            assert problem(response, "job_on_other_host")["hostname"] == job_id.partition(".")[2]
        holder = sharing.holder()
        state = eventually(lambda: _running(holder, job_id), "the job runs")
        assert state["hostname"] == "machine_one"
        assert holder.read("health").result()["jobs"] == {"running": 0, "queued": 0}
        assert holder.write("cancel_job", job_id=job_id).result()["state"] == "cancelled"
        assert first.holder().read("job_state", job_id=job_id).result()["state"] == "cancelled"


def _running(holder: Client, job_id: str) -> Any:
    state = holder.read("job_state", job_id=job_id).result()
    return state if state["state"] == "running" else None


def test_of_two_hosts_that_deploy_one_file_one_is_refused(own: Deployment) -> None:
    """They share the DAGs folder and the database, but not state_dir."""
    second = another(own, "machine_four", own.dags)
    loading, go_on = own.home / "loading", own.home / "go_on"
    waits = (
        "from pathlib import Path\nfrom time import sleep\nfrom airflow import DAG\n"
        f"Path({str(loading)!r}).touch()\n"
        f"while not Path({str(go_on)!r}).exists():\n    sleep(0.01)\n"
        "dag = DAG('changed', schedule=None)\n"
    )
    with serving(Deployment(own.home, own.dags, dict(own.options))) as one, serving(second) as two:
        with ThreadPoolExecutor(1) as threads:
            first = threads.submit(one.holder().write, "deploy_dag", path="changed.py", dag_file=waits)
            try:
                eventually(lambda: loading.exists() or first.done(), "the file is being loaded")
                late = two.holder().write("deploy_dag", path="changed.py", dag_file=waits, force=True)
                assert (late.status, late.json()["code"]) == (409, "deployment_running")
            finally:
                go_on.touch()
        assert first.result().result(201)["hostname"] == "machine_one"
        again = two.holder().write("deploy_dag", path="changed.py", dag_file=f"{waits}# Changed.\n", force=True)
        assert again.result()["hostname"] == "machine_four"
