"""refresh_dag and refresh_all_dags: when they return, the database has what the files define."""

from __future__ import annotations

import os
import zipfile
from pathlib import Path
from typing import Any, Dict, Iterator, List

import pytest

import native_api
from native_api import errors
from native_api.host import hostname
from tests.support import airflow_under_test, jobs_under_test
from tests.support.airflow_under_test import DAGS
from tests.support.auth_managers import USER
from tests.support.dag_files import ParsedFiles, import_errors, text_of
from tests.support.problems import assert_problem
from tests.support.versions import by_default_on

#: With 2.11 and 3.3 they run in another environment, with another Python.
pytestmark = by_default_on("2.7", "2.8", "2.9", "2.10", "3.0", "3.1", "3.2", "3.4")

ASKS_PROCESSOR = airflow_under_test.version() >= (2, 10)


def task_ids(dag_id: str) -> List[str]:
    return [task["task_id"] for task in native_api.call("list_tasks", dag_id=dag_id)["tasks"]]


def paused(dag_id: str) -> bool:
    (dag,) = native_api.call("list_dags", dag_id_pattern=dag_id)["dags"]
    return bool(dag["is_paused"])


def remove_missing(subdir: str = "DAGS_FOLDER") -> Dict[str, Any]:
    """Deactivate the DAGs of missing files."""
    response: Dict[str, Any] = native_api.call("refresh_all_dags", subdir=subdir, remove_missing=True)
    return response


def delete_dags() -> None:
    """Delete the DAGs of these tests."""
    for dag in native_api.call("list_dags", dag_id_pattern="refreshed", limit=100)["dags"]:
        native_api.call("delete_dag", dag_id=dag["dag_id"], force=True)


@pytest.fixture(scope="module")
def parsed_file(site: Any, airflow: Any) -> ParsedFiles:
    airflow.clean()
    return ParsedFiles({"refreshed.py": text_of("refreshed_one", "refreshed_two")})


@pytest.fixture
def file(fresh: Any, parsed_file: ParsedFiles) -> Iterator[Path]:
    """A file with two DAGs, which Airflow has parsed."""
    with parsed_file.there() as path:
        yield path


FOLDER = "DAGS_FOLDER/refreshed"


@pytest.fixture(scope="module")
def parsed_folder(site: Any, airflow: Any) -> ParsedFiles:
    airflow.clean()
    texts = {"refreshed.py": text_of("refreshed_one", "refreshed_two"), "another.py": text_of("refreshed_three")}
    return ParsedFiles({f"refreshed/{name}": text for name, text in texts.items()})


@pytest.fixture
def folder(fresh: Any, parsed_folder: ParsedFiles) -> Iterator[Path]:
    """A folder with such a file and another one: to parse the whole DAGs folder takes a second."""
    with parsed_folder.there() as path:
        yield path


def changes(response: Dict[str, Any]) -> Dict[str, Any]:
    return {name: response[name] for name in ("added", "changed", "removed")}


def test_a_change_is_stored_immediately(file: Path) -> None:
    """Airflow itself writes a DAG every 30 seconds at most."""
    for task_id in ("second", "third"):
        file.write_text(text_of("refreshed_one", "refreshed_two", task_id=task_id), encoding="utf-8")
        response = native_api.call("refresh_dag", dag_id="refreshed_one")
        assert changes(response) == {"added": [], "changed": ["refreshed_one", "refreshed_two"], "removed": []}
        assert task_ids("refreshed_one") == task_ids("refreshed_two") == [task_id]
        assert native_api.call("dag_source", dag_id="refreshed_one")["source"] == file.read_text(encoding="utf-8")
    native_api.call("trigger_dag", dag_id="refreshed_two", run_id="r")
    assert native_api.call("task_state", dag_id="refreshed_two", run_id="r", task_id="third")


def test_an_unchanged_file_is_reported_without_changes(file: Path) -> None:
    response = native_api.call("refresh_dag", dag_id="refreshed_one")
    assert changes(response) == {"added": [], "changed": [], "removed": []}
    (entry,) = response["files"]
    assert (entry["file"], entry["outcome"], entry["dag_ids"]) == (
        str(file),
        "loaded",
        ["refreshed_one", "refreshed_two"],
    )
    assert entry["seconds"] > 0
    assert response["asked_dag_processor"] is ASKS_PROCESSOR


