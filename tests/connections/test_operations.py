"""list_connections, get_connection, add_connection, delete_connection."""

from __future__ import annotations

import json
from typing import Any, Dict

import pytest

import native_api
from native_api import errors
from tests.support.airflow_under_test import version
from tests.support.auth_managers import USER
from tests.support.connections import FIELDS, add, get, listed
from tests.support.problems import assert_problem


def wrong(**said: Any) -> Dict[str, Any]:
    """Return what is wrong with each field, and assert that nothing was stored."""
    with pytest.raises(errors.Invalid) as caught:
        add(**{"conn_id": "c", **said})
    assert "hunter2" not in str(caught.value)
    assert listed() == []
    return caught.value.errors


class TestAdd:
    def test_fields_survive_the_round_trip(self, fresh: Any) -> None:
        add(**FIELDS)
        assert {name: get()[name] for name in FIELDS} == FIELDS

    def test_the_type_is_enough(self, fresh: Any) -> None:
        add(conn_type="http")
        assert get() == {
            "conn_id": "c",
            "conn_type": "http",
            **dict.fromkeys(("description", "host", "login", "password", "schema", "port", "extra")),
            "is_encrypted": False,
            "is_extra_encrypted": False,
        }

    def test_a_uri_is_read_as_airflow_reads_it(self, fresh: Any) -> None:
        add(conn_uri="postgresql://ada:p%40ss@db:5432/main?sslmode=require", description="d")
        connection = get()
        assert (connection["conn_type"], connection["host"], connection["port"]) == ("postgres", "db", 5432)
        assert (connection["login"], connection["password"], connection["schema"]) == ("ada", "p@ss", "main")
        assert json.loads(connection["extra"]) == {"sslmode": "require"}
        assert connection["description"] == "d"

    @pytest.mark.parametrize(
        "uri, host",
        [
            ("http://https%3A%2F%2Fh", "https://h"),
            ("http://https://h/", "https://h"),
            ("google-cloud-platform://", ""),
            ("aws://key:secret@/?region=x", ""),
        ],
    )
    def test_uris_of_all_kinds(self, fresh: Any, uri: str, host: str) -> None:
        assert add(conn_uri=uri)["host"] == host

    @pytest.mark.parametrize("extra", [{"a": {"b": [1, None]}}, '{"a": {"b": [1, null]}}'])
    def test_extra_as_object_or_text(self, web: Any, extra: Any) -> None:
        assert web.typed("add_connection", conn_id="c", conn_type="http", extra=extra).status == 201
        assert json.loads(get()["extra"]) == {"a": {"b": [1, None]}}

    @pytest.mark.parametrize("extra", ["", " ", None])
    def test_no_extra(self, fresh: Any, extra: Any) -> None:
        assert add(conn_type="http", extra=extra)["extra"] is None

    def test_extra_beside_a_uri(self, fresh: Any) -> None:
        """As ``airflow connections add`` takes it."""
        add(conn_uri="http://h/?a=1", extra={"b": 2})
        assert json.loads(get()["extra"]) == {"b": 2}

    @pytest.mark.parametrize("conn_id", ["a", "A.b-c_1", "x" * 250])
    def test_ids(self, web: Any, conn_id: str) -> None:
        assert web.typed("add_connection", conn_id=conn_id, conn_type="http").status == 201
        assert web.typed("get_connection", conn_id=conn_id).json["conn_id"] == conn_id

    @pytest.mark.parametrize("conn_id", ["", " ", "a b", "a/b", "ключ", "a\n", "a'", "x" * 251, None, 3])
    def test_bad_ids(self, fresh: Any, conn_id: Any) -> None:
        assert list(wrong(conn_id=conn_id, conn_type="http")) == ["conn_id"]

    @pytest.mark.parametrize(
        "uri",
        [
            "",
            "nothing",
            "//host",
            "://host",
            "mailto:ada",
            "google_cloud_platform://h",
            "postgres://ada:hunter2/@db",
            "postgres://ada:hunter2?@db",
            "postgres://db:99999",
            "postgres://[::1",
            "postgres://ada:hunter2@db\n",
            "http://ada:hunter2@h/?next=https://x",
            "a://b://c://d",
            "http://h/?__extra__=hunter2",
            "http://h/?__extra__=[1]",
            None,
            3,
        ],
    )
    def test_bad_uris(self, fresh: Any, uri: Any) -> None:
        """They are 422 on every Airflow, and no part of one is said again."""
        assert list(wrong(conn_uri=uri)) == ["conn_uri"]

    @pytest.mark.parametrize(
        "extra", ["hunter2", "[1]", "1", "null", '{"a": NaN}', "{'a': 1}", "[" * 100000, [1], 1, True]
    )
    def test_bad_extras(self, fresh: Any, extra: Any) -> None:
        assert list(wrong(conn_type="http", extra=extra)) == ["extra"]

    @pytest.mark.parametrize("port", [-1, 65536, "x", 1.5, True])
    def test_bad_ports(self, fresh: Any, port: Any) -> None:
        assert list(wrong(conn_type="http", port=port)) == ["port"]

    @pytest.mark.parametrize("name", ["conn_type", "host", "schema"])
    def test_what_does_not_fit(self, fresh: Any, name: str) -> None:
        assert list(wrong(**{"conn_type": "http", name: "x" * 501})) == [name]

    def test_what_does_not_fit_in_a_uri(self, fresh: Any) -> None:
        assert list(wrong(conn_uri=f"http://{'h' * 501}")) == ["host"]

    @pytest.mark.parametrize("name", ["conn_type", "host", "login", "password", "schema", "port"])
    def test_a_uri_and_a_field(self, fresh: Any, name: str) -> None:
        assert list(wrong(conn_uri="http://h", **{name: FIELDS[name]})) == ["conn_uri"]

    @pytest.mark.parametrize("said", [{}, {"host": "h"}, {"conn_type": ""}, {"conn_type": None}])
    def test_neither_a_uri_nor_a_type(self, fresh: Any, said: Any) -> None:
        assert list(wrong(**said)) == ["conn_type"]


