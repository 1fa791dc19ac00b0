"""import_variables, export_variables, save_variables, and the files on the server."""

from __future__ import annotations

import json
import os
import stat
from pathlib import Path
from typing import Any, Dict

import pytest

import native_api
from native_api import errors, operations
from tests.airflow_under_test import audit_rows, version
from tests.test_contract import is_problem
from tests.test_variables import TEXTS

MULTIPART = {"Content-Type": "multipart/form-data; boundary=x"}


@pytest.fixture
def folder(fresh: Any, tmp_path: Path, monkeypatch: Any) -> Path:
    """Return a folder of files of its own, with a secret beside it."""
    (tmp_path / "secret").write_text('{"stolen": "1"}')
    monkeypatch.setenv("AIRFLOW__NATIVE_API__FILES_DIR", str(tmp_path / "files"))
    (tmp_path / "files" / "below").mkdir(parents=True)
    return tmp_path / "files"


def put(key: str, value: Any, **said: Any) -> Any:
    return native_api.call("set_variable", key=key, value=value, **said)


def bring(variables: Any, **said: Any) -> Any:
    return native_api.call("import_variables", variables=variables, **said)


def export() -> Dict[str, Any]:
    exported: Dict[str, Any] = native_api.call("export_variables")["variables"]
    return exported


def stored() -> Dict[str, Any]:
    """Return the texts that are stored, by key."""
    return {v["key"]: v["value"] for v in native_api.call("list_variables")["variables"]}


def part(name: str, content: bytes, file: bool = False) -> bytes:
    filename = '; filename="f"' if file else ""
    return f'--x\r\nContent-Disposition: form-data; name="{name}"{filename}\r\n\r\n'.encode() + content + b"\r\n"


class TestImport:
    def test_values_of_all_kinds(self, fresh: Any) -> None:
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
    def test_value_and_description(self, fresh: Any, said: Any, value: Any, description: Any) -> None:
        """As newer Airflows export them; an object with anything else is a value."""
        bring({"k": said})
        variable = native_api.call("get_variable", key="k")
        assert (variable["value"], variable["description"]) == (value, description)

    def test_a_description_that_is_not_named_stays(self, fresh: Any) -> None:
        put("a", "1", description="what it is for")
        put("b", "1", description="what it is for")
        bring({"a": "2", "b": {"value": "2", "description": None}})
        assert native_api.call("get_variable", key="a")["description"] == "what it is for"
        assert native_api.call("get_variable", key="b")["description"] is None

    @pytest.mark.parametrize(
        "on_conflict, left, updated, skipped",
        [("overwrite", {"a": "2", "b": "2"}, ["a"], []), ("skip", {"a": "1", "b": "2"}, [], ["a"])],
    )
    def test_conflicts(self, web: Any, on_conflict: str, left: Any, updated: Any, skipped: Any) -> None:
        put("a", "1")
        answer = web.typed("import_variables", variables={"a": "2", "b": "2"}, on_conflict=on_conflict)
        assert answer.status == 201
        assert (answer.json["updated"], answer.json["skipped"]) == (updated, skipped)
        assert stored() == left

    def test_fail_on_conflict(self, web: Any) -> None:
        put("a", "1")
        answer = web.typed("import_variables", variables={"a": "2", "b": "2"}, on_conflict="fail")
        is_problem(answer, 409)
        assert answer.json["keys"] == ["a"]
        assert stored() == {"a": "1"}

    def test_nothing_new(self, web: Any) -> None:
        put("a", "1")
        assert web.typed("import_variables", variables={"a": "2"}).status == 200
        assert web.typed("import_variables", variables={}).status == 200

    def test_all_or_nothing(self, fresh: Any, mocker: Any) -> None:
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
    def test_what_is_refused(self, fresh: Any, variables: Any, wrong: str) -> None:
        """All of it, and the key is named."""
        with pytest.raises(errors.Invalid) as caught:
            bring({"good": "1", **variables})
        assert list(caught.value.errors["variables"]) == [wrong]
        assert stored() == {}

    @pytest.mark.parametrize("content", ["", "x", "[1]", "1", "null", '{"a": NaN}', '{"a": "\\ud800"}', "[" * 100000])
    def test_what_is_no_object(self, web: Any, content: str) -> None:
        with pytest.raises(errors.Invalid):
            bring(content)
        body = part("variables", content.encode(), file=True) + b"--x--\r\n"
        is_problem(web.request("POST", "/native_api/v1/import_variables", body=body, headers=MULTIPART), 422)

    @pytest.mark.parametrize("said", [{}, {"variables": {}, "file": "f"}])
    def test_one_source(self, fresh: Any, said: Any) -> None:
        with pytest.raises(errors.Invalid):
            native_api.call("import_variables", **said)

    def test_who_may_create_and_not_edit(self, web: Any, mocker: Any) -> None:
        put("old", "1")
        mocker.patch(
            "native_api.adapters.seam.rights.User.may", lambda self, access, identifier=None: access.method == "POST"
        )
        assert web.typed("import_variables", login="user", variables={"new": "1"}).status == 201
        answer = web.typed("import_variables", login="user", variables={"newer": "1", "old": "2"})
        is_problem(answer, 403)
        assert answer.json["permission"] == "edit the variable 'old'"
        assert stored() == {"new": "1", "old": "1"}

    def test_the_audit_row_names_the_keys_and_no_value(self, web: Any) -> None:
        web.typed("import_variables", login="admin", variables={f"k{n:03}": "hunter2" for n in range(150)})
        (row,) = audit_rows()
        assert "hunter2" not in row.extra
        assert json.loads(row.extra)["variables"][0] == "k000"
        assert json.loads(row.extra)["variables"][-1] == "and 50 more"


