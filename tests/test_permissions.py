"""The permissions of operations by role and auth manager."""

from __future__ import annotations

import dataclasses
from typing import Any, Dict

import pytest
from sqlalchemy import text

import native_api
from native_api import errors, registry
from native_api.adapters.sandbox import client
from native_api.effects import Effect
from native_api.permissions import Access, Resource
from tests.support import airflow_under_test
from tests.support.auth_managers import USER
from tests.support.examples import example
from tests.support.problems import assert_problem

FAB = "fab"
SIMPLE = "simple"
#: Where the roles had other rights before 2.8.
FAB_27 = "fab of Airflow 2.7"

#: The statuses for admin, op, user, viewer.
OUTCOMES: Dict[str, Dict[str, str]] = {
    "start_daemon": {FAB: "201 403 403 403", SIMPLE: "201 403 403 403"},
    "daemon_state": {FAB: "200 403 403 403", SIMPLE: "200 403 403 403"},
    "list_daemons": {FAB: "200 403 403 403", SIMPLE: "200 403 403 403"},
    "daemon_log": {FAB: "200 403 403 403", SIMPLE: "200 403 403 403"},
    "stop_daemon": {FAB: "200 403 403 403", SIMPLE: "200 403 403 403"},
    "render_task": {FAB: "200 200 200 403", SIMPLE: "200 200 200 403"},
    "test_task": {FAB: "200 200 200 403", SIMPLE: "200 200 200 403"},
    "run_task": {FAB: "200 200 200 403", SIMPLE: "200 200 200 403"},
    "refresh_dag": {FAB: "200 200 200 403", SIMPLE: "200 200 200 403"},
    "refresh_all_dags": {FAB: "200 200 200 403", SIMPLE: "200 200 200 403"},
    "deploy_dag": {FAB: "200 403 403 403", SIMPLE: "200 403 403 403"},
    "list_deployments": {FAB: "200 403 403 403", SIMPLE: "200 403 403 403"},
    "rollback_dag": {FAB: "200 403 403 403", SIMPLE: "200 403 403 403"},
    "delete_dag_file": {FAB: "200 403 403 403", SIMPLE: "200 403 403 403"},
    "dag_report": {FAB: "200 200 200 403", SIMPLE: "200 200 200 403"},
    "job_state": {FAB: "200 404 404 404", SIMPLE: "200 404 404 404"},
    "list_jobs": {FAB: "200 200 200 200", SIMPLE: "200 200 200 200"},
    "cancel_job": {FAB: "200 404 404 404", SIMPLE: "200 404 404 404"},
    "version": {FAB: "200 200 200 200", SIMPLE: "200 200 200 200"},
    "plugin_version": {FAB: "200 200 200 200", SIMPLE: "200 200 200 200"},
    "list_dags": {FAB: "200 200 200 200", SIMPLE: "200 200 200 200"},
    "pause_dag": {FAB: "200 200 200 403", SIMPLE: "200 200 200 403"},
    "unpause_dag": {FAB: "200 200 200 403", SIMPLE: "200 200 200 403"},
    "backfill_dag": {FAB: "200 200 200 403", SIMPLE: "200 200 200 403"},
    "backfill_state": {FAB: "200 200 200 200", SIMPLE: "200 200 200 200"},
    "list_backfills": {FAB: "200 200 200 200", SIMPLE: "200 200 200 200"},
    "cancel_backfill": {FAB: "200 200 200 403", SIMPLE: "200 200 200 403"},
    "trigger_dag": {FAB: "201 201 201 403", SIMPLE: "201 201 201 403"},
    "dag_state": {FAB: "200 200 200 200", SIMPLE: "200 200 200 200"},
    "task_state": {FAB: "200 200 200 200", SIMPLE: "200 200 200 200"},
    "list_tasks": {FAB: "200 200 200 200", SIMPLE: "200 200 200 200"},
    "list_dag_runs": {FAB: "200 200 200 200", SIMPLE: "200 200 200 200"},
    "list_task_instances": {FAB: "200 200 200 200", SIMPLE: "200 200 200 200"},
    "rendered_fields": {FAB: "200 200 200 200", SIMPLE: "200 200 200 200"},
    "task_failed_deps": {FAB: "200 200 200 200", SIMPLE: "200 200 200 200"},
    "task_log": {FAB: "200 200 200 200", SIMPLE: "200 200 200 200"},
    "dag_source": {FAB: "200 200 200 200", SIMPLE: "200 200 200 200"},
    "list_import_errors": {FAB: "200 200 200 200", SIMPLE: "200 200 200 200"},
    "dag_details": {FAB: "200 200 200 200", SIMPLE: "200 200 200 200"},
    "list_xcoms": {FAB: "200 200 200 200", SIMPLE: "200 200 200 200"},
    "get_xcom": {FAB: "200 200 200 200", SIMPLE: "200 200 200 200"},
    "health": {FAB: "200 200 200 200", SIMPLE: "200 200 200 200"},
    "clear_tasks": {FAB: "200 200 200 403", SIMPLE: "200 200 200 403"},
    "set_task_state": {FAB: "200 200 200 403", SIMPLE: "200 200 200 403"},
    "set_dag_run_state": {FAB: "200 200 200 403", SIMPLE: "200 200 200 403"},
    "delete_dag": {FAB: "200 200 200 403", SIMPLE: "200 200 200 403"},
    "delete_dag_run": {FAB: "200 200 200 403", SIMPLE: "200 200 200 403"},
    "set_variable": {FAB: "200 200 403 403", SIMPLE: "200 200 403 403"},
    "get_variable": {FAB: "200 200 403 403", SIMPLE: "200 200 403 403"},
    "list_variables": {FAB: "200 200 403 403", SIMPLE: "200 200 403 403"},
    "delete_variable": {FAB: "200 200 403 403", SIMPLE: "200 200 403 403"},
    "import_variables": {FAB: "201 201 403 403", SIMPLE: "201 201 403 403"},
    "export_variables": {FAB: "200 200 403 403", SIMPLE: "200 200 403 403"},
    "save_variables": {FAB: "200 200 403 403", SIMPLE: "200 200 403 403"},
    "set_pool": {FAB: "200 200 403 403", SIMPLE: "200 200 403 403"},
    "get_pool": {FAB: "200 200 200 200", SIMPLE: "200 200 200 200", FAB_27: "200 200 403 403"},
    "import_pools": {FAB: "201 201 403 403", SIMPLE: "201 201 403 403"},
    "export_pools": {FAB: "200 200 200 200", SIMPLE: "200 200 200 200", FAB_27: "200 200 403 403"},
    "import_connections": {FAB: "201 201 403 403", SIMPLE: "201 201 403 403"},
    "export_connections": {FAB: "200 200 403 403", SIMPLE: "200 200 403 403"},
    "list_pools": {FAB: "200 200 200 200", SIMPLE: "200 200 200 200", FAB_27: "200 200 403 403"},
    "delete_pool": {FAB: "200 200 403 403", SIMPLE: "200 200 403 403"},
    "list_connections": {FAB: "200 200 403 403", SIMPLE: "200 200 403 403"},
    "get_connection": {FAB: "200 200 403 403", SIMPLE: "200 200 403 403"},
    "add_connection": {FAB: "201 201 403 403", SIMPLE: "201 201 403 403"},
    "delete_connection": {FAB: "200 200 403 403", SIMPLE: "200 200 403 403"},
}


