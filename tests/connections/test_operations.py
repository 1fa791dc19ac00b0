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
    """Return the errors by field, and assert that nothing was stored."""
    with pytest.raises(errors.Invalid) as caught:
        add(**{"conn_id": "c", **said})
    assert "hunter2" not in str(caught.value)
    assert listed() == []
    return caught.value.errors


class TestAdd:
    def test_get_connection_returns_what_add_connection_stored(self, fresh: Any) -> None:
        add(**FIELDS)
        assert {name: get()[name] for name in FIELDS} == FIELDS

    def test_only_conn_id_and_conn_type_are_required(self, fresh: Any) -> None:
        add(conn_type="http")
        assert get() == {
            "conn_id": "c",
            "conn_type": "http",
            **dict.fromkeys(("description", "host", "login", "password", "schema", "port", "extra")),
            "is_encrypted": False,
            "is_extra_encrypted": False,
        }

    def test_a_uri_is_parsed_as_by_airflow(self, fresh: Any) -> None:
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
    def test_any_uri_that_airflow_parses_is_accepted(self, fresh: Any, uri: str, host: str) -> None:
        assert add(conn_uri=uri)["host"] == host

    @pytest.mark.parametrize("extra", [{"a": {"b": [1, None]}}, '{"a": {"b": [1, null]}}'])
    def test_extra_can_be_an_object_or_text(self, web: Any, extra: Any) -> None:
        assert web.typed("add_connection", conn_id="c", conn_type="http", extra=extra).status == 201
        assert json.loads(get()["extra"]) == {"a": {"b": [1, None]}}

    @pytest.mark.parametrize("extra", ["", " ", None])
    def test_an_empty_extra_is_null(self, fresh: Any, extra: Any) -> None:
        assert add(conn_type="http", extra=extra)["extra"] is None

    def test_extra_with_a_uri_replaces_that_of_the_uri(self, fresh: Any) -> None:
        """As in ``airflow connections add``."""
        add(conn_uri="http://h/?a=1", extra={"b": 2})
        assert json.loads(get()["extra"]) == {"b": 2}

    @pytest.mark.parametrize("conn_id", ["a", "A.b-c_1", "x" * 250])
    def test_a_valid_conn_id_is_accepted(self, web: Any, conn_id: str) -> None:
        assert web.typed("add_connection", conn_id=conn_id, conn_type="http").status == 201
        assert web.typed("get_connection", conn_id=conn_id).json["conn_id"] == conn_id

    @pytest.mark.parametrize("conn_id", ["", " ", "a b", "a/b", "ключ", "a\n", "a'", "x" * 251, None, 3])
    def test_an_invalid_conn_id_is_an_error(self, fresh: Any, conn_id: Any) -> None:
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
    def test_an_invalid_uri_is_an_error(self, fresh: Any, uri: Any) -> None:
        """422 on every Airflow, and the message does not repeat a part of it."""
        assert list(wrong(conn_uri=uri)) == ["conn_uri"]

    @pytest.mark.parametrize(
        "extra", ["hunter2", "[1]", "1", "null", '{"a": NaN}', "{'a': 1}", "[" * 100000, [1], 1, True]
    )
    def test_an_invalid_extra_is_an_error(self, fresh: Any, extra: Any) -> None:
        assert list(wrong(conn_type="http", extra=extra)) == ["extra"]

    @pytest.mark.parametrize("port", [-1, 65536, "x", 1.5, True])
    def test_an_invalid_port_is_an_error(self, fresh: Any, port: Any) -> None:
        assert list(wrong(conn_type="http", port=port)) == ["port"]

    @pytest.mark.parametrize("name", ["conn_type", "host", "schema"])
    def test_a_field_longer_than_its_column_is_an_error(self, fresh: Any, name: str) -> None:
        assert list(wrong(**{"conn_type": "http", name: "x" * 501})) == [name]

    def test_a_part_of_a_uri_longer_than_its_column_is_an_error(self, fresh: Any) -> None:
        assert list(wrong(conn_uri=f"http://{'h' * 501}")) == ["host"]

    @pytest.mark.parametrize("name", ["conn_type", "host", "login", "password", "schema", "port"])
    def test_a_uri_excludes_other_fields(self, fresh: Any, name: str) -> None:
        assert list(wrong(conn_uri="http://h", **{name: FIELDS[name]})) == ["conn_uri"]

    @pytest.mark.parametrize("said", [{}, {"host": "h"}, {"conn_type": ""}, {"conn_type": None}])
    def test_a_uri_or_a_conn_type_is_required(self, fresh: Any, said: Any) -> None:
        assert list(wrong(**said)) == ["conn_type"]


