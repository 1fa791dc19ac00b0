"""save_variables and import_variables with files on the server."""

from __future__ import annotations

import json
import os
import stat
from pathlib import Path
from typing import Any, Callable, Dict

import pytest

import native_api
from native_api import errors, registry
from native_api.adapters import server_files
from tests.support.airflow_under_test import audit_rows, version
from tests.support.problems import assert_problem
from tests.support.uploads import MULTIPART, part
from tests.support.variables import put, stored


class TestFiles:
    def test_import_variables_reads_what_save_variables_wrote(self, web: Any, folder: Path) -> None:
        put("a", "1", description="d")
        put("b", {"x": 1})
        response = web.typed("save_variables", file="below/v.json")
        assert (response.status, response.json) == (200, {"file": "below/v.json", "total_entries": 2})
        file = folder / "below" / "v.json"
        assert json.loads(file.read_text()) == {"a": {"value": 1, "description": "d"}, "b": {"x": 1}}
        native_api.call("delete_variable", key="a")
        assert native_api.call("import_variables", file=str(file))["created"] == ["a"]
        assert stored()["a"] == "1"

    def test_only_the_user_of_airflow_can_read_the_file(self, fresh: Any, tmp_path: Path, monkeypatch: Any) -> None:
        """Nor the folder, which is created if it is missing."""
        monkeypatch.setenv("AIRFLOW__NATIVE_API__FILES_DIR", str(tmp_path / "new" / "files"))
        native_api.call("save_variables", file="v.json")
        made = tmp_path / "new" / "files"
        assert stat.S_IMODE(made.stat().st_mode) == 0o700
        assert stat.S_IMODE((made / "v.json").stat().st_mode) == 0o600

    def test_the_file_is_replaced_atomically(self, folder: Path, mocker: Any) -> None:
        file = folder / "v.json"
        file.write_text("old" * 1000)
        with file.open() as reader:
            native_api.call("save_variables", file="v.json")
            assert reader.read() == "old" * 1000, "who reads the old one goes on reading that"
        assert file.read_text() == "{}"

    def test_a_failed_write_leaves_the_old_file(self, folder: Path, mocker: Any) -> None:
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
            "link",
            "linked/secret",
            "below/v.json/x",
        ],
    )
    def test_a_path_out_of_files_dir_is_403(self, folder: Path, file: str) -> None:
        """To read and to write."""
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

    @pytest.mark.parametrize("file", ["x\0y", "\udc80"])
    @pytest.mark.parametrize("name", ["import_variables", "save_variables"])
    def test_a_text_that_is_not_a_path_is_invalid(self, folder: Path, name: str, file: str) -> None:
        with pytest.raises(errors.Invalid) as caught:
            native_api.call(name, file=file)
        assert list(caught.value.errors) == ["file"]
        assert sorted(os.listdir(folder.parent)) == ["files", "secret"]

    def test_a_pipe_is_not_read(self, folder: Path) -> None:
        """Reading it would block."""
        os.mkfifo(folder / "pipe")
        with pytest.raises(errors.NotInFilesDir):
            native_api.call("import_variables", file="pipe")

    @pytest.mark.parametrize("file", ["nothing.json", "nowhere/v.json"])
    def test_a_missing_file_is_404(self, web: Any, folder: Path, file: str) -> None:
        assert_problem(web.typed("import_variables", file=file), 404)

    def test_a_missing_folder_is_404(self, web: Any, folder: Path) -> None:
        assert_problem(web.typed("save_variables", file="nowhere/v.json"), 404)

    def test_a_name_that_is_too_long_is_422(self, web: Any, folder: Path) -> None:
        assert_problem(web.typed("save_variables", file="x" * 300), 422)

    def test_a_file_larger_than_body_bytes_is_422(self, web: Any, folder: Path, monkeypatch: Any) -> None:
        (folder / "v.json").write_text(json.dumps({"k": "x" * 2000}))
        monkeypatch.setenv("AIRFLOW__NATIVE_API__BODY_BYTES", "1000")
        response = web.typed("import_variables", file="v.json")
        assert_problem(response, 422)
        assert list(response.json["errors"]) == ["file"]

    def test_a_file_with_masked_values_is_422(self, web: Any, folder: Path) -> None:
        (folder / "v.json").write_text('{"k": "***"}')
        response = web.typed("import_variables", file="v.json")
        assert_problem(response, 422)
        assert list(response.json["errors"]["file"]) == ["k"]

    def test_save_variables_writes_the_audit_log(self, web: Any, folder: Path) -> None:
        web.typed("save_variables", login="admin", file="v.json")
        assert [row.event for row in audit_rows()] == ["native_api.save_variables"]


