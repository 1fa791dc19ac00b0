"""import_connections and export_connections."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Dict

import pytest

import native_api
from native_api import errors, registry
from tests.support.airflow_under_test import audit_rows, version
from tests.support.auth_managers import USER
from tests.support.problems import assert_problem
from tests.support.uploads import send

WAREHOUSE = {
    "conn_type": "postgres",
    "description": "Größe",
    "host": "db.example.com",
    "login": "ada",
    "password": "p@ss: wörd",
    "schema": "main",
    "port": 5432,
    "extra": '{"sslmode": "require", "secret_key": "s"}',
}
BARE = {**dict.fromkeys(WAREHOUSE), "conn_type": "fs"}


def bring(connections: Any, **said: Any) -> Any:
    return native_api.call("import_connections", connections=connections, **said)


def export() -> Dict[str, Any]:
    exported: Dict[str, Any] = native_api.call("export_connections")["connections"]
    return exported


class TestRoundTrip:
    @pytest.fixture(autouse=True)
    def some(self, web: Any) -> None:
        bring({"warehouse": WAREHOUSE, "bare": BARE})

    def test_an_export_has_the_format_of_airflow(self) -> None:
        assert export() == {"bare": BARE, "warehouse": WAREHOUSE}

    @pytest.mark.parametrize("wrapped", [True, False], ids=["the response", "the file of the command line"])
    @pytest.mark.parametrize("way", ["json", "form", "upload", "file"])
    def test_an_import_restores_an_export(self, web: Any, folder: Path, way: str, wrapped: bool) -> None:
        """However it is sent, with the field that wraps it or without."""
        exported = web.typed("export_connections").json
        content = exported if wrapped else exported["connections"]
        for conn_id in ("warehouse", "bare"):
            native_api.call("delete_connection", conn_id=conn_id)
        response = send(web, folder, "connections", way, content)
        assert response.status == 201, response.text
        assert response.json["created"] == ["bare", "warehouse"]
        assert export() == exported["connections"]

    def test_overwrite_replaces_all_fields(self) -> None:
        done = bring({"warehouse": "http://example.com"})
        assert (done["created"], done["updated"]) == ([], ["warehouse"])
        left = {name: value for name, value in export()["warehouse"].items() if value}
        assert left == {"conn_type": "http", "host": "example.com"}

    def test_a_new_connection_does_not_take_the_primary_key_of_an_overwritten_one(self) -> None:
        """The new one comes first by name."""
        done = bring({"a_new": "fs://", "bare": "fs://", "warehouse": "fs://"})
        assert (done["created"], done["updated"]) == (["a_new"], ["bare", "warehouse"])
        assert {entry["conn_type"] for entry in export().values()} == {"fs"}

    def test_on_conflict_can_skip_or_fail(self, web: Any) -> None:
        wanted = {"warehouse": "http://example.com", "new": "fs://"}
        response = web.typed("import_connections", connections=wanted, on_conflict="fail")
        assert_problem(response, 409)
        assert response.json["keys"] == ["warehouse"]
        assert set(export()) == {"bare", "warehouse"}
        done = bring(wanted, on_conflict="skip")
        assert (done["created"], done["skipped"], export()["warehouse"]) == (["new"], ["warehouse"], WAREHOUSE)

    @pytest.mark.parametrize("login, status", [("admin", 200), ("op", 200), ("user", 403), ("viewer", 403)])
    def test_an_export_is_unmasked_and_requires_permission_to_edit(self, web: Any, login: str, status: int) -> None:
        response = web.typed("export_connections", login=login)
        assert (response.status, "p@ss" in response.text) == (status, status == 200)

    def test_a_caller_without_permission_to_edit_cannot_export(self, web: Any, mocker: Any) -> None:
        mocker.patch(
            f"{USER}.may",
            lambda self, access, identifier=None: access.method == "GET",
        )
        response = web.typed("export_connections", login="viewer")
        assert_problem(response, 403)
        assert response.json["permission"] == "edit the connection 'warehouse'"
        native_api.call("delete_connection", conn_id="warehouse")
        assert web.typed("export_connections", login="viewer").json == {"connections": {"bare": BARE}}

    def test_the_static_token_needs_the_effect_write(self, web: Any, monkeypatch: Any) -> None:
        monkeypatch.setenv("AIRFLOW__NATIVE_API__TOKEN_EFFECTS", "read")
        assert_problem(web.typed("export_connections"), 403)

    def test_an_export_is_in_the_audit_log(self, web: Any) -> None:
        """The row names the connections, and no secret."""
        web.typed("export_connections", login="admin")
        row = audit_rows()[-1]
        assert (row.event, row.owner) == ("native_api.export_connections", "admin")
        assert json.loads(row.extra)["disclosed"] == ["warehouse"]

    def test_the_number_of_queries_is_fixed(self) -> None:
        from tests.support.queries import statements

        bring({f"c{number}": WAREHOUSE for number in range(20)})
        with statements() as seen:
            assert len(export()) == 22
        # The connections, and the audit row.
        assert len(seen) == 2


@pytest.mark.parametrize(
    "said, expected",
    [
        ("postgres://ada:p%40ss@db:5432/main", {"conn_type": "postgres", "password": "p@ss", "schema": "main"}),
        ({"uri": "http://db"}, {"conn_type": "http", "host": "db"}),
        ({"conn_type": "http", "extra": {"a": 1}}, {"extra": '{"a": 1}'}),
        ({"conn_type": "http", "extra_dejson": {"a": 1}}, {"extra": '{"a": 1}'}),
        ({"conn_id": "c", "conn_type": "http", "port": "80"}, {"port": 80}),
    ],
)
def test_every_format_of_airflow_connections_import_is_accepted(fresh: Any, said: Any, expected: Any) -> None:
    bring({"c": said})
    assert expected.items() <= export()["c"].items()


@pytest.mark.parametrize("said", [{"conn_type": "http"}, {"conn_type": "http", "extra": {"a": 1}}])
def test_a_connection_with_the_id_connections_can_be_imported(fresh: Any, said: Any) -> None:
    """It is not taken for an export."""
    bring({"connections": said})
    assert list(export()) == ["connections"]


@pytest.mark.parametrize(
    "connections, wrong",
    [
        ({"": "fs://"}, ""),
        ({"x" * 251: "fs://"}, "x" * 251),
        ({"a b": "fs://"}, "a b"),
        ({"c": {}}, "c"),
        ({"c": 1}, "c"),
        ({"c": ["fs://"]}, "c"),
        ({"c": "no uri"}, "c"),
        ({"c": {"conn_type": "fs", "password": "***"}}, "c"),
        ({"c": {"conn_type": "fs", "extra": {"a": ["***"]}}}, "c"),
        ({"c": {"conn_type": "fs", "extra": '{"a": "***"}'}}, "c"),
        ({"c": "fs://ada:***@host"}, "c"),
        ({"c": {"conn_type": "fs", "conn_id": "d"}}, "c"),
        ({"c": {"conn_type": "fs", "no_such_field": 1}}, "c"),
        ({"c": {"conn_type": "fs", "replace": True}}, "c"),
        ({"c": {"conn_type": "fs", "extra": "{}", "extra_dejson": {}}}, "c"),
        ({"c": {"conn_type": "fs", "extra": "no JSON"}}, "c"),
    ],
)
def test_one_invalid_connection_refuses_the_import(fresh: Any, connections: Any, wrong: str) -> None:
    """The error names its id."""
    with pytest.raises(errors.Invalid) as caught:
        bring({"good": "fs://", **connections})
    assert list(caught.value.errors["connections"]) == [wrong]
    assert export() == {}


@pytest.mark.parametrize("content", ["", "x", "[1]", "1", "null", '{"a": NaN}', '{"a": "\\ud800"}', "[" * 100000])
def test_an_import_must_be_an_object(fresh: Any, content: str) -> None:
    with pytest.raises(errors.Invalid):
        bring(content)


def test_overwriting_requires_permission_to_edit(web: Any, mocker: Any) -> None:
    bring({"old": "fs://"})
    mocker.patch(
        f"{USER}.may",
        lambda self, access, identifier=None: access.method == "POST",
    )
    assert web.typed("import_connections", login="user", connections={"new": "fs://"}).status == 201
    response = web.typed("import_connections", login="user", connections={"newer": "fs://", "old": "http://x"})
    assert_problem(response, 403)
    assert response.json["permission"] == "edit the connection 'old'"
    assert {conn_id: entry["conn_type"] for conn_id, entry in export().items()} == {"new": "fs", "old": "fs"}


def test_the_audit_log_has_the_ids_and_no_values(web: Any) -> None:
    response = web.typed("import_connections", login="admin", connections={"warehouse": WAREHOUSE})
    assert "wörd" not in response.text
    (row,) = audit_rows()
    assert json.loads(row.extra)["connections"] == ["warehouse"]


@pytest.mark.parametrize("on_conflict, flags", [("overwrite", ["--overwrite"]), ("skip", []), ("fail", None)])
def test_the_command_is_one_of_this_airflow_or_none(folder: Path, on_conflict: str, flags: Any) -> None:
    from airflow.cli.cli_parser import get_parser

    operation = registry.get("import_connections")
    words = operation.command(operation.request.load({"file": "c.json", "on_conflict": on_conflict}))
    assert words == (None if flags is None else ["connections", "import", *flags, f"{folder}/c.json"])
    if words:
        get_parser().parse_args(words)


@pytest.mark.skipif(version() >= (3, 0), reason="Airflow 3 stores no extra that is no JSON.")
def test_an_extra_that_is_not_json_is_exported_and_named_by_an_import(fresh: Any) -> None:
    """Older versions of Airflow stored such extras."""
    from airflow.models.connection import Connection
    from sqlalchemy import update

    bring({"old": "fs://"})
    with fresh.session() as session:
        session.execute(update(Connection).values(_extra="no JSON", is_extra_encrypted=False))
    assert export()["old"]["extra"] == "no JSON"
    with pytest.raises(errors.Invalid) as caught:
        bring(export())
    assert list(caught.value.errors["connections"]["old"]) == ["extra"]
