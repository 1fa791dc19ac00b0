"""import_variables, inline or as an uploaded file."""

from __future__ import annotations

import json
from typing import Any

import pytest

import native_api
from native_api import errors
from tests.support.airflow_under_test import audit_rows
from tests.support.auth_managers import USER
from tests.support.problems import assert_problem
from tests.support.uploads import MULTIPART, part
from tests.support.variables import bring, put, stored


class TestImport:
    def test_values_can_be_any_json(self, fresh: Any) -> None:
        done = bring({"text": "a", "number": 1, "object": {"a": [1]}, "null": None, "yes": True})
        assert done == {
            "created": ["null", "number", "object", "text", "yes"],
            "updated": [],
            "skipped": [],
            "total_entries": 5,
        }
        assert {key: json.loads(value) for key, value in stored().items() if key != "text"} == {
            "number": 1,
            "object": {"a": [1]},
            "null": None,
            "yes": True,
        }

    @pytest.mark.parametrize(
        "said, value, description",
        [
            ({"value": "v", "description": "d"}, "v", "d"),
            ({"value": {"a": 1}, "description": None}, '{\n  "a": 1\n}', None),
            ({"value": "v"}, "v", None),
            ({"value": 1, "unit": "kg"}, '{\n  "value": 1,\n  "unit": "kg"\n}', None),
            ({"description": "d"}, '{\n  "description": "d"\n}', None),
        ],
    )
    def test_an_entry_can_have_a_value_and_a_description(
        self, fresh: Any, said: Any, value: Any, description: Any
    ) -> None:
        """As newer versions of Airflow export them; another object is a value."""
        bring({"k": said})
        variable = native_api.call("get_variable", key="k")
        assert (variable["value"], variable["description"]) == (value, description)

    def test_a_description_is_unchanged_if_it_is_omitted(self, fresh: Any) -> None:
        put("a", "1", description="what it is for")
        put("b", "1", description="what it is for")
        bring({"a": "2", "b": {"value": "2", "description": None}})
        assert native_api.call("get_variable", key="a")["description"] == "what it is for"
        assert native_api.call("get_variable", key="b")["description"] is None

    @pytest.mark.parametrize(
        "on_conflict, left, updated, skipped",
        [("overwrite", {"a": "2", "b": "2"}, ["a"], []), ("skip", {"a": "1", "b": "2"}, [], ["a"])],
    )
    def test_on_conflict_can_overwrite_or_skip(
        self, web: Any, on_conflict: str, left: Any, updated: Any, skipped: Any
    ) -> None:
        put("a", "1")
        response = web.typed("import_variables", variables={"a": "2", "b": "2"}, on_conflict=on_conflict)
        assert response.status == 201
        assert (response.json["updated"], response.json["skipped"]) == (updated, skipped)
        assert stored() == left

    def test_on_conflict_can_fail(self, web: Any) -> None:
        put("a", "1")
        response = web.typed("import_variables", variables={"a": "2", "b": "2"}, on_conflict="fail")
        assert_problem(response, 409)
        assert response.json["keys"] == ["a"]
        assert stored() == {"a": "1"}

    def test_an_import_that_creates_nothing_is_200(self, web: Any) -> None:
        put("a", "1")
        assert web.typed("import_variables", variables={"a": "2"}).status == 200
        assert web.typed("import_variables", variables={}).status == 200

    def test_a_failed_import_changes_nothing(self, fresh: Any, mocker: Any) -> None:
        from airflow.models.variable import Variable

        put("a", "1")
        real = Variable.set

        def failing(key: str, *args: Any, **kwargs: Any) -> None:
            if key == "c":
                raise RuntimeError("no c")
            real(key, *args, **kwargs)

        mocker.patch.object(Variable, "set", failing)
        with pytest.raises(RuntimeError):
            bring({"a": "2", "b": "2", "c": "2"})
        assert stored() == {"a": "1"}

    @pytest.mark.parametrize(
        "variables, wrong",
        [
            ({"": "1"}, ""),
            ({"x" * 251: "1"}, "x" * 251),
            ({"k": "***"}, "k"),
            ({"k": {"value": "***"}}, "k"),
            ({"k": {"password": "***"}}, "k"),
            ({"k": '{"password": ["***"]}'}, "k"),
            ({"k": {"value": "1", "description": 2}}, "k"),
        ],
    )
    def test_one_invalid_variable_refuses_the_import(self, fresh: Any, variables: Any, wrong: str) -> None:
        """The error names its key."""
        with pytest.raises(errors.Invalid) as caught:
            bring({"good": "1", **variables})
        assert list(caught.value.errors["variables"]) == [wrong]
        assert stored() == {}

    @pytest.mark.parametrize("content", ["", "x", "[1]", "1", "null", '{"a": NaN}', '{"a": "\\ud800"}', "[" * 100000])
    def test_an_import_must_be_an_object(self, web: Any, content: str) -> None:
        with pytest.raises(errors.Invalid):
            bring(content)
        body = part("variables", content.encode(), file=True) + b"--x--\r\n"
        assert_problem(web.request("POST", "/native_api/v1/import_variables", body=body, headers=MULTIPART), 422)

    @pytest.mark.parametrize("said", [{}, {"variables": {}, "file": "f"}])
    def test_exactly_one_source_is_required(self, fresh: Any, said: Any) -> None:
        with pytest.raises(errors.Invalid):
            native_api.call("import_variables", **said)

    def test_overwriting_requires_permission_to_edit(self, web: Any, mocker: Any) -> None:
        put("old", "1")
        mocker.patch(
            f"{USER}.may",
            lambda self, access, identifier=None: access.method == "POST",
        )
        assert web.typed("import_variables", login="user", variables={"new": "1"}).status == 201
        response = web.typed("import_variables", login="user", variables={"newer": "1", "old": "2"})
        assert_problem(response, 403)
        assert response.json["permission"] == "edit the variable 'old'"
        assert stored() == {"new": "1", "old": "1"}

    def test_the_audit_log_has_the_keys_and_no_values(self, web: Any) -> None:
        web.typed("import_variables", login="admin", variables={f"k{n:03}": "hunter2" for n in range(150)})
        (row,) = audit_rows()
        assert "hunter2" not in row.extra
        assert json.loads(row.extra)["variables"][0] == "k000"
        assert json.loads(row.extra)["variables"][-1] == "and 50 more"