class TestLegacy:
    def test_a_path_out_of_files_dir_is_403_in_the_old_protocol(self, web: Any, folder: Path) -> None:
        for name in ("import", "export"):
            response = web.legacy("variables", **{name: str(folder.parent / "secret")})
            assert (response.status, response.json["status"]) == (403, "ERROR")
        assert stored() == {}

    def test_the_command_has_the_full_path_of_the_file(self, web: Any, folder: Path) -> None:
        response = web.legacy("variables", export="v.json")
        assert response.json["output"]["stdout"] == "0 variables successfully exported to v.json\n"
        assert response.json["airflow_cmd"] == f"airflow variables export {folder}/v.json"
        response = web.legacy("variables", **{"import": "v.json"})
        assert response.json["airflow_cmd"] == f"airflow variables import {folder}/v.json"


@pytest.mark.parametrize("on_conflict", ["overwrite", "fail", "skip"])
def test_the_command_of_an_import_is_valid_in_this_airflow(folder: Path, on_conflict: str) -> None:
    from airflow.cli.cli_parser import get_parser

    operation = registry.get("import_variables")
    words = operation.command(operation.request.load({"file": "v.json", "on_conflict": on_conflict}))
    if version() == (2, 7) and on_conflict != "overwrite":
        assert words is None
    else:
        assert words is not None
        get_parser().parse_args(words)


#: What a site may have: its names and values are such as could be taken for something else.
SITES = [
    pytest.param({"a": "1", "b": '{"x": [1]}'}, id="some variables"),
    pytest.param({"variables": '{"a": 1}'}, id="one named variables"),
    pytest.param({"variables": '{"value": {"a": 1}}', "warnings": '["w"]'}, id="variables and warnings"),
    pytest.param({"variables": '[{"key": "a"}]'}, id="a list named variables"),
    pytest.param({"variables": "text"}, id="a text named variables"),
    pytest.param({"value": "1"}, id="one named value"),
    pytest.param({"value": '{"value": 1, "description": null}'}, id="an entry named value"),
    pytest.param({"value": "1", "description": "text"}, id="the fields of an entry"),
    pytest.param({"value": '{"a": 1}', "description": '{"a": 1}'}, id="objects named as the fields"),
    pytest.param({"connections": '{"c": {"conn_type": "http"}}'}, id="one named connections"),
    pytest.param({"pools": '{"p": {"slots": 1}}'}, id="one named pools"),
    pytest.param({}, id="none"),
]


class TestExportedFiles:
    """An exported file can be imported, however it is sent, and conflicts are noticed."""

    @pytest.fixture(params=SITES)
    def texts(self, request: Any, folder: Path, web: Any) -> Any:
        for number, (key, text) in enumerate(request.param.items()):
            native_api.call("set_variable", key=key, value=text, description="d" if number else None)
        return request.param

    def check(self, texts: Dict[str, str], send: Callable[[str], Any]) -> None:
        """Import a file when no variable exists, and again when all exist."""
        before = native_api.call("list_variables")["variables"]
        for key in texts:
            native_api.call("delete_variable", key=key)
        assert send("overwrite") in (200, 201)
        after = native_api.call("list_variables")["variables"]
        assert [_plain(row) for row in after] == [_plain(row) for row in before]
        assert send("fail") == (409 if texts else 200)

    def test_it_can_be_uploaded(self, web: Any, texts: Any) -> None:
        exported = web.typed("export_variables").text.encode()

        def send(on_conflict: str) -> int:
            parts = (part("variables", exported, file=True), part("on_conflict", on_conflict.encode()))
            status: int = web.request("POST", PATH, body=b"".join(parts) + b"--x--\r\n", headers=MULTIPART).status
            return status

        self.check(texts, send)

    def test_it_can_be_the_body(self, web: Any, texts: Any) -> None:
        exported = web.typed("export_variables").json
        self.check(texts, lambda word: web.request("POST", PATH, json={**exported, "on_conflict": word}).status)

    def test_it_can_be_an_argument(self, web: Any, texts: Any) -> None:
        exported = web.typed("export_variables").json
        self.check(texts, lambda word: web.typed("import_variables", variables=exported, on_conflict=word).status)

    def test_it_can_be_a_file_on_the_server(self, web: Any, texts: Any) -> None:
        """An export that was saved there, or a file of save_variables."""
        server_files.replace("exported.json", web.typed("export_variables").text.encode())
        native_api.call("save_variables", file="saved.json")
        for file in ("exported.json", "saved.json"):
            sent = {"operation": "import_variables", "file": file}
            self.check(texts, lambda word, sent=sent: web.typed(**sent, on_conflict=word).status)  # type: ignore[misc]

    def test_it_can_be_imported_with_the_old_protocol(self, web: Any, texts: Any) -> None:
        before = native_api.call("list_variables")["variables"]
        server_files.replace("exported.json", web.typed("export_variables").text.encode())
        for key in texts:
            native_api.call("delete_variable", key=key)
        assert web.legacy("variables", **{"import": "exported.json"}).status == 200
        after = native_api.call("list_variables")["variables"]
        assert [_plain(row) for row in after] == [_plain(row) for row in before]


