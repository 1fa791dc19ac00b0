"""list_connections, get_connection, add_connection, delete_connection."""

from __future__ import annotations

import ast
import json
from typing import Any, Dict, List

import pytest

import native_api
from native_api import errors
from native_api.adapters.uris import masked_extra, masked_uri
from tests.airflow_under_test import audit_rows, version
from tests.test_contract import is_problem
from tests.test_wire import EXCHANGES

FIELDS = {
    "conn_type": "postgres",
    "description": "the warehouse",
    "host": "db.example.com",
    "login": "ada",
    "password": "hunter2 ü@:/",
    "schema": "main",
    "port": 5432,
    "extra": '{"sslmode":  "require", "api_key": "hunter2"}',
}


def add(conn_id: str = "c", **said: Any) -> Any:
    return native_api.call("add_connection", conn_id=conn_id, **said)


def get(conn_id: str = "c") -> Any:
    return native_api.call("get_connection", conn_id=conn_id)


def listed(**arguments: Any) -> List[Any]:
    connections: List[Any] = native_api.call("list_connections", **arguments)["connections"]
    return connections


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
        is_problem(answer, 409)
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
        mocker.patch("native_api.audit.record", side_effect=RuntimeError("no audit"))
        with pytest.raises(RuntimeError):
            add(conn_type="http", replace=True)
        with pytest.raises(errors.Invalid):
            add(conn_uri="nothing", replace=True)
        assert {name: get()[name] for name in FIELDS} == FIELDS

    def test_who_may_create_and_not_edit(self, web: Any, mocker: Any) -> None:
        add(**FIELDS)
        mocker.patch(
            "native_api.adapters.seam.rights.User.may", lambda self, access, identifier=None: access.method == "POST"
        )
        assert web.typed("add_connection", login="user", conn_id="new", conn_type="http").status == 201
        answer = web.typed("add_connection", login="user", conn_id="c", conn_type="http", replace=True)
        is_problem(answer, 403)
        assert answer.json["permission"] == "edit the connection 'c'"
        assert get()["password"] == FIELDS["password"]


class TestSecrets:
    def test_answers_and_lists_mask_them(self, fresh: Any) -> None:
        for shown in (add(**FIELDS), listed()[0]):
            assert shown["password"] == "***"
            assert json.loads(shown["extra"]) == {"sslmode": "require", "api_key": "***"}
            assert shown["login"] == "ada"

    def test_an_extra_that_is_no_json_is_masked_wholly(self, fresh: Any) -> None:
        """An older Airflow may have stored one."""
        from airflow.models.connection import Connection
        from sqlalchemy import update

        add(conn_type="http", extra={"a": 1})
        with fresh.session() as session:
            session.execute(update(Connection).values({"_extra": "hunter2", "is_extra_encrypted": False}))
        assert listed()[0]["extra"] == "***"
        assert get()["extra"] == "hunter2"

    @pytest.mark.parametrize("login, status", [("admin", 200), ("op", 200), ("user", 403), ("viewer", 403)])
    def test_who_may_edit_sees_them(self, web: Any, login: str, status: int) -> None:
        add(**FIELDS)
        answer = web.typed("get_connection", login=login, conn_id="c")
        assert answer.status == status
        assert ("hunter2" in answer.text) == (status == 200)
        assert "***" not in answer.text

    @pytest.mark.parametrize(
        "said, status",
        [
            ({"extra": {"a": 1}}, 200),
            ({"password": "hunter2"}, 403),
            ({"extra": {"a": {"token": "hunter2"}}}, 403),
        ],
    )
    def test_who_may_read_but_not_edit(self, web: Any, mocker: Any, said: Any, status: int) -> None:
        """Such a caller reads connections without secrets only."""
        add(conn_type="http", **said)
        mocker.patch(
            "native_api.adapters.seam.rights.User.may", lambda self, access, identifier=None: access.method == "GET"
        )
        answer = web.typed("get_connection", login="viewer", conn_id="c")
        assert (answer.status, "hunter2" in answer.text) == (status, False)
        if status == 403:
            assert answer.json["permission"] == "edit the connection 'c'"

    def test_the_audit_row_shows_none(self, web: Any) -> None:
        web.request("POST", "/native_api/v1/add_connection", login="admin", json={"conn_id": "a", **FIELDS})
        web.typed("add_connection", login="admin", conn_id="b", conn_uri="http://u:hunter2@h/?token=hunter2&a=1")
        rows = [json.loads(row.extra) for row in audit_rows()]
        assert rows[0]["password"] == "***"
        assert json.loads(rows[0]["extra"])["api_key"] == "***"
        assert rows[1] == {"conn_id": "b", "conn_uri": "http://u:***@h/?token=***&a=1", "replace": False}

    @pytest.mark.parametrize(
        "uri, shown",
        [
            ("postgresql://u:p%40ss@db:5432/main", "postgresql://u:***@db:5432/main"),
            ("http://https://u:p@h:1/x", "http://https://u:***@h:1/x"),
            ("http://u:p@https://h", "***"),
            ("http://https://h/x", "http://https://h/x"),
            ("http://u:p@a@h", "http://u:***@h"),
            ("http://:p@h", "http://:***@h"),
            ("http://u@h", "http://u@h"),
            ("http://h/?password=p&a=b%20c", "http://h/?password=***&a=b+c"),
            ("http://h/?a=b%20c", "http://h/?a=b%20c"),
            ("http://h/?__extra__=%7B%22token%22%3A+%22p%22%7D", "http://h/?__extra__=%7B%22token%22%3A+%22***%22%7D"),
            ("http://h#p", "http://h#***"),
            ("u:p@h", "***"),
            ("postgres://u:p/@db", "***"),
            ("", ""),
        ],
    )
    def test_a_uri_as_it_is_shown(self, airflow: Any, uri: str, shown: str) -> None:
        assert masked_uri(uri) == shown

    @pytest.mark.parametrize(
        "text, shown", [(None, None), ("", ""), ('{"a":1}', '{"a":1}'), ("p", "***"), ("[1]", "***")]
    )
    def test_an_extra_as_it_is_shown(self, airflow: Any, text: Any, shown: Any) -> None:
        assert masked_extra(text) == shown

    def test_a_lost_key_is_said(self, web: Any, monkeypatch: Any) -> None:
        """Airflow cannot read what it stored with another key."""
        from airflow.models import crypto

        add(**FIELDS)

        def other_key() -> None:
            cached = getattr(crypto.get_fernet, "cache_clear", None)
            cached() if cached else monkeypatch.setattr(crypto, "_fernet", None)

        monkeypatch.setenv("AIRFLOW__CORE__FERNET_KEY", "Tm90IHRoZSBrZXkgdGhhdCB3YXMgdXNlZCBiZWZvcmU=")
        other_key()
        try:
            answer = web.typed("list_connections")
        finally:
            monkeypatch.undo()
            other_key()
        is_problem(answer, 409)
        assert "fernet_key" in answer.json["detail"]


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
        from tests.queries import statements

        for number in range(10):
            add(f"c{number}", **FIELDS)
        with statements() as seen:
            assert len(listed()) == 10
        assert len(seen) == 2


