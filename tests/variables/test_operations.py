"""set_variable, get_variable, list_variables, delete_variable."""

from __future__ import annotations

import json
from typing import Any

import pytest

import native_api
from native_api import errors
from tests.support.auth_managers import USER
from tests.support.variables import TEXTS


def get(key: str = "k", **arguments: Any) -> Any:
    return native_api.call("get_variable", key=key, **arguments)


def put(value: Any, key: str = "k", **arguments: Any) -> Any:
    return native_api.call("set_variable", key=key, value=value, **arguments)


class TestSetAndGet:
    @pytest.mark.parametrize("text", TEXTS)
    def test_get_variable_returns_the_text_that_set_variable_stored(self, web: Any, text: str) -> None:
        """With the Python API and over HTTP, as JSON and as a form."""
        put(text)
        assert get()["value"] == text
        web.typed("set_variable", key="j", value=text)
        assert web.typed("get_variable", key="j").json["value"] == text
        web.request("POST", "/native_api/v1/set_variable", form={"key": "f", "value": text})
        assert web.typed("get_variable", key="f").json["value"] == text

    @pytest.mark.parametrize("value", [{"a": [1, None]}, [1], 1, 1.5, True, False])
    def test_another_json_value_is_stored_as_json(self, fresh: Any, value: Any) -> None:
        put(value)
        assert json.loads(get()["value"]) == value
        assert get(json=True)["value"] == value

    @pytest.mark.parametrize("key", ["ключ", "a.b-c", "with space", "a/b", "x" * 250])
    def test_a_valid_key_is_accepted(self, web: Any, key: str) -> None:
        assert web.typed("set_variable", key=key, value="v").status == 201
        assert web.typed("get_variable", key=key).json["value"] == "v"

    @pytest.mark.parametrize("key", ["", "x" * 251, None, 3])
    def test_an_invalid_key_is_an_error(self, fresh: Any, key: Any) -> None:
        with pytest.raises(errors.Invalid):
            put("v", key=key)

    def test_null_is_not_a_value(self, fresh: Any) -> None:
        with pytest.raises(errors.Invalid, match="value"):
            put(None)

    def test_a_new_variable_is_201_and_an_existing_one_200(self, web: Any) -> None:
        assert web.typed("set_variable", key="k", value="1").status == 201
        assert web.typed("set_variable", key="k", value="2").status == 200
        assert native_api.call("list_variables")["total_entries"] == 1

    def test_the_description_is_unchanged_if_it_is_omitted(self, fresh: Any) -> None:
        put("1", description="what it is for")
        assert put("2")["description"] == "what it is for"
        assert put("3", description="new")["description"] == "new"
        assert put("4", description=None)["description"] is None

    @pytest.mark.parametrize("text", ["{", "", "NaN", "'a'"])
    def test_json_of_a_text_that_is_not_json_is_an_error(self, fresh: Any, text: str) -> None:
        put(text)
        with pytest.raises(errors.Invalid) as caught:
            get(json=True)
        assert list(caught.value.errors) == ["json"]

    @pytest.mark.parametrize("default", ["d", "", None, 3, {"a": 1}])
    def test_the_default_is_returned_for_a_missing_variable(self, fresh: Any, default: Any) -> None:
        assert get(default=default) == {"key": "k", "value": default}
        put("v")
        assert get(default=default)["value"] == "v"

    def test_a_missing_variable_is_not_found(self, fresh: Any) -> None:
        with pytest.raises(errors.VariableNotFound):
            get()

    def test_the_environment_has_priority_in_the_python_api(self, fresh: Any, monkeypatch: Any) -> None:
        """As when Airflow reads a variable."""
        put("database")
        monkeypatch.setenv("AIRFLOW_VAR_K", "environment")
        assert get()["value"] == "environment"


