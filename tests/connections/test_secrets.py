"""The secrets of connections: who can read them, and where they are masked."""

from __future__ import annotations

import json
from typing import Any

import pytest

from native_api.adapters.connections.uris import masked_extra, masked_uri
from tests.support.airflow_under_test import audit_rows
from tests.support.auth_managers import USER
from tests.support.connections import FIELDS, add, get, listed
from tests.support.problems import assert_problem


class TestSecrets:
    def test_responses_and_lists_mask_them(self, fresh: Any) -> None:
        for shown in (add(**FIELDS), listed()[0]):
            assert shown["password"] == "***"
            assert json.loads(shown["extra"]) == {"sslmode": "require", "api_key": "***"}
            assert shown["login"] == "ada"

    def test_an_extra_that_is_not_json_is_masked_completely(self, fresh: Any) -> None:
        """Older versions of Airflow stored such extras."""
        from airflow.models.connection import Connection
        from sqlalchemy import update

        add(conn_type="http", extra={"a": 1})
        with fresh.session() as session:
            session.execute(update(Connection).values({"_extra": "hunter2", "is_extra_encrypted": False}))
        assert listed()[0]["extra"] == "***"
        assert get()["extra"] == "hunter2"

    @pytest.mark.parametrize("login, status", [("admin", 200), ("op", 200), ("user", 403), ("viewer", 403)])
    def test_get_connection_is_unmasked_and_requires_permission_to_edit(
        self, web: Any, login: str, status: int
    ) -> None:
        add(**FIELDS)
        response = web.typed("get_connection", login=login, conn_id="c")
        assert response.status == status
        assert ("hunter2" in response.text) == (status == 200)
        assert "***" not in response.text

    @pytest.mark.parametrize(
        "said, status",
        [
            ({"extra": {"a": 1}}, 200),
            ({"password": "hunter2"}, 403),
            ({"extra": {"a": {"token": "hunter2"}}}, 403),
        ],
    )
    def test_a_caller_without_permission_to_edit_reads_connections_without_secrets_only(
        self, web: Any, mocker: Any, said: Any, status: int
    ) -> None:
        add(conn_type="http", **said)
        mocker.patch(
            f"{USER}.may",
            lambda self, access, identifier=None: access.method == "GET",
        )
        response = web.typed("get_connection", login="viewer", conn_id="c")
        assert (response.status, "hunter2" in response.text) == (status, False)
        if status == 403:
            assert response.json["permission"] == "edit the connection 'c'"

    def test_the_audit_log_masks_them(self, web: Any) -> None:
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
    def test_a_uri_is_masked(self, airflow: Any, uri: str, shown: str) -> None:
        assert masked_uri(uri) == shown

    @pytest.mark.parametrize(
        "text, shown", [(None, None), ("", ""), ('{"a":1}', '{"a":1}'), ("p", "***"), ("[1]", "***")]
    )
    def test_an_extra_is_masked(self, airflow: Any, text: Any, shown: Any) -> None:
        assert masked_extra(text) == shown

    def test_a_changed_fernet_key_is_an_error(self, web: Any, monkeypatch: Any) -> None:
        """Airflow cannot decrypt what it stored with another key."""
        from airflow.models import crypto

        add(**FIELDS)

        def other_key() -> None:
            cached = getattr(crypto.get_fernet, "cache_clear", None)
            cached() if cached else monkeypatch.setattr(crypto, "_fernet", None)

        monkeypatch.setenv("AIRFLOW__CORE__FERNET_KEY", "Tm90IHRoZSBrZXkgdGhhdCB3YXMgdXNlZCBiZWZvcmU=")
        other_key()
        try:
            responses = [web.typed("get_connection", conn_id="c"), web.typed("export_connections")]
            listed = web.typed("list_connections")
        finally:
            monkeypatch.undo()
            other_key()
        for response in responses:
            assert_problem(response, 409)
            assert "fernet_key" in response.json["detail"]
        assert [(row["password"], row["extra"]) for row in listed.json["connections"]] == [("***", "***")]