def test_new_dags_are_added_and_removed_ones_deactivated(file: Path) -> None:
    """A new DAG gets Airflow's default pause state."""
    file.write_text(text_of("refreshed_one", "refreshed_three"), encoding="utf-8")
    response = native_api.call("refresh_dag", dag_id="refreshed_one")
    assert changes(response) == {
        "added": ["refreshed_three"],
        "changed": ["refreshed_one"],
        "removed": ["refreshed_two"],
    }
    with pytest.raises(errors.DagNotFound):
        native_api.call("trigger_dag", dag_id="refreshed_two")
    assert paused("refreshed_three") is True
    file.write_text(text_of("refreshed_one", "refreshed_two"), encoding="utf-8")
    response = native_api.call("refresh_dag", dag_id="refreshed_two")
    assert (response["added"], response["removed"]) == (["refreshed_two"], ["refreshed_three"])


def test_the_pause_state_is_unchanged(file: Path) -> None:
    native_api.call("unpause_dag", dag_id="refreshed_one")
    file.write_text(text_of("refreshed_one", task_id="other"), encoding="utf-8")
    native_api.call("refresh_dag", dag_id="refreshed_one")
    assert paused("refreshed_one") is False


def test_an_import_error_is_a_warning_and_stored(web: Any, file: Path) -> None:
    """The call succeeds."""
    file.write_text("from airflow import DAG\nraise RuntimeError('not today')\n", encoding="utf-8")
    response = web.typed("refresh_dag", dag_id="refreshed_one")
    assert response.status == 200
    (entry,) = response.json["files"]
    assert entry["outcome"] == "import_error"
    assert "RuntimeError: not today" in entry["import_errors"][0]["stacktrace"]
    assert response.json["import_error_count"] == 1
    assert response.json["warnings"] == [f"The file '{file}' does not load: RuntimeError: not today"]
    (stored,) = import_errors("refreshed.py")
    assert "RuntimeError: not today" in stored
    legacy = web.legacy("refresh_dag", dag_id="refreshed_one")
    assert legacy.json["output"] == "DAG [refreshed_one] is now fresh as a daisy"
    assert "RuntimeError: not today" in legacy.json["warning"]
    file.write_text(text_of("refreshed_one", "refreshed_two"), encoding="utf-8")
    native_api.call("refresh_dag", dag_id="refreshed_one")
    assert import_errors("refreshed.py") == []
    assert task_ids("refreshed_one") == ["first"]


def test_a_dag_that_cannot_be_serialized_is_an_import_error(file: Path) -> None:
    """The other DAGs of the file are stored."""
    unstored = (
        "from airflow.timetables.simple import NullTimetable\n"
        "class NotRegistered(NullTimetable):\n    pass\n"
        "with DAG('refreshed_bad', start_date=START, schedule=NotRegistered()):\n"
        "    BashOperator(task_id='a', bash_command='true')\n"
    )
    file.write_text(text_of("refreshed_one") + unstored, encoding="utf-8")
    response = native_api.call("refresh_dag", dag_id="refreshed_one")
    assert response["import_error_count"] == 1
    assert response["files"][0]["outcome"] == "import_error"


def test_a_file_that_crashes_changes_nothing_in_the_database(file: Path) -> None:
    file.write_text("import os\nfrom airflow import DAG\nos._exit(7)\n", encoding="utf-8")
    response = native_api.call("refresh_dag", dag_id="refreshed_one")
    assert (response["files"][0]["outcome"], response["files"][0]["exit_code"]) == ("crashed", 7)
    assert task_ids("refreshed_one") == ["first"]


def test_a_missing_file_is_409_with_the_file_and_the_hostname(web: Any, file: Path) -> None:
    """Another host can have it, so its DAGs stay active."""
    file.unlink()
    response = web.typed("refresh_dag", dag_id="refreshed_one")
    assert_problem(response, 409)
    assert response.json["file"] == str(file)
    assert response.json["hostname"] == hostname()
    assert f"is not on the host '{hostname()}'" in response.json["detail"]
    assert web.legacy("refresh_dag", dag_id="refreshed_one").status == 409
    assert task_ids("refreshed_one") == task_ids("refreshed_two") == ["first"]


@pytest.mark.parametrize(
    ("operation", "how"),
    [("render_task", {}), ("test_task", {}), ("test_task", {"dry_run": True}), ("run_task", {"local": True})],
)
def test_a_task_of_a_missing_file_is_409(web: Any, file: Path, operation: str, how: Dict[str, Any]) -> None:
    """No run is created for the task."""
    file.unlink()
    instance = {"dag_id": "refreshed_one", "task_id": "first", "logical_date": "2024-01-01"}
    response = web.typed(operation, **instance, **how)
    assert_problem(response, 409)
    assert (response.json["code"], response.json["file"]) == ("dag_file_missing", str(file))
    assert f"is not on the host '{hostname()}'" in response.json["detail"]
    assert native_api.call("list_dag_runs", dag_id="refreshed_one")["dag_runs"] == []