class TestSecrets:
    def test_a_response_masks_sensitive_values(self, fresh: Any) -> None:
        assert put("hunter2", key="db_password")["value"] == "***"
        assert put({"password": "hunter2", "user": "ada"}, key="login")["value"] == '{"password": "***", "user": "ada"}'

    def test_a_list_masks_sensitive_values(self, fresh: Any) -> None:
        put("hunter2", key="db_password")
        put("open", key="greeting")
        assert {v["key"]: v["value"] for v in native_api.call("list_variables")["variables"]} == {
            "db_password": "***",
            "greeting": "open",
        }

    def test_a_value_is_not_masked_because_another_one_has_the_same_text(self, fresh: Any) -> None:
        """Masking depends on names, not on what the process has read before."""
        put("a-common-word", key="db_password")
        get("db_password")
        put("holds a-common-word too", key="greeting")
        assert get("greeting")["value"] == "holds a-common-word too"
        assert native_api.call("list_variables", key_pattern="greet")["variables"][0]["value"].endswith("word too")

    @pytest.mark.parametrize("login, status", [("admin", 200), ("op", 200), ("user", 403), ("viewer", 403)])
    def test_a_sensitive_value_is_unmasked_and_requires_permission_to_edit(
        self, web: Any, login: str, status: int
    ) -> None:
        """It is never returned masked, since a client could store the mask."""
        put("hunter2", key="db_password")
        response = web.typed("get_variable", login=login, key="db_password")
        assert response.status == status
        assert ("hunter2" in response.text) == (status == 200)
        assert "***" not in response.text

    def test_a_caller_without_permission_to_edit_reads_other_values_only(self, web: Any, mocker: Any) -> None:
        put("hunter2", key="db_password")
        put("open", key="greeting")
        mocker.patch(
            f"{USER}.may",
            lambda self, access, identifier=None: access.method == "GET",
        )
        assert web.typed("get_variable", login="viewer", key="greeting").json["value"] == "open"
        response = web.typed("get_variable", login="viewer", key="db_password")
        assert (response.status, "hunter2" in response.text) == (403, False)
        assert response.json["permission"] == "edit the variable 'db_password'"

    def test_the_audit_log_masks_sensitive_values(self, web: Any) -> None:
        web.typed("set_variable", login="admin", key="db_password", value="hunter2")
        web.typed("set_variable", login="admin", key="login", value={"token": "hunter2"})
        from tests.support.airflow_under_test import audit_rows

        rows = audit_rows()
        assert len(rows) == 2
        assert all("hunter2" not in row.extra for row in rows)
        assert json.loads(rows[0].extra) == {"key": "db_password", "value": "***"}


class TestList:
    def test_it_has_pages_an_order_and_a_pattern(self, fresh: Any) -> None:
        for key in ("b", "a", "c_1", "c_2"):
            put("v", key=key)

        def keys(**arguments: Any) -> Any:
            return [v["key"] for v in native_api.call("list_variables", **arguments)["variables"]]

        assert keys() == ["a", "b", "c_1", "c_2"]
        assert keys(order_by="-key", limit=2) == ["c_2", "c_1"]
        assert keys(order_by="id") == ["b", "a", "c_1", "c_2"]
        assert keys(key_pattern="c") == ["c_1", "c_2"]
        assert keys(offset=3) == ["c_2"]
        assert native_api.call("list_variables", key_pattern="c", limit=1)["total_entries"] == 2

    def test_the_number_of_queries_is_fixed(self, fresh: Any) -> None:
        from tests.support.queries import statements

        for number in range(20):
            put("v", key=f"k{number}")
        with statements() as seen:
            assert len(native_api.call("list_variables")["variables"]) == 20
        assert len(seen) == 1

    @pytest.mark.parametrize("offset", range(5))
    @pytest.mark.parametrize("limit", range(1, 5))
    def test_every_page_has_the_total(self, fresh: Any, limit: int, offset: int) -> None:
        for key in "abc":
            put("v", key=key)
        page = native_api.call("list_variables", limit=limit, offset=offset)
        assert [row["key"] for row in page["variables"]] == ["a", "b", "c"][offset : offset + limit]
        assert page["total_entries"] == 3


class TestDelete:
    def test_a_deleted_variable_is_not_found(self, fresh: Any) -> None:
        put("v")
        assert native_api.call("delete_variable", key="k") == {"key": "k"}
        with pytest.raises(errors.VariableNotFound):
            native_api.call("delete_variable", key="k")


def test_a_write_is_rolled_back_if_the_audit_log_fails(fresh: Any, mocker: Any) -> None:
    mocker.patch("native_api.audit.record", side_effect=RuntimeError("no audit"))
    with pytest.raises(RuntimeError):
        put("v")
    assert native_api.call("list_variables")["total_entries"] == 0