#: The class that knows users here.
RIGHTS = "airflow2.rights.Rights2" if airflow_under_test.version() < (3, 0) else "airflow3.rights.Rights3"


def user_id(login: str) -> str:
    """Return the user id of the auth manager."""
    if not airflow_under_test.has_fab():
        return login
    with airflow_under_test.session() as session:
        return str(session.scalar(text("SELECT id FROM ab_user WHERE username = :login"), {"login": login}))


def test_the_table_has_every_operation() -> None:
    assert set(OUTCOMES) == {operation.name for operation in registry.every()}
    of_admin = {row[:3] for outcomes in OUTCOMES.values() for row in outcomes.values()}
    assert of_admin == {"200", "201"}


# An administrator may do everything: test_contract.py calls it all as one.
@pytest.mark.parametrize("place, login", enumerate(["op", "user", "viewer"], 1))
@pytest.mark.parametrize("name", sorted(OUTCOMES))
def test_a_role_has_the_permissions_of_the_table(world: Any, name: str, place: int, login: str, mocker: Any) -> None:
    """No job runs: a permitted one finds no sandbox."""
    unavailable = mocker.patch.object(client, "begin", side_effect=errors.SandboxUnavailable("it is a test."))
    manager = FAB if airflow_under_test.has_fab() else SIMPLE
    if airflow_under_test.version() == (2, 7) and FAB_27 in OUTCOMES[name]:
        manager = FAB_27
    expected = int(OUTCOMES[name][manager].split()[place])
    response = world.typed(name, login=login, **example(registry.get(name)))
    if expected == 403:
        assert_problem(response, 403)
        assert response.json["permission"] in response.json["detail"]
    else:
        assert response.status == (503 if unavailable.called else expected), response.text