def test_dags_of_missing_files_stay_active_until_remove_missing(web: Any, folder: Path) -> None:
    """All other files are parsed."""
    file = folder / "refreshed.py"
    file.unlink()
    missing = {
        "file": str(file),
        "bundle_name": None if airflow_under_test.version() < (3, 0) else "dags-folder",
        "dag_ids": ["refreshed_one", "refreshed_two"],
    }
    response = web.typed("refresh_all_dags", subdir=FOLDER).json
    assert (response["removed"], response["missing_files"]) == ([], [missing])
    assert [entry["file"] for entry in response["files"]] == [str(folder / "another.py")]
    (warning,) = [text for text in response["warnings"] if "remove_missing" in text]
    assert str(file) in warning and hostname() in warning
    assert task_ids("refreshed_one") == task_ids("refreshed_two") == ["first"]
    response = remove_missing(FOLDER)
    assert (response["removed"], response["missing_files"]) == (["refreshed_one", "refreshed_two"], [missing])
    assert {entry["outcome"] for entry in response["files"] if entry["file"] == str(file)} == {"missing"}
    with pytest.raises(errors.DagNotFound):
        native_api.call("list_tasks", dag_id="refreshed_one")


def make_older(path: Path) -> None:
    """Set the modification time of a file to before Airflow has recorded its code."""
    os.utime(path, (1_700_000_000, 1_700_000_000))


OLDER = [
    pytest.param(text_of("refreshed_one", "refreshed_two", task_id="older"), id="changed"),
    pytest.param(text_of("refreshed_one"), id="a DAG less"),
    pytest.param(text_of("refreshed_one", "refreshed_two", "refreshed_three"), id="a DAG more"),
    pytest.param("from airflow import DAG\nraise RuntimeError('not today')\n", id="broken"),
]


@pytest.mark.parametrize("text", OLDER)
def test_a_file_older_than_the_recorded_code_is_409(web: Any, file: Path, text: str) -> None:
    """Another host has a newer file; nothing is stored."""
    is_changed = text == OLDER[0].values[0]
    file.write_text(text, encoding="utf-8")
    make_older(file)
    response = web.typed("refresh_dag", dag_id="refreshed_one")
    assert_problem(response, 409)
    assert (response.json["code"], response.json["file"]) == ("dag_file_outdated", str(file))
    assert response.json["hostname"] == hostname()
    assert not is_changed or web.legacy("refresh_dag", dag_id="refreshed_one").status == 409
    response = web.typed("refresh_all_dags", subdir="DAGS_FOLDER/refreshed.py").json
    assert (response["files"][0]["outcome"], changes(response)) == (
        "outdated",
        {"added": [], "changed": [], "removed": []},
    )
    assert any("older than the code that Airflow has recorded" in warning for warning in response["warnings"])
    assert task_ids("refreshed_one") == task_ids("refreshed_two") == ["first"]
    assert import_errors("refreshed.py") == []
    if is_changed:
        os.utime(file)
        assert native_api.call("refresh_dag", dag_id="refreshed_one")["files"][0]["outcome"] == "loaded"


def test_an_old_file_that_equals_the_recorded_code_is_parsed(file: Path) -> None:
    make_older(file)
    assert native_api.call("refresh_dag", dag_id="refreshed_one")["files"][0]["outcome"] == "loaded"


def test_an_archive_older_than_the_recorded_code_is_409(fresh: Any) -> None:
    """Each module is compared."""
    path = DAGS / "refreshed.zip"
    try:
        for dag_ids in (("refreshed_one", "refreshed_two"), ("refreshed_one",)):
            with zipfile.ZipFile(path, "w") as archive:
                archive.writestr("inside.py", text_of(*dag_ids))
            if len(dag_ids) == 2:
                native_api.call("refresh_all_dags", subdir="DAGS_FOLDER/refreshed.zip")
        make_older(path)
        with pytest.raises(errors.DagFileOutdated):
            native_api.call("refresh_dag", dag_id="refreshed_one")
        assert task_ids("refreshed_two") == ["first"]
    finally:
        path.unlink()
        delete_dags()


