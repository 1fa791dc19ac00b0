"""Unmasked secrets: who can read them, where they are looked up, and their rows in the audit log."""

from __future__ import annotations

import json
from typing import Any, Dict, List, Tuple

import pytest

import native_api
from tests.support import airflow_under_test
from tests.support.problems import assert_problem

SECRET = "s3cr3t-value"
#: Every way to an unmasked secret: the operation, its arguments, and whose name the audit row has.
READS = [
    pytest.param("get_variable", {"key": "db_password"}, "db_password", id="a variable"),
    pytest.param("get_connection", {"conn_id": "bank"}, "bank", id="a connection"),
    pytest.param("export_variables", {}, "db_password", id="an export"),
    pytest.param("export_connections", {}, "bank", id="an export of connections"),
    pytest.param("save_variables", {"file": "saved.json"}, "db_password", id="an export to a file"),
]


@pytest.fixture
def secrets(web: Any) -> Any:
    """Return the web application with a sensitive variable and connection, and one of each that is not sensitive."""
    native_api.call("set_variable", key="db_password", value=SECRET)
    native_api.call("set_variable", key="plain", value="p")
    native_api.call("add_connection", conn_id="bank", conn_type="http", password=SECRET)
    native_api.call("add_connection", conn_id="open", conn_type="http", host="h")
    return web


def unmasking_rows() -> List[Tuple[str, str, Dict[str, Any]]]:
    """Return the operations and texts of the audit log's rows that name disclosed secrets."""
    rows = [(row.event, row.owner, json.loads(row.extra)) for row in airflow_under_test.audit_rows()]
    return [row for row in rows if "disclosed" in row[2]]


@pytest.mark.parametrize("operation, arguments, name", READS)
class TestReading:
    def test_it_writes_the_audit_log(self, secrets: Any, operation: str, arguments: Any, name: str) -> None:
        """The row names the variable or connection, and not its value."""
        assert secrets.typed(operation, login="admin", **arguments).status == 200
        ((event, owner, extra),) = unmasking_rows()
        assert (event, owner, extra["disclosed"]) == (f"native_api.{operation}", "admin", [name])
        assert SECRET not in json.dumps(extra)

    def test_it_requires_write_in_token_effects(
        self, secrets: Any, monkeypatch: Any, operation: str, arguments: Any, name: str
    ) -> None:
        monkeypatch.setenv("AIRFLOW__NATIVE_API__TOKEN_EFFECTS", "read,execute,deploy,daemon")
        response = secrets.typed(operation, **arguments)
        assert_problem(response, 403)
        assert response.json["option"] == "[native_api] token_effects"
        assert SECRET not in response.text
        assert unmasking_rows() == []

    def test_it_is_allowed_with_write_in_token_effects(
        self, secrets: Any, monkeypatch: Any, operation: str, arguments: Any, name: str
    ) -> None:
        monkeypatch.setenv("AIRFLOW__NATIVE_API__TOKEN_EFFECTS", "read,write")
        assert secrets.typed(operation, **arguments).status == 200


@pytest.mark.parametrize(
    "operation, arguments",
    [("get_variable", {"key": "plain"}), ("get_connection", {"conn_id": "open"}), ("list_variables", {})],
)
def test_a_value_without_secrets_requires_only_read_and_is_not_logged(
    secrets: Any, monkeypatch: Any, operation: str, arguments: Any
) -> None:
    monkeypatch.setenv("AIRFLOW__NATIVE_API__TOKEN_EFFECTS", "read")
    assert secrets.typed(operation, **arguments).status == 200
    assert unmasking_rows() == []