class TestReplace:
    def test_an_existing_conn_id_is_409(self, web: Any) -> None:
        """The stored connection is unchanged."""
        add(**FIELDS)
        response = web.typed("add_connection", conn_id="c", conn_type="http")
        assert_problem(response, 409)
        assert response.json["conn_id"] == "c"
        assert {name: get()[name] for name in FIELDS} == FIELDS

    def test_replace_replaces_all_fields(self, web: Any) -> None:
        """Airflow's own setters leave the password and the extra if the new one has none."""
        add("before", conn_type="a")
        add(**FIELDS)
        add("after", conn_type="z")
        response = web.typed("add_connection", conn_id="c", conn_type="http", replace=True)
        assert response.status == 200
        left = get()
        assert [name for name in FIELDS if left[name] is not None] == ["conn_type"]
        assert (left["is_encrypted"], left["is_extra_encrypted"]) == (False, False)
        assert [c["conn_id"] for c in listed(order_by="id")] == ["before", "c", "after"]

    def test_replace_adds_a_missing_connection(self, web: Any) -> None:
        assert web.typed("add_connection", conn_id="c", conn_type="http", replace=True).status == 201

    def test_a_failed_replace_leaves_the_stored_connection(self, fresh: Any, mocker: Any) -> None:
        add(**FIELDS)
        record = mocker.patch("native_api.audit.record", side_effect=RuntimeError("no audit"))
        with pytest.raises(RuntimeError):
            add(conn_type="http", replace=True)
        mocker.stop(record)
        with pytest.raises(errors.Invalid):
            add(conn_uri="nothing", replace=True)
        assert {name: get()[name] for name in FIELDS} == FIELDS

    def test_replace_requires_permission_to_edit(self, web: Any, mocker: Any) -> None:
        add(**FIELDS)
        mocker.patch(
            f"{USER}.may",
            lambda self, access, identifier=None: access.method == "POST",
        )
        assert web.typed("add_connection", login="user", conn_id="new", conn_type="http").status == 201
        response = web.typed("add_connection", login="user", conn_id="c", conn_type="http", replace=True)
        assert_problem(response, 403)
        assert response.json["permission"] == "edit the connection 'c'"
        assert get()["password"] == FIELDS["password"]


class TestList:
    def test_it_has_pages_an_order_and_filters(self, fresh: Any) -> None:
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
        assert len(seen) == 1


class TestDelete:
    def test_a_deleted_connection_is_not_found(self, web: Any) -> None:
        add(conn_type="http")
        assert native_api.call("delete_connection", conn_id="c") == {"conn_id": "c"}
        assert_problem(web.typed("delete_connection", conn_id="c"), 404)
        assert_problem(web.typed("get_connection", conn_id="c"), 404)

    def test_a_connection_with_an_invalid_id_can_be_deleted(self, fresh: Any) -> None:
        """Older versions of Airflow accepted other ids."""
        from airflow.models.connection import Connection

        with fresh.session() as session:
            session.add(Connection(conn_id="a/b", conn_type="http"))
        assert get("a/b")["conn_id"] == "a/b"
        native_api.call("delete_connection", conn_id="a/b")
        assert listed() == []


@pytest.mark.skipif(version() < (3, 2), reason="Teams came with Airflow 3.2.")
def test_a_replaced_connection_keeps_its_team(fresh: Any) -> None:
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