class TestUpload:
    def test_a_file(self, web: Any) -> None:
        body = part("variables", '\ufeff{"a": "ü"}'.encode(), file=True) + part("on_conflict", b"fail") + b"--x--\r\n"
        answer = web.request("POST", "/native_api/v1/import_variables", body=body, headers=MULTIPART)
        assert answer.status == 201, answer.text
        assert stored() == {"a": "ü"}

    def test_the_text_in_a_form(self, web: Any) -> None:
        answer = web.request("POST", "/native_api/v1/import_variables", form={"variables": '{"a": "1"}'})
        assert answer.status == 201
        assert stored() == {"a": "1"}

    def test_a_file_where_none_is_wanted(self, web: Any) -> None:
        body = part("key", b"k") + part("value", b"v", file=True) + b"--x--\r\n"
        answer = web.request("POST", "/native_api/v1/set_variable", body=body, headers=MULTIPART)
        is_problem(answer, 422)
        assert answer.json["errors"] == {"value": ["Takes no file."]}

    def test_no_text(self, web: Any) -> None:
        body = part("variables", b"\xff\xfe", file=True) + b"--x--\r\n"
        is_problem(web.request("POST", "/native_api/v1/import_variables", body=body, headers=MULTIPART), 422)

    def test_it_is_documented(self, web: Any) -> None:
        paths = web.request("GET", "/native_api/openapi.json").json["paths"]
        content = paths["/import_variables"]["post"]["requestBody"]["content"]["multipart/form-data"]
        assert content["schema"]["properties"]["variables"] == {"type": "string", "format": "binary"}


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
    def test_nothing_is_lost_on_the_way(self, web: Any, text: str) -> None:
        """Text stays as it is; JSON says the same."""
        put("k", text, description="d")
        put("j", text)
        exported = web.typed("export_variables").text
        native_api.call("delete_variable", key="k")
        native_api.call("delete_variable", key="j")
        answer = web.request(
            "POST",
            "/native_api/v1/import_variables",
            body=exported.encode(),
            headers={"Content-Type": "application/json"},
        )
        assert answer.status == 201, answer.text
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
    def test_the_form_is_that_of_airflow(self, fresh: Any, text: str, shown: Any) -> None:
        """What JSON can say is said in JSON."""
        put("k", text)
        assert export() == {"k": shown}

    @pytest.mark.parametrize("login, status", [("admin", 200), ("op", 200), ("user", 403), ("viewer", 403)])
    def test_who_may_edit_sees_true_values(self, web: Any, login: str, status: int) -> None:
        put("db_password", "hunter2")
        answer = web.typed("export_variables", login=login)
        assert (answer.status, "hunter2" in answer.text) == (status, status == 200)

    def test_who_may_read_but_not_edit(self, web: Any, mocker: Any) -> None:
        put("greeting", "open")
        mocker.patch(
            "native_api.adapters.seam.rights.User.may", lambda self, access, identifier=None: access.method == "GET"
        )
        assert web.typed("export_variables", login="viewer").json == {"variables": {"greeting": "open"}}
        put("db_password", "hunter2")
        answer = web.typed("export_variables", login="viewer")
        is_problem(answer, 403)
        assert answer.json["permission"] == "edit the variable 'db_password'"

    def test_the_number_of_queries_is_fixed(self, fresh: Any) -> None:
        from tests.queries import statements

        bring({f"k{n}": "v" for n in range(20)})
        with statements() as seen:
            assert len(export()) == 20
        assert len(seen) == 1