class TestSecretsBackends:
    @pytest.fixture(autouse=True)
    def environment(self, monkeypatch: Any, web: Any) -> None:
        monkeypatch.setenv("AIRFLOW_VAR_ONLY_THERE", "v")
        monkeypatch.setenv("AIRFLOW_CONN_ONLY_THERE", "http://:p4ss@h")

    def test_they_are_not_searched_over_http(self, web: Any) -> None:
        assert_problem(web.typed("get_variable", login="admin", key="only_there"), 404)
        assert_problem(web.typed("get_connection", login="admin", conn_id="only_there"), 404)
        assert web.typed("get_variable", key="only_there", default="d").json["value"] == "d"

    def test_the_database_is_read_even_if_they_have_the_name(self, web: Any) -> None:
        native_api.call("set_variable", key="only_there", value="stored")
        assert web.typed("get_variable", key="only_there").json["value"] == "stored"

    def test_read_secrets_backends_enables_them(self, web: Any, monkeypatch: Any) -> None:
        monkeypatch.setenv("AIRFLOW__NATIVE_API__READ_SECRETS_BACKENDS", "True")
        assert web.typed("get_variable", login="admin", key="only_there").json["value"] == "v"
        assert web.typed("get_connection", login="admin", conn_id="only_there").json["password"] == "p4ss"
        assert [extra["disclosed"] for _, _, extra in unmasking_rows()] == [["only_there"]]

    def test_they_require_the_same_permissions(self, web: Any, monkeypatch: Any) -> None:
        monkeypatch.setenv("AIRFLOW__NATIVE_API__READ_SECRETS_BACKENDS", "True")
        assert_problem(web.typed("get_variable", login="viewer", key="only_there"), 403)
        monkeypatch.setenv("AIRFLOW__NATIVE_API__TOKEN_EFFECTS", "read")
        assert_problem(web.typed("get_connection", conn_id="only_there"), 403)

    def test_the_python_api_searches_them(self) -> None:
        assert native_api.call("get_variable", key="only_there")["value"] == "v"
        assert native_api.call("get_connection", conn_id="only_there")["password"] == "p4ss"

    @pytest.mark.parametrize(
        "name", ["../x", "a/../../x", "..", "./x", "a//x", "/x", "a/", "%2e%2e/x", "..\\x", "x?version=1", "x\n", "x#y"]
    )
    def test_a_name_that_is_unsafe_in_a_path_is_not_searched(self, web: Any, monkeypatch: Any, name: str) -> None:
        """Such as Vault's backend builds."""
        asked: List[str] = []
        backend = "airflow.secrets.environment_variables.EnvironmentVariablesBackend"
        monkeypatch.setenv("AIRFLOW__NATIVE_API__READ_SECRETS_BACKENDS", "True")
        monkeypatch.setattr(f"{backend}.get_variable", asked.append)
        assert_problem(web.typed("get_variable", login="admin", key=name), 404)
        assert_problem(web.typed("get_connection", login="admin", conn_id=name), 404)
        assert asked == []

    @pytest.mark.parametrize("name", ["x", "team/x", "a.b-c:d@e", "x..y", "..x", "ünï"])
    def test_a_name_that_is_safe_in_a_path_is_searched(self, web: Any, monkeypatch: Any, name: str) -> None:
        monkeypatch.setenv("AIRFLOW__NATIVE_API__READ_SECRETS_BACKENDS", "True")
        monkeypatch.setenv(f"AIRFLOW_VAR_{name.upper()}", "found")
        assert web.typed("get_variable", login="admin", key=name).json["value"] == "found"


def test_a_value_that_cannot_be_decrypted_is_not_reported_as_missing(secrets: Any, monkeypatch: Any) -> None:
    from airflow.models import crypto
    from cryptography.fernet import Fernet

    monkeypatch.setenv("AIRFLOW__CORE__FERNET_KEY", Fernet.generate_key().decode())
    forget = getattr(crypto.get_fernet, "cache_clear", lambda: setattr(crypto, "_fernet", None))
    forget()
    try:
        assert_problem(secrets.typed("get_variable", key="plain", default="d"), 409)
    finally:
        monkeypatch.undo()
        forget()