def test_a_file_whose_dag_another_host_has_moved_changes_nothing(web: Any, file: Path) -> None:
    """The new file is on the other host only."""
    from airflow.models.dag import DagModel
    from sqlalchemy import update

    moved = {"fileloc": str(DAGS / "refreshed_elsewhere.py")}
    if airflow_under_test.version() >= (3, 0):
        moved["relative_fileloc"] = "refreshed_elsewhere.py"
    later = airflow_under_test.later()
    with airflow_under_test.session() as session:
        rows = update(DagModel).where(DagModel.dag_id == "refreshed_one").values(last_parsed_time=later, **moved)
        session.execute(rows.execution_options(synchronize_session=False))
    response = web.typed("refresh_all_dags", subdir="DAGS_FOLDER/refreshed.py").json
    assert response["files"][0]["outcome"] == "elsewhere"
    response = web.typed("refresh_dag", dag_id="refreshed_two")
    assert_problem(response, 409)
    assert response.json["dags"] == {"refreshed_one": moved["fileloc"]}
    assert f"is not on the host '{hostname()}'" in response.json["detail"]
    (dag,) = native_api.call("list_dags", dag_id_pattern="refreshed_one")["dags"]
    assert dag["fileloc"] == moved["fileloc"]


@pytest.mark.parametrize("how", [{}, {"remove_missing": True}])
def test_the_dags_of_a_renamed_file_get_its_new_path(folder: Path, how: Dict[str, Any]) -> None:
    """None of them is deactivated."""
    (folder / "refreshed.py").rename(folder / "anew.py")
    response = native_api.call("refresh_all_dags", subdir=FOLDER, **how)
    assert (response["added"], response["removed"], response["missing_files"]) == (
        ["refreshed_one", "refreshed_two"],
        [],
        [],
    )


@by_default_on("2.7", "2.10", "3.0", "3.2")
class TestAHostWithoutFiles:
    """A host without DAG files, like a web server of Airflow's Helm chart: its DAGs folder is empty."""

    @pytest.fixture
    def active(self, fresh: Any) -> List[str]:
        return [dag["dag_id"] for dag in native_api.call("list_dags", limit=1000)["dags"]]

    @pytest.fixture(scope="class")
    def empty(self, airflow: Any, tmp_path_factory: Any) -> Iterator[Path]:
        """An empty DAGs folder with another path."""
        from airflow import settings

        folder: Path = tmp_path_factory.mktemp("dags")
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("AIRFLOW__CORE__DAGS_FOLDER", str(folder))
            patch.setattr(settings, "DAGS_FOLDER", str(folder))
            # The warm process reads the configuration once.
            with jobs_under_test.another_server():
                yield folder

    @pytest.mark.parametrize(
        ("operation", "how"),
        [
            pytest.param("refresh_all_dags", {}, id="refresh"),
            pytest.param("refresh_all_dags", {"remove_missing": True}, id="refresh and remove"),
            pytest.param("refresh_all_dags", {"subdir": "DAGS_FOLDER", "remove_missing": True}, id="the folder"),
            pytest.param("dag_report", {}, id="report"),
        ],
    )
    def test_refresh_is_409_with_the_folder_and_the_hostname(
        self, web: Any, active: List[str], empty: Path, operation: str, how: Dict[str, Any]
    ) -> None:
        """Every DAG stays active."""
        if "subdir" in how and airflow_under_test.version() < (3, 0):
            pytest.skip("Airflow 2 records whole paths: nothing in this folder is active")
        response = web.typed(operation, **how)
        assert_problem(response, 409)
        assert (response.json["folder"], response.json["hostname"]) == (str(empty), hostname())
        assert response.json["active_dags"] > 0
        assert [dag["dag_id"] for dag in native_api.call("list_dags", limit=1000)["dags"]] == active

    def test_a_new_file_is_parsed_and_other_dags_stay_active(self, active: List[str], empty: Path) -> None:
        """It has one new file: that is read, and all others are left alone."""
        (empty / "refreshed.py").write_text(text_of("refreshed_one"), encoding="utf-8")
        response = native_api.call("refresh_all_dags", subdir="DAGS_FOLDER")
        (empty / "refreshed.py").unlink()
        assert (response["added"], response["removed"]) == (["refreshed_one"], [])
        if airflow_under_test.version() >= (3, 0):
            assert str(empty / "wire_dag.py") in {file["file"] for file in response["missing_files"]}
        native_api.call("delete_dag", dag_id="refreshed_one", force=True)
        assert [dag["dag_id"] for dag in native_api.call("list_dags", limit=1000)["dags"]] == active

    def test_missing_files_are_found_though_the_recorded_path_differs(self, empty: Path) -> None:
        from native_api.adapters.compat import airflow

        with airflow_under_test.session() as session:
            lacking = airflow().dag_files.dags_in_use(airflow().dag_files.bundle(), session)
        (path,) = [path for path, dag_ids in lacking.items() if "wire_dag" in dag_ids]
        assert path == str((DAGS if airflow_under_test.version() < (3, 0) else empty) / "wire_dag.py")
        assert not [path for path in lacking if "example_dags" in path]

    def test_delete_dag_needs_force(self, fresh: Any, empty: Path) -> None:
        """Without files, no DAG counts as removed."""
        from airflow.models.dag import DagModel
        from sqlalchemy import update

        fresh.copy_dag(fresh.COPY)
        with fresh.session() as session:
            gone = update(DagModel).where(DagModel.dag_id == fresh.COPY).values(fileloc=str(empty / "gone.py"))
            session.execute(gone.execution_options(synchronize_session=False))
        with pytest.raises(errors.DagIsDefined):
            native_api.call("delete_dag", dag_id=fresh.COPY)

    @pytest.mark.skipif(airflow_under_test.version() < (3, 0), reason="Airflow 2 records whole paths")
    @pytest.mark.parametrize("operation", ["refresh_dag", "render_task", "test_task"])
    def test_an_operation_that_parses_the_file_is_409(self, web: Any, empty: Path, operation: str) -> None:
        instance = {"task_id": "extract", "logical_date": "2024-01-01"} if operation != "refresh_dag" else {}
        response = web.typed(operation, dag_id="wire_dag", **instance)
        assert_problem(response, 409)
        assert response.json["file"] == str(empty / "wire_dag.py")
        assert f"is not on the host '{hostname()}'" in response.json["detail"]


