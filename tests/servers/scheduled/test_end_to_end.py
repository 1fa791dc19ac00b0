"""Runs of a real scheduler, triggered and read with both APIs."""

from __future__ import annotations

import pytest

from tests.servers.client import LEGACY
from tests.servers.deployment import Server
from tests.servers.processes import eventually
from tests.support.versions import on

pytestmark = [on("2.11", "3.3"), pytest.mark.slow]

RUN_SECONDS = 240


def test_a_run_succeeds_with_the_legacy_api(scheduled: Server) -> None:
    """Unpause, trigger, poll the state, read the states of the tasks: what clients of the old plugin do."""
    admin = scheduled.user("admin")
    assert admin.legacy("unpause", dag_id="two_tasks").printed() == "Dag: two_tasks, paused: False\n"
    date = "2024-03-04 05:06:07"
    triggered = admin.legacy("trigger_dag", dag_id="two_tasks", run_id="legacy+face", exec_date=date)
    assert "two_tasks" in triggered.printed()
    run = {"dag_id": "two_tasks", "execution_date": date}

    def state() -> str:
        return admin.legacy("dag_state", **run).printed().strip()

    eventually(lambda: state() in ("success", "failed"), "the run ends", seconds=RUN_SECONDS)
    assert state() == "success"
    for task_id in ("first", "second"):
        assert admin.post(LEGACY, form={"api": "task_state", "task_id": task_id, **run}).printed() == "success\n"
    assert admin.legacy("dag_state", dag_id="two_tasks", run_id="legacy+face").printed() == "success\n"
    stored = admin.read("get_xcom", **run, task_id="first").result()
    assert (stored["value"]["rows"], stored["value"]["password"], stored["is_json"]) == (3, "***", True)


def test_a_run_fails_with_the_typed_api(scheduled: Server) -> None:
    """Its first task fails, and downstream tasks do not run."""
    admin = scheduled.user("admin")
    admin.write("unpause_dag", dag_id="broken").result()
    run_id = admin.write("trigger_dag", dag_id="broken", conf={"why": "test"}).result(201)["run_id"]
    run = {"dag_id": "broken", "run_id": run_id}

    def state() -> str:
        result: str = admin.read("dag_state", **run).result()["state"]
        return result

    eventually(lambda: state() in ("success", "failed"), "the run ends", seconds=RUN_SECONDS)
    result = admin.read("dag_state", **run).result()
    assert (result["state"], result["conf"]) == ("failed", {"why": "test"})
    assert result["start_date"] and result["end_date"]
    assert admin.read("task_state", **run, task_id="breaks").result()["state"] == "failed"
    assert admin.read("task_state", **run, task_id="follows").result()["state"] == "upstream_failed"


def test_changes_are_in_the_audit_log(scheduled: Server) -> None:
    """With the caller."""
    run_id = scheduled.user("admin").write("trigger_dag", dag_id="mine", conf={"password": "hush"}).result()["run_id"]
    rows = scheduled.deployment.rows("SELECT event, owner, dag_id, extra FROM log WHERE dag_id = 'mine' ORDER BY id")
    event, owner, dag_id, extra = [row for row in rows if row[0] == "native_api.trigger_dag"][-1]
    assert (event, owner, dag_id) == ("native_api.trigger_dag", "admin", "mine")
    assert "hush" not in extra and run_id
