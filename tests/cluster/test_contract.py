"""Every operation with execute_on = executor, through the load balancer: the response that the document has for it."""

from __future__ import annotations

from typing import Any, Dict

import pytest

import native_api.adapters.catalogue  # noqa: F401
from native_api import errors, registry
from native_api.effects import Effect
from tests.cluster.calls import AT, FROM_DATE, TO_DATE, ended, result_of, started
from tests.servers.client import Client
from tests.servers.processes import eventually
from tests.support.problems import assert_valid

EVERY = [pytest.param(operation, id=operation.name) for operation in registry.every()]

#: Operations that change a run, and need one of their own.
CHANGING = ("clear_tasks", "delete_dag_run", "set_dag_run_state", "set_task_state")
FILE = {"subdir": "DAGS_FOLDER/user_code.py"}


@pytest.fixture(scope="module")
def world(client: Client, run_id: str, backfill: Dict[str, Any]) -> Dict[str, Dict[str, Any]]:
    """Create the rows that the operations need; return their arguments by the operation, "" for all others."""
    for name in ("greeting", "old"):
        client.write("set_variable", key=name, value="hello").result()
        client.write("set_pool", name=name, slots=2).result()
        client.write("add_connection", conn_id=name, conn_uri="postgres://ada:p@warehouse/main").result()
    own_runs = {name: {"dag_id": "user_code", "run_id": name, "task_id": "succeed"} for name in CHANGING}
    for run in own_runs.values():
        client.write("trigger_dag", dag_id="user_code", run_id=run["run_id"]).result(201)
    # The DAG is paused: the runs wait.
    waiting = client.write("backfill_dag", dag_id="run_locally", from_date=FROM_DATE, to_date=TO_DATE).result(202)
    job_id = started(client, "succeed")
    instance = {"dag_id": "queues", "run_id": run_id, "task_id": "special"}
    eventually(lambda: client.read("task_state", **instance).result()["state"] == "success", "the task has run")
    ended(client, job_id)
    return {
        "": {
            **instance,
            "key": "greeting",
            "name": "greeting",
            "conn_id": "greeting",
            "logical_date": AT,
            "job_id": job_id,
            "backfill_id": backfill["backfill_id"],
        },
        **own_runs,
        "add_connection": {"conn_id": "new"},
        "backfill_dag": {"dag_id": "daily"},
        "cancel_backfill": {"backfill_id": waiting["backfill_id"]},
        "cancel_job": {"job_id": started(client, "hang")},
        "dag_report": FILE,
        "delete_connection": {"conn_id": "old"},
        "delete_dag": {"dag_id": "deleted"},
        "delete_pool": {"name": "old"},
        "delete_variable": {"key": "old"},
        "pause_dag": {"dag_id": "daily"},
        "refresh_all_dags": FILE,
        "run_task": {"logical_date": "2024-05-05"},
        "trigger_dag": {"dag_id": "user_code"},
        "unpause_dag": {"dag_id": "daily"},
    }


@pytest.mark.parametrize("operation", EVERY)
def test_the_response_is_the_documented_one(
    operation: registry.Operation, client: Client, world: Dict[str, Dict[str, Any]]
) -> None:
    """That of the sandbox; an operation that parses a file on the host of the web server is 409."""
    arguments = _arguments(operation, world)
    send = client.read if operation.effect is Effect.READ else client.write
    response = send(operation.name, **arguments)
    if errors.NotOnExecutor in operation.errors:
        response.refusal(409)
        assert response.json()["code"] == "not_on_executor"
    elif operation.tag == "Daemons":
        # They are not allowed by default.
        response.refusal(403)
    else:
        assert_valid(operation.result, result_of(client, response))


def _arguments(operation: registry.Operation, world: Dict[str, Dict[str, Any]]) -> Dict[str, Any]:
    """Return the arguments of the operation's example, with what there is in the cluster."""
    own = world.get(operation.name, {})
    given = {name: world[""].get(name, value) for name, value in operation.example.items()}
    given.update({name: value for name, value in own.items() if name in given})
    if "logical_date" in own:
        del given["run_id"]
        given["logical_date"] = own["logical_date"]
    if operation.effect is Effect.READ:
        # In a query a list of one is its entry.
        return {name: value[0] if isinstance(value, list) else value for name, value in given.items()}
    return given
