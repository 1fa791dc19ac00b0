"""Permissions: Airflow's own roles, and a FAB role that is limited to some DAGs."""

from __future__ import annotations

import pytest

from tests.servers.client import Client
from tests.servers.deployment import Server
from tests.support.versions import on

#: What each role may; Simple's roles and FAB's agree on these.
MAY = {
    "viewer": {"list_dags"},
    "user": {"list_dags", "pause_dag", "trigger_dag"},
    "op": {"list_dags", "pause_dag", "trigger_dag", "list_variables", "set_variable"},
    "admin": {"list_dags", "pause_dag", "trigger_dag", "list_variables", "set_variable"},
}
OPERATIONS = {
    "list_dags": (lambda client: client.read("list_dags"), lambda client: client.legacy("list_dags")),
    "list_variables": (lambda client: client.read("list_variables"), lambda client: client.legacy("variables")),
    "pause_dag": (
        lambda client: client.write("pause_dag", dag_id="others"),
        lambda client: client.legacy("pause", dag_id="others"),
    ),
    "trigger_dag": (
        lambda client: client.write("trigger_dag", dag_id="others"),
        lambda client: client.legacy("trigger_dag", dag_id="others"),
    ),
    "set_variable": (
        lambda client: client.write("set_variable", key="from_roles", value="x"),
        lambda client: client.legacy("variables", cmd="set", key="from_roles", value="x"),
    ),
}


@on("2.7", "2.11", "3.0", "3.3")
@pytest.mark.parametrize("operation", OPERATIONS)
@pytest.mark.parametrize("role", MAY)
def test_a_role_has_its_permissions_of_airflow(server: Server, role: str, operation: str) -> None:
    """Otherwise 403 names the missing permission."""
    for call in OPERATIONS[operation]:
        response = call(server.user(role))
        if operation in MAY[role]:
            response.result()
        else:
            assert "permission to" in response.refusal(403)


with_fab = on("2.7", "2.11", "3.3", fab=True)

ITS_OWN = pytest.mark.parametrize("dag_id", ["mine", "team.mine"])
NOT_ITS_OWN = pytest.mark.parametrize(
    "dag_id", ["others", "team.others", "unknown", "team.unknown", "mine.unknown", "team", "min%", "MINE"]
)


@pytest.fixture
def restricted(server: Server) -> Client:
    """A user who can read and edit two DAGs, and create runs."""
    return server.user("restricted")


@with_fab
def test_a_restricted_role_lists_its_dags_only(restricted: Client) -> None:
    typed = restricted.read("list_dags").result()
    assert [dag["dag_id"] for dag in typed["dags"]] == ["mine", "team.mine"]
    assert typed["total_entries"] == 2
    legacy = restricted.legacy("list_dags")
    assert legacy.result()["total_entries"] == 2
    assert legacy.printed().split()[3:] == ["mine", "team.mine"]


@with_fab
def test_filters_and_pages_have_its_dags_only(restricted: Client) -> None:
    assert restricted.read("list_dags", dag_id_pattern="other").result() == {"dags": [], "total_entries": 0}
    assert restricted.read("list_dags", limit=1, offset=1).result()["total_entries"] == 2
    assert restricted.read("list_dags", limit=10, offset=2).result()["dags"] == []


@with_fab
@ITS_OWN
def test_a_restricted_role_can_use_its_dags(restricted: Client, dag_id: str) -> None:
    """Pause, trigger and read states, with both APIs."""
    restricted.write("pause_dag", dag_id=dag_id).result()
    restricted.legacy("pause", dag_id=dag_id).result()
    run = restricted.write("trigger_dag", dag_id=dag_id).result()
    other_run = restricted.legacy("trigger_dag", dag_id=dag_id).result()
    named = {"dag_id": dag_id, "run_id": run["run_id"]}
    assert restricted.read("dag_state", **named).result()["state"] == "queued"
    assert restricted.legacy("dag_state", dag_id=dag_id, run_id=other_run["run_id"]).printed() == "queued\n"
    assert restricted.read("task_state", **named, task_id="only").result()["state"] is None
    assert restricted.legacy("task_state", **named, task_id="only").printed() == "None\n"


@with_fab
@NOT_ITS_OWN
def test_another_dag_is_403_for_a_restricted_role(restricted: Client, dag_id: str) -> None:
    """Whether it exists or not."""
    run = {"dag_id": dag_id, "run_id": "x"}
    for response in (
        restricted.write("pause_dag", dag_id=dag_id),
        restricted.write("unpause_dag", dag_id=dag_id),
        restricted.write("trigger_dag", dag_id=dag_id),
        restricted.read("dag_state", **run),
        restricted.read("task_state", **run, task_id="only"),
        restricted.legacy("pause", dag_id=dag_id),
        restricted.legacy("trigger_dag", dag_id=dag_id),
        restricted.legacy("dag_state", **run),
        restricted.legacy("task_state", **run, task_id="only"),
    ):
        assert "permission to" in response.refusal(403)


@with_fab
@ITS_OWN
def test_a_restricted_role_cannot_read_variables(restricted: Client, dag_id: str) -> None:
    restricted.read("get_variable", key=dag_id).refusal(403)
    restricted.legacy("variables", get=dag_id).refusal(403)


@with_fab
def test_a_role_without_permissions_can_do_nothing(server: Server) -> None:
    nobody = server.user("nobody")
    for calls in OPERATIONS.values():
        for call in calls:
            assert "permission to" in call(nobody).refusal(403)


@on("2.7", "2.11", "3.0", "3.3")
@pytest.mark.parametrize("dag_id", ["unknown", "team.unknown", "a.b.c.", "."])
def test_an_unknown_dag_is_not_found(server: Server, dag_id: str) -> None:
    """For a caller who can read every DAG."""
    admin = server.user("admin")
    run = {"dag_id": dag_id, "run_id": "x"}
    for response in (
        admin.write("pause_dag", dag_id=dag_id),
        admin.write("trigger_dag", dag_id=dag_id),
        admin.read("dag_state", **run),
        admin.read("task_state", **run, task_id="only"),
        admin.legacy("pause", dag_id=dag_id),
        admin.legacy("dag_state", **run),
    ):
        assert dag_id in response.refusal(404, 400)