def test_a_bundle_can_have_another_path_on_each_host(file: Path) -> None:
    """On Airflow 3 its DAGs are the same."""
    if airflow_under_test.version() < (3, 0):
        pytest.skip("Airflow 2 records whole paths")
    from airflow.models.dag import DagModel
    from sqlalchemy import update

    with airflow_under_test.session() as session:
        elsewhere = update(DagModel).where(DagModel.dag_id.like("refreshed%")).values(fileloc="/elsewhere/refreshed.py")
        session.execute(elsewhere.execution_options(synchronize_session=False))
    file.write_text(text_of("refreshed_one"), encoding="utf-8")
    response = native_api.call("refresh_all_dags", subdir="DAGS_FOLDER/refreshed.py")
    assert (response["added"], response["removed"]) == ([], ["refreshed_two"])


def test_refresh_all_dags_adds_changes_and_removes_dags(file: Path) -> None:
    """A file with an import error does not affect others."""
    moved = file.with_name("refreshed_moved.py")
    moved.write_text(text_of("refreshed_three"), encoding="utf-8")
    file.unlink()
    try:
        response = remove_missing()
        assert (response["added"], response["removed"]) == (["refreshed_three"], ["refreshed_one", "refreshed_two"])
        outcomes = {Path(entry["file"]).name: entry["outcome"] for entry in response["files"]}
        assert outcomes["broken.py"] == "import_error"
        assert outcomes["refreshed_moved.py"] == "loaded"
        assert response["total_entries"] == len(outcomes)
    finally:
        moved.unlink()


def test_async_returns_202_and_a_job(web: Any, file: Path) -> None:
    file.write_text(text_of("refreshed_one", task_id="later"), encoding="utf-8")
    response = web.request("POST", "/native_api/v1/refresh_dag", json={"dag_id": "refreshed_one", "async": True})
    assert response.status == 202
    job_state = jobs_under_test.wait(response.json["job_id"])
    assert job_state["result"]["removed"] == ["refreshed_two"]
    assert task_ids("refreshed_one") == ["later"]


def test_an_unknown_dag_is_not_found(fresh: Any) -> None:
    with pytest.raises(errors.DagNotFound):
        native_api.call("refresh_dag", dag_id="no_such_dag")


@pytest.mark.parametrize("reads", [True, False])
def test_permissions_on_every_dag_of_the_file_are_required(web: Any, file: Path, mocker: Any, reads: bool) -> None:
    """The error names another DAG only to a caller who can read it."""
    mocker.patch(
        f"{USER}.may",
        lambda self, access, dag_id=None: dag_id == "refreshed_one" or (reads and access.method == "GET"),
    )
    response = web.typed("refresh_dag", login="user", dag_id="refreshed_one")
    assert_problem(response, 403)
    expected = "edit the DAG 'refreshed_two'" if reads else "execute all DAGs of the file"
    assert response.json["permission"] == expected