def test_a_missing_permission_is_403_in_the_old_protocol(web: Any) -> None:
    response = web.legacy("variables", login="viewer", get="k")
    assert (response.status, response.json["status"]) == (403, "ERROR")
    assert response.json["output"] == "This requires the permission to read the variable 'k'."


def test_a_refused_write_changes_nothing(web: Any) -> None:
    """The audit log has no row."""
    response = web.typed("trigger_dag", login="viewer", dag_id="wire_dag", run_id="r")
    assert_problem(response, 403)
    assert airflow_under_test.audit_rows() == []
    assert_problem(web.typed("dag_state", dag_id="wire_dag", run_id="r"), 404)


def test_setting_a_new_variable_requires_permission_to_create(web: Any, mocker: Any) -> None:
    """Permission to edit is enough for existing ones."""
    mocker.patch(
        f"{USER}.may",
        lambda self, access, identifier=None: access.method == "PUT",
    )
    native_api.call("set_variable", key="old", value="1")
    assert web.typed("set_variable", login="user", key="old", value="2").status == 200
    response = web.typed("set_variable", login="user", key="new", value="2")
    assert_problem(response, 403)
    assert response.json["permission"] == "create the variable 'new'"


class TestEffects:
    """
    The options that enable effects, and those that require an administrator; tested with an operation without other
    permissions.
    """

    @pytest.fixture(params=["execute", "deploy", "daemon"])
    def effect(self, request: Any, monkeypatch: Any) -> Effect:
        effect = Effect(request.param)
        registered = dataclasses.replace(registry.get("version"), effect=effect)
        monkeypatch.setitem(registry._OPERATIONS, "version", registered)
        return effect

    #: The statuses for the token, admin, op, user, viewer; the same with every auth manager.
    OUTCOMES = {
        Effect.EXECUTE: "200 200 200 200 200",
        Effect.DEPLOY: "200 200 403 403 403",
        Effect.DAEMON: "200 200 403 403 403",
    }

    @pytest.mark.parametrize("place, login", enumerate(["token", "admin", "op", "user", "viewer"]))
    def test_a_role_can_use_the_effects_of_the_table(self, web: Any, effect: Effect, place: int, login: str) -> None:
        response = web.typed("version", login=login)
        assert response.status == int(self.OUTCOMES[effect].split()[place])
        if response.status == 403:
            assert response.json["permission"] == f"{effect.doing} as an administrator of Airflow"
            assert airflow_under_test.audit_rows() == []

    @pytest.mark.parametrize("login", ["token", "admin"])
    def test_a_disabled_effect_is_refused_with_the_option(
        self, web: Any, effect: Effect, monkeypatch: Any, login: str
    ) -> None:
        """Except to the Python API."""
        option = "allow_daemons" if effect is Effect.DAEMON else f"allow_{effect.value}"
        monkeypatch.setenv(f"AIRFLOW__NATIVE_API__{option.upper()}", "False")
        response = web.typed("version", login=login)
        assert_problem(response, 403)
        assert response.json["option"] == f"[native_api] {option}"
        assert option in response.json["detail"]
        assert web.legacy("version", login=login).status == 403
        assert native_api.call("version")

    def test_the_token_needs_the_effect(self, web: Any, effect: Effect, monkeypatch: Any) -> None:
        monkeypatch.setenv("AIRFLOW__NATIVE_API__TOKEN_EFFECTS", "read,write")
        response = web.typed("version")
        assert_problem(response, 403)
        assert response.json["option"] == "[native_api] token_effects"

    @pytest.mark.parametrize("effect", ["deploy", "daemon"], indirect=True)
    def test_another_auth_manager_uses_the_option_administrators(
        self, web: Any, effect: Effect, monkeypatch: Any, mocker: Any
    ) -> None:
        """Its roles are unknown."""
        mocker.patch("native_api.adapters.compat.interface.rights.Rights._administers", return_value=None)
        assert_problem(web.typed("version", login="admin"), 403)
        monkeypatch.setenv("AIRFLOW__NATIVE_API__ADMINISTRATORS", f"ada, {user_id('viewer')}")
        assert_problem(web.typed("version", login="admin"), 403)
        assert web.typed("version", login="viewer").status == 200

    @pytest.mark.parametrize("effect", ["deploy"], indirect=True)
    def test_administrators_are_identified_by_id(self, web: Any, effect: Effect, monkeypatch: Any, mocker: Any) -> None:
        """A user can choose a display name."""
        mocker.patch("native_api.adapters.compat.interface.rights.Rights._administers", return_value=None)
        mocker.patch(f"native_api.adapters.compat.{RIGHTS}.name_of", return_value="ada")
        monkeypatch.setenv("AIRFLOW__NATIVE_API__ADMINISTRATORS", "ada")
        assert_problem(web.typed("version", login="viewer"), 403)


