"""A DAG file deployed over HTTP, whose versions a real scheduler runs."""

from __future__ import annotations

import hashlib
from typing import Any, Dict

import pytest

from tests.servers.client import LEGACY, Client, Response
from tests.servers.deployment import Server
from tests.servers.processes import eventually
from tests.support.versions import on

pytestmark = [on("2.11", "3.3"), pytest.mark.slow]

RUN_SECONDS = 240
TEXT = """
import datetime
try:
    from airflow.sdk import DAG, task
except ImportError:
    from airflow.decorators import task
    from airflow.models.dag import DAG

with DAG("over_http", schedule=None, start_date=datetime.datetime(2024, 1, 1), catchup=False):
    @task(task_id="WORD")
    def only():
        print("WORD")

    only()
"""


def text_of(word: str) -> bytes:
    return TEXT.replace("WORD", word).encode()


def upload(client: Client, path: str, word: str, query: Any = None, **form: str) -> Response:
    """Send a form with a file."""
    parts = [f'--x\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{text}\r\n' for name, text in form.items()]
    head = '--x\r\nContent-Disposition: form-data; name="dag_file"; filename="over_http.py"\r\n\r\n'
    body = "".join(parts).encode() + head.encode() + text_of(word) + b"\r\n--x--\r\n"
    return client.send(
        "POST", path, query=query, body=body, headers={"Content-Type": "multipart/form-data; boundary=x"}
    )


def run_to_its_end(admin: Client, task_id: str) -> None:
    """Trigger the DAG, and wait until its task has succeeded."""
    run_id = admin.write("trigger_dag", dag_id="over_http").result(201)["run_id"]
    run: Dict[str, str] = {"dag_id": "over_http", "run_id": run_id}

    def state() -> str:
        result: str = admin.read("dag_state", **run).result()["state"]
        return result

    eventually(lambda: state() in ("success", "failed"), f"the run of {task_id} ends", seconds=RUN_SECONDS)
    assert state() == "success"
    assert admin.read("task_state", **run, task_id=task_id).result()["state"] == "success"


def test_the_scheduler_runs_each_deployed_version(scheduled: Server) -> None:
    """Deploy, run, deploy again, run, roll back, run, delete."""
    admin = scheduled.user("admin")
    first = upload(admin, "/native_api/v1/deploy_dag", "first", unpause="on").result(201)
    assert first["added"] == ["over_http"]
    assert first["checksum"] == hashlib.sha256(text_of("first")).hexdigest()
    assert "over_http" in [dag["dag_id"] for dag in admin.read("list_dags").result()["dags"]]
    run_to_its_end(admin, "first")

    assert "already exists" in upload(admin, "/native_api/v1/deploy_dag", "second").refusal(409)
    old = upload(admin, LEGACY, "second", query={"api": "deploy_dag"}, force="on").json()
    assert old["output"] == f"DAG File [{scheduled.deployment.dags / 'over_http.py'}] has been uploaded"
    assert old["result"]["changed"] == ["over_http"]
    run_to_its_end(admin, "second")

    assert admin.write("rollback_dag", path="over_http.py").result()["checksum"] == first["checksum"]
    run_to_its_end(admin, "first")

    assert admin.write("delete_dag_file", path="over_http.py").result()["removed"] == ["over_http"]
    assert not (scheduled.deployment.dags / "over_http.py").exists()
    assert admin.read("list_dags", dag_id_pattern="over_http").result()["dags"] == []
    numbers = [entry["number"] for entry in admin.read("list_deployments").result()["deployments"]]
    assert numbers == [1, 2, 3, 4]


def test_the_scheduler_never_parses_an_incomplete_file(scheduled: Server) -> None:
    """It has stored no import error."""
    assert scheduled.deployment.rows("SELECT filename FROM import_error") == []


def test_only_administrators_can_deploy(scheduled: Server) -> None:
    assert "administrator" in upload(scheduled.user("viewer"), "/native_api/v1/deploy_dag", "first").refusal(403)