def test_permissions_on_every_dag_of_an_archive_are_required(web: Any, folder: Path, mocker: Any) -> None:
    """Airflow stores each module as a file, and all of them are parsed."""
    (folder / "refreshed.py").unlink()
    path = folder / "refreshed.zip"
    with zipfile.ZipFile(path, "w") as made:
        made.writestr("mine.py", text_of("refreshed_one"))
        made.writestr("theirs.py", text_of("refreshed_two"))
    native_api.call("refresh_all_dags", subdir=FOLDER)
    mocker.patch(
        f"{USER}.may",
        lambda self, access, dag_id=None: dag_id == "refreshed_one",
    )
    response = web.typed("refresh_dag", login="user", dag_id="refreshed_one")
    assert_problem(response, 403)
    assert "refreshed_two" not in response.text
    # With the permissions on both, both are parsed.
    assert native_api.call("refresh_dag", dag_id="refreshed_one")["files"][0]["dag_ids"] == [
        "refreshed_one",
        "refreshed_two",
    ]
    path.unlink()
    assert remove_missing(FOLDER)["removed"] == ["refreshed_one", "refreshed_two"]


@pytest.mark.skipif(airflow_under_test.version() >= (3, 0), reason="Airflow 3 has bundles in its place")
@by_default_on("2.7", "2.9", "2.10")
def test_dags_folder_can_end_with_a_slash(file: Path, monkeypatch: Any) -> None:
    """DAGs of missing files are found."""
    file.unlink()
    with monkeypatch.context() as patch:
        patch.setenv("AIRFLOW__CORE__DAGS_FOLDER", f"{DAGS}/")
        patch.setattr("airflow.settings.DAGS_FOLDER", f"{DAGS}/")
        # The warm process reads the configuration once.
        with jobs_under_test.another_server():
            removed = remove_missing()["removed"]
    # What is stored of a DAG says which folder it was read from.
    native_api.call("refresh_all_dags", subdir="DAGS_FOLDER")
    assert removed == ["refreshed_one", "refreshed_two"]


@pytest.mark.skipif(airflow_under_test.version() < (3, 0), reason="Airflow 2 has no bundles")
class TestPaths:
    """The path of a DAG's file on Airflow 3."""

    def place(self, **columns: Any) -> None:
        from airflow.models.dag import DagModel
        from sqlalchemy import update

        with airflow_under_test.session() as session:
            rows = update(DagModel).where(DagModel.dag_id == "refreshed_one").values(**columns)
            session.execute(rows.execution_options(synchronize_session=False))

    @pytest.fixture
    def gone(self, file: Path) -> Iterator[str]:
        """A bundle that Airflow has stored, and that is no longer configured."""
        from airflow.models.dagbundle import DagBundleModel

        with airflow_under_test.session() as session:
            session.add(DagBundleModel(name="gone"))
        yield "gone"
        self.place(bundle_name="dags-folder", relative_fileloc="refreshed.py")
        with airflow_under_test.session() as session:
            session.delete(session.get(DagBundleModel, "gone"))

    @pytest.mark.parametrize(
        ("relative", "says"),
        [
            ("refreshed.py", "The DAG bundle 'gone' of the file 'refreshed.py' is not configured"),
            (None, "No configured bundle contains the file .*refreshed.py"),
        ],
    )
    def test_a_bundle_that_is_not_configured_is_409(self, gone: str, relative: Any, says: str) -> None:
        self.place(bundle_name=gone, relative_fileloc=relative)
        with pytest.raises(errors.Refused, match=says):
            native_api.call("refresh_dag", dag_id="refreshed_one")

    def test_a_dag_without_a_relative_path_is_refreshed(self, file: Path) -> None:
        """As after an upgrade from Airflow 2."""
        self.place(relative_fileloc=None)
        assert native_api.call("refresh_dag", dag_id="refreshed_one")["files"][0]["file"] == str(file)


def test_refresh_dag_of_the_old_protocol_has_the_old_text(web: Any, file: Path) -> None:
    response = web.legacy("refresh_dag", dag_id="refreshed_one")
    assert response.json["output"] == "DAG [refreshed_one] is now fresh as a daisy"
    assert web.legacy("refresh_dag", dag_id="no_such_dag").status == 400