class TestDelete:
    def test_it_is_gone(self, web: Any) -> None:
        add(conn_type="http")
        assert native_api.call("delete_connection", conn_id="c") == {"conn_id": "c"}
        is_problem(web.typed("delete_connection", conn_id="c"), 404)
        is_problem(web.typed("get_connection", conn_id="c"), 404)

    def test_one_with_an_id_that_we_would_not_take(self, fresh: Any) -> None:
        """Airflow has had other rules."""
        from airflow.models.connection import Connection

        with fresh.session() as session:
            session.add(Connection(conn_id="a/b", conn_type="http"))
        assert get("a/b")["conn_id"] == "a/b"
        native_api.call("delete_connection", conn_id="a/b")
        assert listed() == []


class TestLegacy:
    def test_the_list_is_the_recorded_table(self, airflow: Any) -> None:
        """Box, widths, and texts that are cut in their middle."""
        from native_api.faces.legacy.names.connections import COLUMNS, _table

        recorded = EXCHANGES[17]["stdout"].replace("'<path>   ", "'/tmp/sqlite_default.db'  ".ljust(27))
        lines = recorded.splitlines()[3::2]
        rows = [[cell.strip() for cell in line.strip("│").split("│")] for line in lines]
        assert len(rows) == 40
        given = [dict(zip(COLUMNS, map(ast.literal_eval, row))) for row in rows]
        assert _table({"connections": given}) == recorded

    def test_a_connection_with_an_extra(self, web: Any) -> None:
        web.legacy("connections", add="on", conn_id="h", conn_uri="http://h", conn_extra='{"token": "hunter2"}')
        assert json.loads(get("h")["extra"]) == {"token": "hunter2"}
        answer = web.legacy("connections", list="on")
        assert '│ \'{"token": "***"}\' │' in answer.json["output"]["stdout"]

    def test_no_secret_is_shown(self, web: Any) -> None:
        """In the text, the command, the arguments and the result, whether it works or not."""
        said = {"conn_id": "c", "conn_uri": "http://u:hunter2@h", "conn_extra": '{"token": "hunter2"}'}
        answers = [web.legacy("connections", add="on", **said) for _ in range(2)]
        answers += [
            web.legacy("connections", add="on", **{**said, name: "hunter2"}) for name in said if name != "conn_id"
        ]
        assert [answer.status for answer in answers] == [200, 200, 400, 400]
        assert [answer.text for answer in answers if "hunter2" in answer.text] == []
        assert answers[0].json["airflow_cmd"] == (
            "airflow connections add c --conn-uri 'http://u:***@h' --conn-extra '{\"token\": \"***\"}'"
        )
        assert get()["password"] == "hunter2"

    @pytest.mark.parametrize(
        "arguments, missing",
        [
            ({"add": "on"}, "conn_id"),
            ({"add": "on", "conn_id": "c"}, "conn_uri or conn_type"),
            ({"delete": "on"}, "conn_id"),
        ],
    )
    def test_missing_arguments(self, web: Any, arguments: Any, missing: str) -> None:
        answer = web.legacy("connections", **arguments)
        assert (answer.status, answer.json["output"]) == (400, f"The argument(s) ['{missing}'] are required")

    def test_off_is_off(self, web: Any) -> None:
        assert web.legacy("connections", list="off").json["output"]["stdout"] == ""


def test_the_command_is_one_that_this_airflow_has(airflow: Any) -> None:
    """Whatever the arguments are."""
    from airflow.cli.cli_parser import get_parser

    from native_api import operations

    operation = operations.get("add_connection")
    for said in (FIELDS, {"conn_uri": "http://u:p@h", "description": "d", "extra": {"a": 1}}):
        words = operation.command(operation.request.load({"conn_id": "c", **said}))
        assert words is not None
        assert "p@ss" not in words and "hunter2" not in " ".join(words)
        get_parser().parse_args(words)
    assert operation.command(operation.request.load({"conn_id": "c", "conn_type": "http", "replace": True})) is None


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
