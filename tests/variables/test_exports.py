"""export_variables."""

from __future__ import annotations

import json
from typing import Any

import pytest

import native_api
from tests.support.auth_managers import USER
from tests.support.problems import assert_problem
from tests.support.variables import TEXTS, bring, export, put


class TestExport:
    @pytest.mark.parametrize(
        "text",
        [
            *TEXTS,
            "1",
            "1.10",
            "1e400",
            "NaN",
            '"quoted"',
            '{"a": 1.0, "a": 2}',
            '{"value": 1}',
            "true",
            '{"ü": "\\u00fc"}',
        ],
    )
    def test_an_import_restores_an_export(self, web: Any, text: str) -> None:
        """A text stays the same, JSON is equivalent."""
        put("k", text, description="d")
        put("j", text)
        exported = web.typed("export_variables").text
        native_api.call("delete_variable", key="k")
        native_api.call("delete_variable", key="j")
        response = web.request(
            "POST",
            "/native_api/v1/import_variables",
            body=exported.encode(),
            headers={"Content-Type": "application/json"},
        )
        assert response.status == 201, response.text
        for key, description in (("k", "d"), ("j", None)):
            variable = native_api.call("get_variable", key=key)
            assert variable["description"] == description
            assert variable["value"] == text or json.loads(variable["value"]) == json.loads(text)

    @pytest.mark.parametrize(
        "text, shown",
        [
            ('{"a": [1, null]}', {"a": [1, None]}),
            ("3", 3),
            ("text", "text"),
            ("1.10", "1.10"),
            ("null", None),
            ('{"value": 1}', {"value": {"value": 1}, "description": None}),
        ],
    )
    def test_an_export_has_the_format_of_airflow(self, fresh: Any, text: str, shown: Any) -> None:
        """A value that is JSON is exported as JSON."""
        put("k", text)
        assert export() == {"k": shown}

    @pytest.mark.parametrize("login, status", [("admin", 200), ("op", 200), ("user", 403), ("viewer", 403)])
    def test_an_export_is_unmasked_and_requires_permission_to_edit(self, web: Any, login: str, status: int) -> None:
        put("db_password", "hunter2")
        response = web.typed("export_variables", login=login)
        assert (response.status, "hunter2" in response.text) == (status, status == 200)

    def test_a_caller_without_permission_to_edit_exports_variables_without_secrets_only(
        self, web: Any, mocker: Any
    ) -> None:
        put("greeting", "open")
        mocker.patch(
            f"{USER}.may",
            lambda self, access, identifier=None: access.method == "GET",
        )
        assert web.typed("export_variables", login="viewer").json == {"variables": {"greeting": "open"}}
        put("db_password", "hunter2")
        response = web.typed("export_variables", login="viewer")
        assert_problem(response, 403)
        assert response.json["permission"] == "edit the variable 'db_password'"

    def test_the_number_of_queries_is_fixed(self, fresh: Any) -> None:
        from tests.support.queries import statements

        bring({f"k{n}": "v" for n in range(20)})
        with statements() as seen:
            assert len(export()) == 20
        assert len(seen) == 1