class TestReadingAsAdministrator:
    """Permission to read resources that auth managers do not have."""

    @pytest.fixture(params=[Resource.DAEMON, Resource.DEPLOYMENT], autouse=True)
    def resource(self, request: Any, monkeypatch: Any) -> Resource:
        registered = dataclasses.replace(registry.get("version"), access=(Access(request.param, "GET"),))
        monkeypatch.setitem(registry._OPERATIONS, "version", registered)
        resource: Resource = request.param
        return resource

    @pytest.mark.parametrize(
        "login, status", [("token", 200), ("admin", 200), ("op", 403), ("user", 403), ("viewer", 403)]
    )
    def test_only_administrators_can_read_them(self, web: Any, resource: Resource, login: str, status: int) -> None:
        response = web.typed("version", login=login)
        assert response.status == status
        if status == 403:
            assert response.json["permission"] == f"read the {resource.noun}s as an administrator of Airflow"

    def test_they_belong_to_no_team(self, web: Any, resource: Resource, monkeypatch: Any) -> None:
        """On Airflow 3.2 and later."""
        monkeypatch.setenv("AIRFLOW__CORE__MULTI_TEAM", "True")
        assert [web.typed("version", login=login).status for login in ("admin", "op", "viewer")] == [200, 403, 403]

    @pytest.mark.parametrize("login", ["token", "admin"])
    def test_they_cannot_be_read_if_the_effect_is_disabled(
        self, web: Any, resource: Resource, monkeypatch: Any, login: str
    ) -> None:
        option = "allow_daemons" if resource is Resource.DAEMON else "allow_deploy"
        monkeypatch.setenv(f"AIRFLOW__NATIVE_API__{option.upper()}", "False")
        response = web.typed("version", login=login)
        assert_problem(response, 403)
        assert response.json["option"] == f"[native_api] {option}"
        assert native_api.call("version")

    def test_the_token_needs_the_effect(self, web: Any, monkeypatch: Any) -> None:
        monkeypatch.setenv("AIRFLOW__NATIVE_API__TOKEN_EFFECTS", "read,write,execute")
        response = web.typed("version")
        assert_problem(response, 403)
        assert response.json["option"] == "[native_api] token_effects"


@pytest.mark.parametrize("name", ["native_api token", "this process"])
def test_the_audit_log_distinguishes_users_from_other_callers(web: Any, mocker: Any, name: str) -> None:
    """A user can be named like the static token or the Python API."""
    mocker.patch(f"native_api.adapters.compat.{RIGHTS}.name_of", return_value=name)
    web.typed("set_variable", login="admin", key="k", value="v")
    (row,) = airflow_under_test.audit_rows()
    assert row.owner == f"{name} (user {user_id('admin')})"


@pytest.mark.parametrize("pool", ["default_pool", "nowhere"])
def test_running_a_task_in_a_pool_requires_permission_to_read_the_pool(web: Any, mocker: Any, pool: str) -> None:
    """Otherwise an error would show whether the pool exists."""
    mocker.patch(
        f"{USER}.may",
        lambda self, access, identifier=None: access.resource is not Resource.POOL,
    )
    named = {"dag_id": "wire_dag", "task_id": "t", "logical_date": "2026-11-01", "pool": pool}
    response = web.typed("run_task", login="user", **named)
    assert_problem(response, 403)
    assert response.json["permission"] == f"read the pool '{pool}'"


