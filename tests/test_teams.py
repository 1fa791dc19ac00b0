"""Airflow's multi-team mode: resources of a team are for its members only."""

from __future__ import annotations

import json
from typing import Any, Iterator

import pytest

import native_api
from tests.support.airflow_under_test import BROKEN, audit_rows, has_fab, session, store_import_error, version
from tests.support.problems import assert_problem

pytestmark = [
    pytest.mark.skipif(version() < (3, 2), reason="Teams came with Airflow 3.2."),
    pytest.mark.skipif(version() >= (3, 2) and has_fab(), reason="FAB knows no teams."),
]

KINDS = {"variable": "key", "connection": "conn_id", "pool": "name"}


@pytest.fixture
def teams(web: Any, monkeypatch: Any) -> Iterator[Any]:
    """Return the web application with one resource of each kind for everybody, and one of the team ``blue``."""
    from airflow.models.connection import Connection
    from airflow.models.pool import Pool
    from airflow.models.team import Team
    from airflow.models.variable import Variable
    from sqlalchemy import delete, update

    monkeypatch.setenv("AIRFLOW__CORE__MULTI_TEAM", "True")
    for name in ("common", "blues"):
        native_api.call("set_variable", key=name, value="v")
        native_api.call("add_connection", conn_id=name, conn_type="http")
        native_api.call("set_pool", name=name, slots=1)
    with session() as opened:
        opened.add(Team(name="blue"))
        opened.flush()
        for model, column in ((Variable, Variable.key), (Connection, Connection.conn_id), (Pool, Pool.pool)):
            opened.execute(update(model).where(column == "blues").values(team_name="blue"))
    yield web
    with session() as opened:
        for model in (Variable, Connection):
            opened.execute(delete(model))
        opened.execute(delete(Pool).where(Pool.pool == "blues"))
        opened.execute(delete(Team))


@pytest.mark.parametrize("kind", KINDS)
class TestOfAnotherTeam:
    """``op`` is in no team, ``admin`` sees everything."""

    def test_lists_omit_resources_of_other_teams(self, teams: Any, kind: str) -> None:
        def names(login: str) -> Any:
            listed = teams.typed(f"list_{kind}s", login=login).json[f"{kind}s"]
            return {thing[KINDS[kind]] for thing in listed} - {"default_pool"}

        assert names("op") == {"common"}
        assert names("admin") == names("token") == {"common", "blues"}

    def test_a_resource_of_another_team_is_403(self, teams: Any, kind: str) -> None:
        assert teams.typed(f"get_{kind}", login="op", **{KINDS[kind]: "common"}).status == 200
        assert_problem(teams.typed(f"get_{kind}", login="op", **{KINDS[kind]: "blues"}), 403)
        assert_problem(teams.typed(f"delete_{kind}", login="op", **{KINDS[kind]: "blues"}), 403)
        assert teams.typed(f"get_{kind}", login="admin", **{KINDS[kind]: "blues"}).status == 200
        assert teams.typed(f"delete_{kind}", login="admin", **{KINDS[kind]: "blues"}).status == 200


@pytest.mark.parametrize(
    "kind, operation, arguments",
    [
        pytest.param("variable", "set_variable", {"key": "blues", "value": "x"}, id="set a variable"),
        pytest.param("variable", "import_variables", {"variables": {"blues": "x", "new": "x"}}, id="import variables"),
        pytest.param(
            "connection", "add_connection", {"conn_id": "blues", "conn_type": "fs", "replace": True}, id="a connection"
        ),
        pytest.param("pool", "set_pool", {"name": "blues", "slots": 2}, id="set a pool"),
        pytest.param(
            "connection", "import_connections", {"connections": {"blues": "fs://", "new": "fs://"}}, id="connections"
        ),
        pytest.param("pool", "import_pools", {"pools": {"blues": {"slots": 2, "team_name": "blue"}}}, id="pools"),
    ],
)
def test_a_changed_resource_keeps_its_team(teams: Any, kind: str, operation: str, arguments: Any) -> None:
    assert teams.typed(operation, login="admin", **arguments).status in (200, 201)
    assert team_of(kind, "blues") == "blue"
    assert team_of(kind, "common") is None


def test_a_resource_with_a_team_can_be_changed_without_multi_team(teams: Any, monkeypatch: Any) -> None:
    """Airflow refuses a team then."""
    monkeypatch.setenv("AIRFLOW__CORE__MULTI_TEAM", "False")
    assert teams.typed("set_variable", login="admin", key="blues", value="x").status == 200
    assert teams.typed("import_variables", login="admin", variables={"blues": "y"}).status == 200
    assert native_api.call("export_variables")["variables"]["blues"] == "y"


def team_of(kind: str, name: str) -> Any:
    """Return the stored team of a resource."""
    from sqlalchemy import text

    column = {"variable": '"key"', "connection": "conn_id", "pool": "pool"}[kind]
    table = {"pool": "slot_pool"}.get(kind, kind)
    with session() as opened:
        return opened.scalar(text(f"SELECT team_name FROM {table} WHERE {column} = :name"), {"name": name})