class TestUpload:
    def test_a_file_can_be_uploaded(self, web: Any) -> None:
        body = part("variables", '\ufeff{"a": "ü"}'.encode(), file=True) + part("on_conflict", b"fail") + b"--x--\r\n"
        response = web.request("POST", "/native_api/v1/import_variables", body=body, headers=MULTIPART)
        assert response.status == 201, response.text
        assert stored() == {"a": "ü"}

    def test_a_form_can_have_the_text_of_the_file(self, web: Any) -> None:
        response = web.request("POST", "/native_api/v1/import_variables", form={"variables": '{"a": "1"}'})
        assert response.status == 201
        assert stored() == {"a": "1"}

    def test_a_file_for_another_argument_is_invalid(self, web: Any) -> None:
        body = part("key", b"k") + part("value", b"v", file=True) + b"--x--\r\n"
        response = web.request("POST", "/native_api/v1/set_variable", body=body, headers=MULTIPART)
        assert_problem(response, 422)
        assert response.json["errors"] == {"value": ["Does not accept a file."]}

    def test_a_file_that_is_not_utf8_is_422(self, web: Any) -> None:
        body = part("variables", b"\xff\xfe", file=True) + b"--x--\r\n"
        assert_problem(web.request("POST", "/native_api/v1/import_variables", body=body, headers=MULTIPART), 422)

    def test_the_openapi_document_describes_it(self, web: Any) -> None:
        """In the description: the declared body is JSON."""
        described = web.request("GET", "/native_api/openapi.json").json["paths"]["/import_variables"]["post"]
        assert set(described["requestBody"]["content"]) == {"application/json"}
        assert "multipart/form-data" in described["description"]
