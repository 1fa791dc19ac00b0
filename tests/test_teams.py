"""Airflow's multi-team mode: things that belong to a team are only for those who are in it."""

from __future__ import annotations

from typing import Any, Iterator

import pytest

import native_api
from tests.airflow_under_test import has_fab, session, version
from tests.test_contract import is_problem

pytestmark = [
    pytest.mark.skipif(version() < (3, 2), reason="Teams came with Airflow 3.2."),
    pytest.mark.skipif(version() >= (3, 2) and has_fab(), reason="FAB knows no teams."),
]

KINDS = {"variable": "key", "connection": "conn_id", "pool": "name"}


@pytest.fixture
def teams(web: Any, monkeypatch: Any) -> Iterator[Any]:
    """Return the web application with a thing of each kind for everybody, and one for the team ``blue``."""
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
    """``op`` is in no team, ``admin`` sees all."""

    def test_lists(self, teams: Any, kind: str) -> None:
        def names(login: str) -> Any:
            listed = teams.typed(f"list_{kind}s", login=login).json[f"{kind}s"]
            return {thing[KINDS[kind]] for thing in listed} - {"default_pool"}

        assert names("op") == {"common"}
        assert names("admin") == names("token") == {"common", "blues"}

    def test_one(self, teams: Any, kind: str) -> None:
        assert teams.typed(f"get_{kind}", login="op", **{KINDS[kind]: "common"}).status == 200
        is_problem(teams.typed(f"get_{kind}", login="op", **{KINDS[kind]: "blues"}), 403)
        is_problem(teams.typed(f"delete_{kind}", login="op", **{KINDS[kind]: "blues"}), 403)
        assert teams.typed(f"get_{kind}", login="admin", **{KINDS[kind]: "blues"}).status == 200
        assert teams.typed(f"delete_{kind}", login="admin", **{KINDS[kind]: "blues"}).status == 200


def test_an_export_has_what_the_caller_may_read(teams: Any) -> None:
    assert teams.typed("export_variables", login="op").json == {"variables": {"common": "v"}}
    assert set(teams.typed("export_variables", login="admin").json["variables"]) == {"common", "blues"}


def test_an_import_into_another_team_is_refused(teams: Any) -> None:
    answer = teams.typed("import_variables", login="op", variables={"blues": "x", "common": "x"})
    is_problem(answer, 403)
    assert native_api.call("export_variables")["variables"] == {"common": "v", "blues": "v"}