class TestFiles:
    def test_there_and_back(self, web: Any, folder: Path) -> None:
        put("a", "1", description="d")
        put("b", {"x": 1})
        answer = web.typed("save_variables", file="below/v.json")
        assert (answer.status, answer.json) == (200, {"file": "below/v.json", "total_entries": 2})
        file = folder / "below" / "v.json"
        assert json.loads(file.read_text()) == {"a": {"value": 1, "description": "d"}, "b": {"x": 1}}
        native_api.call("delete_variable", key="a")
        assert native_api.call("import_variables", file=str(file))["created"] == ["a"]
        assert stored()["a"] == "1"

    def test_only_its_owner_may_read_it(self, fresh: Any, tmp_path: Path, monkeypatch: Any) -> None:
        """Nor the folder, which is made where it is missing."""
        monkeypatch.setenv("AIRFLOW__NATIVE_API__FILES_DIR", str(tmp_path / "new" / "files"))
        native_api.call("save_variables", file="v.json")
        made = tmp_path / "new" / "files"
        assert stat.S_IMODE(made.stat().st_mode) == 0o700
        assert stat.S_IMODE((made / "v.json").stat().st_mode) == 0o600

    def test_the_old_file_is_replaced_whole(self, folder: Path, mocker: Any) -> None:
        file = folder / "v.json"
        file.write_text("old" * 1000)
        with file.open() as reader:
            native_api.call("save_variables", file="v.json")
            assert reader.read() == "old" * 1000, "who reads the old one goes on reading that"
        assert file.read_text() == "{}"

    def test_what_fails_leaves_the_old_file(self, folder: Path, mocker: Any) -> None:
        (folder / "v.json").write_text("old")
        mocker.patch("os.fsync", side_effect=OSError(28, "No space left on device"))
        with pytest.raises(errors.Refused, match="No space left on device"):
            native_api.call("save_variables", file="v.json")
        assert (folder / "v.json").read_text() == "old"
        assert sorted(os.listdir(folder)) == ["below", "v.json"]

    @pytest.mark.parametrize(
        "file",
        [
            "../secret",
            "below/../../secret",
            "{files}/../secret",
            "{files}",
            "{files}x/secret",
            "/etc/passwd",
            "//etc/passwd",
            "..",
            ".",
            "below",
            "below/",
            "x\0y",
            "\udc80",
            "link",
            "linked/secret",
            "below/v.json/x",
        ],
    )
    def test_no_way_out(self, folder: Path, file: str) -> None:
        """Neither to read nor to write."""
        (folder / "link").symlink_to(folder.parent / "secret")
        (folder / "linked").symlink_to(folder.parent)
        (folder / "below" / "v.json").write_text("{}")
        for name in ("import_variables", "save_variables"):
            with pytest.raises(errors.NotInFilesDir):
                native_api.call(name, file=file.format(files=folder))
        assert stored() == {}
        assert sorted(os.listdir(folder.parent)) == ["files", "secret"]
        assert (folder.parent / "secret").read_text() == '{"stolen": "1"}'
        assert (folder / "link").is_symlink()

    def test_a_pipe(self, folder: Path) -> None:
        """It would be waited for."""
        os.mkfifo(folder / "pipe")
        with pytest.raises(errors.NotInFilesDir):
            native_api.call("import_variables", file="pipe")

    @pytest.mark.parametrize("file", ["nothing.json", "nowhere/v.json"])
    def test_nothing_there(self, web: Any, folder: Path, file: str) -> None:
        is_problem(web.typed("import_variables", file=file), 404)

    def test_a_folder_that_is_not_there(self, web: Any, folder: Path) -> None:
        is_problem(web.typed("save_variables", file="nowhere/v.json"), 404)

    def test_a_name_that_is_too_long(self, web: Any, folder: Path) -> None:
        is_problem(web.typed("save_variables", file="x" * 300), 409)

    def test_a_file_that_is_too_large(self, web: Any, folder: Path, monkeypatch: Any) -> None:
        (folder / "v.json").write_text(json.dumps({"k": "x" * 2000}))
        monkeypatch.setenv("AIRFLOW__NATIVE_API__BODY_BYTES", "1000")
        answer = web.typed("import_variables", file="v.json")
        is_problem(answer, 422)
        assert list(answer.json["errors"]) == ["file"]

    def test_a_file_that_says_something_else(self, web: Any, folder: Path) -> None:
        (folder / "v.json").write_text('{"k": "***"}')
        answer = web.typed("import_variables", file="v.json")
        is_problem(answer, 422)
        assert list(answer.json["errors"]["file"]) == ["k"]

    def test_writing_one_is_a_write(self, web: Any, folder: Path) -> None:
        web.typed("save_variables", login="admin", file="v.json")
        assert [row.event for row in audit_rows()] == ["native_api.save_variables"]


class TestLegacy:
    def test_out_of_the_folder(self, web: Any, folder: Path) -> None:
        for name in ("import", "export"):
            answer = web.legacy("variables", **{name: str(folder.parent / "secret")})
            assert (answer.status, answer.json["status"]) == (403, "ERROR")
        assert stored() == {}

    def test_the_commands(self, web: Any, folder: Path) -> None:
        answer = web.legacy("variables", export="v.json")
        assert answer.json["output"]["stdout"] == "0 variables successfully exported to v.json\n"
        assert answer.json["airflow_cmd"] == f"airflow variables export {folder}/v.json"
        answer = web.legacy("variables", **{"import": "v.json"})
        assert answer.json["airflow_cmd"] == f"airflow variables import {folder}/v.json"


@pytest.mark.parametrize("on_conflict", ["overwrite", "fail", "skip"])
def test_the_command_of_an_import_is_one_that_this_airflow_has(folder: Path, on_conflict: str) -> None:
    from airflow.cli.cli_parser import get_parser

    operation = operations.get("import_variables")
    words = operation.command(operation.request.load({"file": "v.json", "on_conflict": on_conflict}))
    if version() == (2, 7) and on_conflict != "overwrite":
        assert words is None
    else:
        assert words is not None
        get_parser().parse_args(words)
