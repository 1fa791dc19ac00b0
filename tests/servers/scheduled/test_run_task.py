"""run_task with a real scheduler, which starts no other task."""

from __future__ import annotations

from typing import Any, Dict

import pytest

from tests.servers.client import Client
from tests.servers.deployment import Server
from tests.servers.processes import eventually
from tests.support.versions import AIRFLOW, on

pytestmark = [on("2.11", "3.3"), pytest.mark.slow]

RUN_SECONDS = 240
HERE, BY_SCHEDULER = "2024-02-01T00:00:00+00:00", "2024-02-02T00:00:00+00:00"


def instances(client: Client, run_id: str) -> Dict[str, Any]:
    """Return the task instances of a run by their tasks."""
    listed = client.read("list_task_instances", dag_id="two_tasks", run_id=run_id).result()["task_instances"]
    return {instance["task_id"]: instance for instance in listed}


def succeeds(client: Client, run_id: str) -> bool:
    """Return whether the run has succeeded; fail if it has failed."""
    state = client.read("dag_state", dag_id="two_tasks", run_id=run_id).result()["state"]
    assert state != "failed"
    return bool(state == "success")


def is_skipped(instance: Dict[str, Any]) -> bool:
    """Return whether the task instance never started, and never will."""
    return (instance["state"], instance["start_date"], instance["try_number"]) == ("skipped", None, 0)


def test_run_task_runs_one_task_only(scheduled: Server) -> None:
    """In a new run, and again in an ended one."""
    admin = scheduled.user("admin")
    admin.write("unpause_dag", dag_id="two_tasks").result()
    first = {"dag_id": "two_tasks", "task_id": "first"}

    made = admin.write("run_task", **first, logical_date=HERE, local=True).result()
    assert (made["how"], made["state"], made["try_number"], made["run_is_new"]) == ("sandbox", "success", 1, True)

    admin.write("trigger_dag", dag_id="two_tasks", run_id="done").result(201)
    eventually(lambda: succeeds(admin, "done"), "the triggered run succeeds", seconds=RUN_SECONDS)
    # The scheduler has worked on the DAG since.
    assert is_skipped(instances(admin, made["run_id"])["second"])
    assert succeeds(admin, made["run_id"])

    before = instances(admin, "done")
    again = admin.write("run_task", **first, run_id="done", force=True).result()
    assert again["how"] == ("scheduler" if AIRFLOW >= (3, 0) else "sandbox")
    assert (again["previous_state"], again["try_number"], again["run_is_new"]) == ("success", 2, False)
    eventually(lambda: instances(admin, "done")["first"]["state"] == "success", "it runs", seconds=RUN_SECONDS)
    eventually(lambda: succeeds(admin, "done"), "its run succeeds again", seconds=RUN_SECONDS)
    after = instances(admin, "done")
    assert after["second"] == before["second"]
    assert (after["first"]["try_number"], before["first"]["try_number"]) == (2, 1)
    assert after["first"]["start_date"] > before["second"]["end_date"]
    log = admin.read("task_log", **first, run_id="done", try_number=2).result()
    assert log["content"]
    assert log["end_of_log"] is True

    if AIRFLOW >= (3, 0):
        sent = admin.write("run_task", **first, logical_date=BY_SCHEDULER).result()
        assert (sent["how"], sent["state"], sent["run_is_new"]) == ("scheduler", "scheduled", True)
        eventually(lambda: succeeds(admin, sent["run_id"]), "the scheduler ends the run", seconds=RUN_SECONDS)
        found = instances(admin, sent["run_id"])
        assert (found["first"]["state"], is_skipped(found["second"])) == ("success", True)
