"""Parsing a DAG file executes it, so it requires permissions on every DAG in it."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any, Dict, Iterator, List

import pytest

import native_api
from native_api.adapters.compat import airflow
from tests.support import airflow_under_test, jobs_under_test
from tests.support.airflow_under_test import DAGS
from tests.support.auth_managers import stand_in, with_rights_on
from tests.support.dag_files import ParsedFiles
from tests.support.problems import assert_problem
from tests.support.versions import by_default_on

pytestmark = by_default_on("2.7", "2.10", "3.0", "3.2", "3.4")

OPERATIONS = ("dag_report", "refresh_all_dags")
DEFINES = {
    "mine.py": ["others_mine"],
    "shared.py": ["others_mine_too", "others_shared"],
    "theirs.py": ["others_theirs"],
    "new.py": ["others_new"],
}


def text(folder: Path, name: str) -> str:
    """Return the text of a file that creates another file when it is executed."""
    made = [f"made_{dag_id} = DAG('{dag_id}')" for dag_id in DEFINES[name]]
    mark = f"open({str(folder / 'marks')!r}, 'a').write('{name}\\n')"
    return "\n".join(["from airflow import DAG", mark, *made, ""])


def write(folder: Path, name: str) -> None:
    (folder / name).write_text(text(folder, name), encoding="utf-8")


def executed(folder: Path) -> List[str]:
    """Return the files that were executed since the last call."""
    marks = folder / "marks"
    names = sorted(set(marks.read_text().split())) if marks.exists() else []
    marks.unlink(missing_ok=True)
    return names


@pytest.fixture(scope="module")
def parsed(site: Any, airflow: Any) -> ParsedFiles:
    airflow.clean()
    return ParsedFiles(
        {f"others/{name}": text(DAGS / "others", name) for name in ("mine.py", "shared.py", "theirs.py")}
    )


@pytest.fixture
def folder(web: Any, parsed: ParsedFiles) -> Iterator[Path]:
    """A folder with files that Airflow has parsed, and one that it has not."""
    with parsed.there() as path:
        assert native_api.call("list_dags", dag_id_pattern="others_")["total_entries"] == 4
        write(path, "new.py")
        yield path


def forget() -> None:
    """Delete the DAGs of these tests from the database."""
    from airflow.models.dag import DagModel

    for dag_id in sum(DEFINES.values(), []):
        with airflow_under_test.session() as session:
            if session.get(DagModel, dag_id):
                airflow().delete_dag(dag_id, session)


def read_files(response: Any) -> List[str]:
    assert response.status == 200, response.text
    return sorted(Path(file["file"]).name for file in response.json["files"])


@pytest.mark.parametrize("operation", OPERATIONS)
class TestRightsOnSomeDags:
    """An auth manager can grant permissions on single DAGs, and the permission to list DAGs."""

    def test_only_files_with_permission_on_all_their_dags_are_executed(
        self, web: Any, folder: Path, mocker: Any, operation: str
    ) -> None:
        for dag_id, name in (("others_mine", "mine.py"), ("others_shared", "shared.py")):
            stand_in(mocker, with_rights_on(dag_id, "others_mine_too"))
            response = web.typed(operation, login="viewer", subdir=str(folder))
            assert read_files(response) == executed(folder) == [name]
            assert "theirs" not in response.text
            assert response.json["total_entries"] == 1

    def test_a_permission_on_all_dags_includes_new_ones(
        self, web: Any, folder: Path, mocker: Any, operation: str
    ) -> None:
        """But not a DAG on which it is denied. The permission to read is not enough."""
        stand_in(mocker, lambda method, dag_id, team: method == "GET")
        assert_problem(web.typed(operation, login="viewer", subdir=str(folder)), 403)
        assert executed(folder) == []
        stand_in(mocker, lambda method, dag_id, team: dag_id != "others_shared")
        files = read_files(web.typed(operation, login="viewer", subdir=str(folder)))
        assert files == ["mine.py", "new.py", "theirs.py"]


def test_dags_of_missing_files_stay_active_without_permission_on_them(web: Any, folder: Path, mocker: Any) -> None:
    for name in ("mine.py", "theirs.py"):
        (folder / name).unlink()
    stand_in(mocker, with_rights_on("others_mine"))
    response = web.typed("refresh_all_dags", login="viewer", subdir=str(folder), remove_missing=True)
    assert read_files(response) == ["mine.py"]
    assert response.json["removed"] == ["others_mine"]
    assert "theirs" not in response.text
    assert native_api.call("list_dags", dag_id_pattern="others_theirs")["total_entries"] == 1


def test_the_permission_to_list_dags_shows_readable_dags_only(web: Any, mocker: Any) -> None:
    stand_in(mocker, with_rights_on("wire_dag"))
    native_api.call("trigger_dag", dag_id="wire_dag", run_id="theirs")
    native_api.call("trigger_dag", dag_id="mapped", run_id="others")
    assert [dag["dag_id"] for dag in web.typed("list_dags", login="viewer").json["dags"]] == ["wire_dag"]
    assert [run["run_id"] for run in web.typed("list_dag_runs", login="viewer").json["dag_runs"]] == ["theirs"]
    instances = web.typed("list_task_instances", login="viewer").json["task_instances"]
    assert {instance["dag_id"] for instance in instances} == {"wire_dag"}


@pytest.mark.skipif(airflow_under_test.version() < (3, 2), reason="Airflow's own lists ask for each since 3.2.")
@pytest.mark.parametrize("kind, name", [("variable", "key"), ("connection", "conn_id"), ("pool", "name")])
def test_the_permission_to_list_other_resources_shows_readable_ones_only(
    web: Any, mocker: Any, kind: str, name: str
) -> None:
    """Also without teams."""
    from airflow.api_fastapi.app import get_auth_manager

    for one in ("mine", "theirs"):
        native_api.call("set_variable", key=one, value="v")
        native_api.call("add_connection", conn_id=one, conn_type="http")
        native_api.call("set_pool", name=one, slots=1)
    stand_in(mocker, with_rights_on())
    mocker.patch.object(type(get_auth_manager()), f"get_authorized_{kind}s", return_value={"mine"})
    listed = web.typed(f"list_{kind}s", login="admin").json[f"{kind}s"]
    assert [thing[name] for thing in listed] == ["mine"]


BUNDLES = "AIRFLOW__DAG_PROCESSOR__DAG_BUNDLE_CONFIG_LIST"
LOCAL = "airflow.dag_processing.bundles.local.LocalDagBundle"


@pytest.mark.skipif(airflow_under_test.version() < (3, 2), reason="Teams came with Airflow 3.2.")
@pytest.mark.skipif(airflow_under_test.has_fab(), reason="FAB knows no teams.")
class TestTeams:
    """The bundle ``blue`` belongs to a team without ``op``, and ``common`` to no team."""

    @pytest.fixture(scope="class")
    def folders(self, airflow: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Dict[str, Path]]:
        """The folders of the bundles, which are configured for all tests of this class."""
        place = tmp_path_factory.mktemp("bundles")
        folders = {name: place / name for name in ("common", "blue")}
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("AIRFLOW__CORE__MULTI_TEAM", "True")
            patch.setenv("AIRFLOW__CORE__LOAD_EXAMPLES", "False")
            self.configure(patch, folders)
            with jobs_under_test.another_server():
                yield folders

    @pytest.fixture
    def bundles(self, folders: Dict[str, Path], web: Any) -> Iterator[Dict[str, Path]]:
        from airflow.models import dag as module
        from airflow.models.dagbundle import DagBundleModel
        from airflow.models.team import Team
        from sqlalchemy import delete

        for folder, file in zip(folders.values(), ("mine.py", "theirs.py")):
            folder.mkdir()
            write(folder, file)
        # 3.4 reads the configuration of the bundles once.
        airflow_under_test.forget_bundles()
        with airflow_under_test.session() as session:
            session.add(Team(name="blue"))
        native_api.call("refresh_all_dags")
        # 3.3 remembers teams for a while.
        forget_teams = getattr(module, "clear_team_name_cache", lambda: None)
        forget_teams()
        write(folders["blue"], "new.py")
        for folder in folders.values():
            executed(folder)
        yield folders
        for folder in folders.values():
            shutil.rmtree(folder)
        forget()
        with airflow_under_test.session() as session:
            session.execute(delete(Team))
            for bundle in session.query(DagBundleModel).where(DagBundleModel.name.in_(folders)):
                session.delete(bundle)
        forget_teams()
        airflow_under_test.forget_bundles()

    def configure(self, monkeypatch: Any, folders: Dict[str, Path]) -> None:
        teams = {"blue": "blue"}
        listed = [
            {"name": name, "classpath": LOCAL, "kwargs": {"path": str(path)}, "team_name": teams.get(name)}
            for name, path in folders.items()
        ]
        monkeypatch.setenv(BUNDLES, json.dumps(listed))

    def test_files_of_another_team_are_not_executed(self, web: Any, bundles: Any) -> None:
        """The bundle of another team seems not to exist."""
        for operation in OPERATIONS:
            response = web.typed(operation, login="op")
            assert read_files(response) == read_files(web.typed(operation, login="op", bundle="common")) == ["mine.py"]
            assert "blue" not in response.text
            theirs, none = (web.typed(operation, login="op", bundle=name) for name in ("blue", "nope"))
            assert_problem(theirs, 422)
            assert theirs.json["errors"] == {"bundle": ["There is no bundle 'blue'."]}
            assert none.text == theirs.text.replace("blue", "nope")
            for name in ("theirs.py", "nope.py"):
                assert_problem(web.typed(operation, login="op", subdir=str(bundles["blue"] / name)), 403)
        assert executed(bundles["blue"]) == []
        assert read_files(web.typed("dag_report", login="admin")) == ["mine.py", "new.py", "theirs.py"]

    def test_new_files_of_another_team_are_not_executed(self, web: Any, bundles: Any, monkeypatch: Any) -> None:
        """Also if the team of the bundle is configured but not stored, and if another bundle has the folder."""
        from airflow.models.team import dag_bundle_team_association_table as table
        from sqlalchemy import delete

        (bundles["blue"] / "theirs.py").unlink()
        self.configure(monkeypatch, {"common": bundles["common"].parent, "blue": bundles["blue"]})
        with jobs_under_test.another_server():
            assert read_files(web.typed("dag_report", login="op")) == ["mine.py"]
            with airflow_under_test.session() as session:
                session.execute(delete(table))
            assert read_files(web.typed("dag_report", login="op")) == ["mine.py"]
        assert executed(bundles["blue"]) == []