def _plain(row: Any) -> Any:
    """Return the key, the description and the value of a variable, whatever the spaces in its JSON."""
    try:
        value = json.loads(row["value"])
    except ValueError:
        value = row["value"]
    return row["key"], value, row["description"]


@pytest.mark.parametrize(
    "content, sentence",
    [
        pytest.param({"variables": {"value": 1}}, "ambiguous", id="one variable or another"),
        pytest.param({"variables": [{"key": "a", "value": "***"}], "total_entries": 1}, "masked", id="a list"),
        pytest.param({"connections": {"c": {"conn_type": "http"}}}, "import_connections", id="connections"),
        pytest.param({"pools": {"p": {"slots": 1}}}, "import_pools", id="pools"),
    ],
)
def test_an_ambiguous_file_is_refused(fresh: Any, folder: Path, content: Any, sentence: str) -> None:
    server_files.replace("doubtful.json", json.dumps(content).encode())
    for arguments in ({"file": "doubtful.json"}, {"variables": content}):
        for on_conflict in ("overwrite", "fail"):
            with pytest.raises(errors.Invalid, match=sentence):
                native_api.call("import_variables", on_conflict=on_conflict, **arguments)
    assert native_api.call("list_variables")["total_entries"] == 0


def test_import_entries_limits_an_import(fresh: Any, monkeypatch: Any) -> None:
    monkeypatch.setenv("AIRFLOW__NATIVE_API__IMPORT_ENTRIES", "2")
    assert native_api.call("import_variables", variables={"a": 1, "b": 2})["total_entries"] == 2
    for operation in ("import_variables", "import_pools", "import_connections"):
        with pytest.raises(errors.Invalid, match="maximum is 2"):
            native_api.call(operation, **{operation[7:]: {"a": 1, "b": 2, "c": 3}})


PATH = "/native_api/v1/import_variables"


class TestNames:
    """save_variables accepts plain file names only, as deploy_dag does, and does not fill the folder."""

    @pytest.mark.parametrize("file", [".hidden", "a/.b", "a\\b", "a\nb", "a\x7f", "x" * 256 + ".json"])
    def test_another_name_is_invalid(self, folder: Path, fresh: Any, file: str) -> None:
        with pytest.raises(errors.Invalid) as caught:
            native_api.call("save_variables", file=file)
        assert list(caught.value.errors) == ["file"]
        assert [path.name for path in folder.iterdir()] == ["below"]

    def test_files_kept_limits_the_files_in_a_folder(self, folder: Path, fresh: Any, monkeypatch: Any) -> None:
        monkeypatch.setenv("AIRFLOW__NATIVE_API__FILES_KEPT", "2")
        for file in ("a", "b", "b"):
            native_api.call("save_variables", file=file)
        with pytest.raises(errors.Refused, match="files_kept"):
            native_api.call("save_variables", file="c")
        assert sorted(path.name for path in folder.iterdir()) == ["a", "b", "below"]