class TestSomeDagsOnly:
    """A caller who can read two DAGs."""

    @pytest.fixture
    def restricted(self, web: Any, mocker: Any) -> Any:
        allowed = {"wire_dag", "mapped"}
        mocker.patch(f"{USER}.may", lambda self, access, dag_id=None: dag_id in allowed)
        mocker.patch(f"{USER}.dag_ids", lambda self, access: allowed)
        return web

    def test_lists_have_readable_dags_only(self, restricted: Any) -> None:
        response = restricted.typed("list_dags", login="viewer").json
        assert [dag["dag_id"] for dag in response["dags"]] == ["mapped", "wire_dag"]
        assert response["total_entries"] == 2
        assert (
            restricted.legacy("list_dags", login="viewer").json["output"]["stdout"].endswith("\nmapped\nwire_dag\n\n")
        )

    def test_a_list_is_403_without_any_readable_dag(self, restricted: Any, mocker: Any) -> None:
        mocker.patch(f"{USER}.dag_ids", lambda self, access: set())
        assert_problem(restricted.typed("list_dags", login="viewer"), 403)

    def test_a_hidden_dag_and_a_missing_one_have_the_same_error(self, restricted: Any) -> None:
        hidden = restricted.typed("dag_state", login="viewer", dag_id="failing", run_id="r").json
        missing = restricted.typed("dag_state", login="viewer", dag_id="failinx", run_id="r").json
        assert hidden["status"] == missing["status"] == 403
        assert hidden["detail"].replace("failing", "failinx") == missing["detail"]


class TestTheToken:
    def test_it_can_read_write_and_execute_by_default(self, web: Any) -> None:
        assert web.typed("set_variable", key="k", value="v").status == 201
        assert airflow_under_test.audit_rows()[0].owner == "native_api token"

    def test_it_is_limited_to_token_effects(self, web: Any, monkeypatch: Any) -> None:
        monkeypatch.setenv("AIRFLOW__NATIVE_API__TOKEN_EFFECTS", "read")
        assert web.typed("list_dags").status == 200
        response = web.typed("set_variable", key="k", value="v")
        assert_problem(response, 403)
        assert response.json["option"] == "[native_api] token_effects"
        assert web.typed("set_variable", login="admin", key="k", value="v").status == 201

    @pytest.mark.parametrize("header", ["rest-api-plugin-http-token", "Rest_Api_Plugin_Http_Token"])
    def test_the_header_can_have_hyphens_or_underscores(self, web: Any, header: str) -> None:
        response = web.request("GET", "/native_api/v1/version", login=None, headers={header: airflow_under_test.TOKEN})
        assert response.status == 200

    @pytest.mark.parametrize("token", ["", "x", "ü", airflow_under_test.TOKEN + "x", airflow_under_test.TOKEN[:-1]])
    def test_a_wrong_token_is_401(self, web: Any, token: str) -> None:
        headers = {"rest-api-plugin-http-token": token}
        assert_problem(web.request("GET", "/native_api/v1/version", login=None, headers=headers), 401)

    def test_the_header_is_ignored_if_no_token_is_configured(self, web: Any, monkeypatch: Any) -> None:
        monkeypatch.setenv("AIRFLOW__REST_API_PLUGIN__REST_API_PLUGIN_EXPECTED_HTTP_TOKEN", "")
        assert_problem(web.typed("version"), 401)
        headers = {"rest-api-plugin-http-token": ""}
        assert_problem(web.request("GET", "/native_api/v1/version", login=None, headers=headers), 401)

    def test_our_section_has_priority_over_the_old_one(self, web: Any, monkeypatch: Any) -> None:
        monkeypatch.setenv("AIRFLOW__NATIVE_API__REST_API_PLUGIN_EXPECTED_HTTP_TOKEN", "new")
        assert_problem(web.typed("version"), 401)
        headers = {"rest-api-plugin-http-token": "new"}
        assert web.request("GET", "/native_api/v1/version", login=None, headers=headers).status == 200

    def test_the_header_can_be_configured(self, web: Any, monkeypatch: Any) -> None:
        monkeypatch.setenv("AIRFLOW__REST_API_PLUGIN__REST_API_PLUGIN_HTTP_TOKEN_HEADER_NAME", "x_my_token")
        assert_problem(web.typed("version"), 401)
        headers = {"X-My-Token": airflow_under_test.TOKEN}
        assert web.request("GET", "/native_api/v1/version", login=None, headers=headers).status == 200