def test_an_export_omits_resources_of_other_teams(teams: Any) -> None:
    assert teams.typed("export_variables", login="op").json == {"variables": {"common": "v"}}
    assert set(teams.typed("export_variables", login="admin").json["variables"]) == {"common", "blues"}
    assert set(teams.typed("export_connections", login="op").json["connections"]) == {"common"}
    assert set(teams.typed("export_connections", login="admin").json["connections"]) == {"common", "blues"}
    assert set(teams.typed("export_pools", login="op").json["pools"]) == {"common", "default_pool"}
    assert teams.typed("export_pools", login="admin").json["pools"]["blues"]["team_name"] == "blue"


@pytest.mark.parametrize("noun, entry", [("connections", "fs://"), ("pools", {"slots": 5})])
def test_an_import_over_a_resource_of_another_team_is_refused(teams: Any, noun: str, entry: Any) -> None:
    before = native_api.call(f"export_{noun}")
    assert_problem(teams.typed(f"import_{noun}", login="op", **{noun: {"a_new": entry, "blues": entry}}), 403)
    assert native_api.call(f"export_{noun}") == before


def test_an_import_into_another_team_is_refused(teams: Any) -> None:
    """Nothing is imported."""
    response = teams.typed("import_variables", login="op", variables={"a_new": "x", "blues": "x", "common": "x"})
    assert_problem(response, 403)
    assert native_api.call("export_variables")["variables"] == {"common": "v", "blues": "v"}


class TestImportErrors:
    """Import errors of files without DAGs belong to the team of their bundle."""

    def seen(self, teams: Any, login: str) -> Any:
        response = teams.typed("list_import_errors", login=login, filename_pattern=BROKEN).json
        return {error["filename"].rsplit("/", 1)[-1]: error["stack_trace"] for error in response["import_errors"]}

    @pytest.fixture
    def bundle(self, teams: Any) -> Any:
        """Return the bundle of a file without DAGs that has an import error; it belongs to no team."""
        store_import_error("a.py")
        (error,) = native_api.call("list_import_errors", filename_pattern=BROKEN)["import_errors"]
        return error["bundle_name"]

    def test_those_of_no_team_are_for_everybody(self, teams: Any, bundle: str) -> None:
        assert self.seen(teams, "op") == self.seen(teams, "admin") == {"a.py": "Traceback of a.py"}

    def test_those_of_another_team_are_omitted(self, teams: Any, bundle: str) -> None:
        from airflow.models.team import dag_bundle_team_association_table as table

        with session() as opened:
            opened.execute(table.insert().values(dag_bundle_name=bundle, team_name="blue"))
        try:
            assert self.seen(teams, "op") == {}
            assert self.seen(teams, "admin") == {"a.py": "Traceback of a.py"}
        finally:
            with session() as opened:
                opened.execute(table.delete())


def test_lists_omit_dags_of_another_team(teams: Any) -> None:
    """They are in the bundle of a team."""
    from airflow.models.dag import DagModel
    from airflow.models.team import dag_bundle_team_association_table as table
    from sqlalchemy import select

    native_api.call("trigger_dag", dag_id="wire_dag", run_id="r")

    def seen(login: str) -> Any:
        lists = (("list_dags", "dags"), ("list_dag_runs", "dag_runs"))
        responses = [(teams.typed(operation, login=login, limit=1000).json, rows) for operation, rows in lists]
        return [{row["dag_id"] for row in response[rows]} for response, rows in responses]

    assert seen("op") == seen("admin") and {"wire_dag"} == seen("op")[1]
    with session() as opened:
        bundle = opened.scalar(select(DagModel.bundle_name).where(DagModel.dag_id == "wire_dag"))
        opened.execute(table.insert().values(dag_bundle_name=bundle, team_name="blue"))
    try:
        assert not any("wire_dag" in rows for rows in seen("op"))
        assert all("wire_dag" in rows for rows in seen("admin"))
    finally:
        with session() as opened:
            opened.execute(table.delete())


@pytest.mark.parametrize("login, seen", [("op", {"common_password", "common_token"}), ("admin", None)])
def test_exported_secrets_require_permission_to_edit_each(teams: Any, login: str, seen: Any) -> None:
    """One row of the audit log names all disclosed ones."""
    for key in ("common_password", "common_token", "blue_password"):
        native_api.call("set_variable", key=key, value="s3cr3t")
        native_api.call("add_connection", conn_id=key, conn_type="http", password="s3cr3t")
    with session() as opened:
        from airflow.models.connection import Connection
        from airflow.models.variable import Variable
        from sqlalchemy import update

        for model, column in ((Variable, Variable.key), (Connection, Connection.conn_id)):
            opened.execute(update(model).where(column == "blue_password").values(team_name="blue"))
    expected = seen or {"common_password", "common_token", "blue_password"}
    for operation, noun in (("export_variables", "variables"), ("export_connections", "connections")):
        response = teams.typed(operation, login=login)
        assert response.status == 200
        assert {name for name in response.json[noun] if "_" in name} == expected
        assert set(json.loads(audit_rows()[-1].extra)["disclosed"]) == expected