class TestReplace:
    def test_an_id_that_is_there(self, web: Any) -> None:
        """409, and the old one stays as it was."""
        add(**FIELDS)
        answer = web.typed("add_connection", conn_id="c", conn_type="http")
        assert_problem(answer, 409)
        assert answer.json["conn_id"] == "c"
        assert {name: get()[name] for name in FIELDS} == FIELDS

    def test_nothing_of_the_old_one_stays(self, web: Any) -> None:
        """Neither the password nor the extra, which Airflow's own setters leave where the new one has none."""
        add("before", conn_type="a")
        add(**FIELDS)
        add("after", conn_type="z")
        answer = web.typed("add_connection", conn_id="c", conn_type="http", replace=True)
        assert answer.status == 200
        left = get()
        assert [name for name in FIELDS if left[name] is not None] == ["conn_type"]
        assert (left["is_encrypted"], left["is_extra_encrypted"]) == (False, False)
        assert [c["conn_id"] for c in listed(order_by="id")] == ["before", "c", "after"]

    def test_replace_of_one_that_is_not_there_adds_it(self, web: Any) -> None:
        assert web.typed("add_connection", conn_id="c", conn_type="http", replace=True).status == 201

    def test_wholly_or_not_at_all(self, fresh: Any, mocker: Any) -> None:
        """What goes wrong on the way leaves the old one."""
        add(**FIELDS)
        record = mocker.patch("native_api.audit.record", side_effect=RuntimeError("no audit"))
        with pytest.raises(RuntimeError):
            add(conn_type="http", replace=True)
        mocker.stop(record)
        with pytest.raises(errors.Invalid):
            add(conn_uri="nothing", replace=True)
        assert {name: get()[name] for name in FIELDS} == FIELDS

    def test_who_may_create_and_not_edit(self, web: Any, mocker: Any) -> None:
        add(**FIELDS)
        mocker.patch(
            f"{USER}.may",
            lambda self, access, identifier=None: access.method == "POST",
        )
        assert web.typed("add_connection", login="user", conn_id="new", conn_type="http").status == 201
        answer = web.typed("add_connection", login="user", conn_id="c", conn_type="http", replace=True)
        assert_problem(answer, 403)
        assert answer.json["permission"] == "edit the connection 'c'"
        assert get()["password"] == FIELDS["password"]


class TestList:
    def test_pages_order_and_filters(self, fresh: Any) -> None:
        for conn_id, conn_type in (("b", "http"), ("a", "postgres"), ("c_1", "http")):
            add(conn_id, conn_type=conn_type)

        def ids(**arguments: Any) -> Any:
            return [connection["conn_id"] for connection in listed(**arguments)]

        assert ids() == ["a", "b", "c_1"]
        assert ids(order_by="-id", limit=2) == ["c_1", "a"]
        assert ids(order_by="-conn_type") == ["a", "b", "c_1"]
        assert ids(conn_id_pattern="c") == ["c_1"]
        assert ids(conn_type="http", offset=1) == ["c_1"]
        assert native_api.call("list_connections", conn_type="http", limit=1)["total_entries"] == 2

    def test_the_number_of_queries_is_fixed(self, fresh: Any) -> None:
        from tests.support.queries import statements

        for number in range(10):
            add(f"c{number}", **FIELDS)
        with statements() as seen:
            assert len(listed()) == 10
        assert len(seen) == 2


class TestDelete:
    def test_it_is_gone(self, web: Any) -> None:
        add(conn_type="http")
        assert native_api.call("delete_connection", conn_id="c") == {"conn_id": "c"}
        assert_problem(web.typed("delete_connection", conn_id="c"), 404)
        assert_problem(web.typed("get_connection", conn_id="c"), 404)

    def test_one_with_an_id_that_we_would_not_take(self, fresh: Any) -> None:
        """Airflow has had other rules."""
        from airflow.models.connection import Connection

        with fresh.session() as session:
            session.add(Connection(conn_id="a/b", conn_type="http"))
        assert get("a/b")["conn_id"] == "a/b"
        native_api.call("delete_connection", conn_id="a/b")
        assert listed() == []


@pytest.mark.skipif(version() < (3, 2), reason="Teams came with Airflow 3.2.")
def test_a_replaced_connection_stays_with_its_team(fresh: Any) -> None:
    from airflow.models.connection import Connection
    from airflow.models.team import Team
    from sqlalchemy import delete, select, update

    add(**FIELDS)
    with fresh.session() as session:
        session.add(Team(name="blue"))
        session.flush()
        session.execute(update(Connection).values(team_name="blue"))
    add(conn_type="http", replace=True)
    with fresh.session() as session:
        assert session.scalar(select(Connection.team_name)) == "blue"
        session.execute(delete(Connection))
        session.execute(delete(Team))
