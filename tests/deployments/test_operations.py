"""deploy_dag, list_deployments, rollback_dag, delete_dag_file: complete or without effect."""

from __future__ import annotations

import json
from typing import Any, Dict, List

import pytest

import native_api
from native_api import errors
from native_api.adapters.deployments import history
from native_api.host import hostname
from tests.support import airflow_under_test
from tests.support.airflow_under_test import DAGS
from tests.support.dag_files import TASK, text_of
from tests.support.deployments_under_test import (
    archive,
    checksum,
    dag_rows,
    deploy,
    kept,
    listed,
    on_disk,
    one,
    path_of,
    paused,
    task_ids,
)
from tests.support.problems import assert_problem
from tests.support.versions import by_default_on

pytestmark = pytest.mark.usefixtures("no_loose_ends")


class TestDeploying:
    def test_a_new_file_is_deployed(self) -> None:
        """When the call returns its DAGs are listed and can be triggered."""
        response = deploy(text_of("deployed_one", "deployed_two"))
        assert on_disk() == {"deployed.py": text_of("deployed_one", "deployed_two")}
        assert listed() == ["deployed_one", "deployed_two"]
        assert response["added"] == response["dag_ids"] == ["deployed_one", "deployed_two"]
        assert (response["changed"], response["removed"], response["replaced"], response["dry_run"]) == (
            [],
            [],
            False,
            False,
        )
        assert response["checksum"] == checksum(text_of("deployed_one", "deployed_two"))
        assert (response["path"], response["fileloc"]) == ("deployed.py", str(path_of()))
        assert (response["number"], response["operation"], response["owner"]) == (1, "deploy", "this process")
        assert native_api.call("trigger_dag", dag_id="deployed_two", run_id="r")["run_id"] == "r"
        (dag,) = native_api.call("list_dags", dag_id_pattern="deployed_one")["dags"]
        assert dag["fileloc"] == str(path_of())
        if airflow_under_test.version() >= (3, 0):
            assert (dag["relative_fileloc"], dag["bundle_name"]) == ("deployed.py", "dags-folder")

    def test_a_changed_file_is_deployed(self) -> None:
        """Also within the seconds in which Airflow itself would not write it again."""
        deploy(text_of("deployed_one", "deployed_two"))
        response = deploy(text_of("deployed_one", "deployed_three", task_id="second"), force=True)
        assert (response["added"], response["changed"]) == (["deployed_three"], ["deployed_one"])
        assert (response["removed"], response["replaced"], response["number"]) == (["deployed_two"], True, 2)
        assert listed() == ["deployed_one", "deployed_three"]
        assert task_ids() == ["second"]
        deploy(one("third"), force=True)
        assert (task_ids(), listed()) == (["third"], ["deployed_one"])
        assert native_api.call("dag_source", dag_id="deployed_one")["source"] == one("third")

    def test_other_code_where_a_file_was_deleted_this_second(self) -> None:
        """The code that Airflow has stored of it can have a time in the future: it is replaced all the same."""
        for task_id in ("first", "second", "third"):
            deploy(one(task_id), force=True)
        native_api.call("delete_dag_file", path="deployed.py")
        deploy(one("fourth"))
        assert native_api.call("dag_source", dag_id="deployed_one")["source"] == one("fourth")

    def test_a_path_can_have_folders(self) -> None:
        deploy(one(), path="deployed_by/team/dags.py")
        assert on_disk()["deployed_by/team/dags.py"] == one()
        assert listed() == ["deployed_one"]

    def test_the_file_is_validated_with_its_path_and_its_neighbours(self) -> None:
        (DAGS / "deployed_neighbour.py").write_text("NAME = 'deployed_from_neighbour'\n")
        (DAGS / "deployed_data.txt").write_text("data")
        text = (
            "import os, inspect\nfrom pathlib import Path\nfrom airflow import DAG\n"
            "from deployed_neighbour import NAME\n"
            "first = DAG(NAME)\nsecond = DAG(Path(__file__).stem)\n"
            "assert Path(__file__).with_name('deployed_data.txt').read_text() == 'data'\n"
            "assert os.path.exists(__file__) and 'NAME' in inspect.getsource(inspect.currentframe())\n"
            "assert open(__file__).read().startswith('import os')\n"
        )
        response = deploy(text, path="deployed_itself.py")
        assert response["dag_ids"] == ["deployed_from_neighbour", "deployed_itself"]

    def test_a_packaged_dag_is_deployed(self) -> None:
        """A zip archive with a module that another in it imports."""
        content = archive(
            {
                "main.py": "from airflow import DAG\nfrom inner.parts import NAME\ndag = DAG(NAME)\n",
                "inner/__init__.py": "",
                "inner/parts.py": "NAME = 'deployed_packaged'\n",
            }
        )
        response = native_api.call("deploy_dag", dag_file=content, path="deployed.zip")
        assert (response["dag_ids"], listed()) == (["deployed_packaged"], ["deployed_packaged"])
        changed = archive({"main.py": "from airflow import DAG\nother = DAG('deployed_other')\n"})
        response = native_api.call("deploy_dag", dag_file=changed, path="deployed.zip", force=True)
        assert (response["added"], response["removed"]) == (["deployed_other"], ["deployed_packaged"])
        assert native_api.call("delete_dag_file", path="deployed.zip")["removed"] == ["deployed_other"]
        assert listed() == []

    def test_a_module_without_dags_requires_allow_empty(self) -> None:
        with pytest.raises(errors.NoDagInFile):
            deploy("RATE = 1\n", path="deployed_rates.py")
        assert on_disk() == {}
        assert deploy("RATE = 1\n", path="deployed_rates.py", allow_empty=True)["dag_ids"] == []
        assert on_disk() == {"deployed_rates.py": "RATE = 1\n"}

    @pytest.mark.parametrize(
        ("path", "text"),
        [
            pytest.param(
                "deployed_by/rates.py", "from .deployed_base import BASE\nRATE = BASE + 1\n", id="of a package"
            ),
            pytest.param("deployed_by/__init__.py", "from .deployed_base import BASE\n", id="a package"),
            pytest.param("deployed_rates.py", "import sys\nRATE = sys.modules[__name__]\n", id="that looks for itself"),
        ],
    )
    def test_a_module_is_validated_with_the_name_that_dags_import(self, path: str, text: str) -> None:
        (DAGS / "deployed_by").mkdir()
        (DAGS / "deployed_by" / "deployed_base.py").write_text("BASE = 1\n")
        assert deploy(text, path=path, allow_empty=True)["dag_ids"] == []
        assert on_disk()[path] == text

    def test_a_dry_run_returns_the_changes_and_makes_none(self) -> None:
        deploy(text_of("deployed_one", "deployed_two"))
        response = deploy(text_of("deployed_one", "deployed_three"), force=True, dry_run=True)
        assert (response["added"], response["changed"]) == (["deployed_three"], ["deployed_one"])
        assert (response["removed"], response["dry_run"], response["deployment_id"]) == (["deployed_two"], True, None)
        assert on_disk() == {"deployed.py": text_of("deployed_one", "deployed_two")}
        assert listed() == ["deployed_one", "deployed_two"]
        assert len(kept()) == 1

    def test_pause_and_unpause_apply_to_all_dags_of_the_file(self) -> None:
        """Whatever their variables are called, and also to new ones."""
        deploy(text_of("deployed_one", "deployed_two"), unpause=True)
        assert (paused("deployed_one"), paused("deployed_two")) == (False, False)
        deploy(text_of("deployed_one", "deployed_three"), force=True)
        assert (paused("deployed_one"), paused("deployed_three")) == (False, True)
        deploy(one(), force=True, pause=True)
        assert paused("deployed_one") is True

    def test_pause_and_unpause_together_have_no_effect(self) -> None:
        response = deploy(one(), pause=True, unpause=True)
        assert response["warnings"] == ["Both options pause and unpause were given. Skipping"]
        assert paused("deployed_one") is True

    def test_the_mode_of_the_file_is_unchanged(self) -> None:
        deploy(one())
        path_of().chmod(0o640)
        before = path_of().stat()
        deploy(one("other"), force=True)
        assert path_of().stat().st_mode & 0o777 == 0o640
        assert int(path_of().stat().st_mtime) > int(before.st_mtime)

    def test_a_file_that_airflowignore_excludes_gets_a_warning(self) -> None:
        (DAGS / "deployed_by").mkdir()
        (DAGS / "deployed_by" / ".airflowignore").write_text("dags.py\n")
        (warning,) = deploy(one(), path="deployed_by/dags.py")["warnings"]
        assert ".airflowignore" in warning


@by_default_on("2.7", "2.10", "3.0", "3.1")
class TestVersions:
    def test_rollback_dag_deploys_the_previous_version_or_one_by_its_id(self) -> None:
        for task_id in ("first", "second"):
            deploy(one(task_id), force=True)
        response = native_api.call("rollback_dag", path="deployed.py")
        assert (response["operation"], response["number"], response["checksum"]) == (
            "rollback",
            3,
            checksum(one("first")),
        )
        assert (on_disk(), task_ids()) == ({"deployed.py": one("first")}, ["first"])
        assert [entry["number"] for entry in kept()] == [1, 2, 3]
        assert response["restored"] == kept()[0]["deployment_id"]
        assert native_api.call("rollback_dag", path="deployed.py")["checksum"] == checksum(one("second"))
        deploy(one("third"), force=True)
        native_api.call("rollback_dag", path="deployed.py", deployment_id=kept()[0]["deployment_id"])
        assert task_ids() == ["first"]

    def test_rollback_dag_restores_a_file_that_was_not_deployed(self) -> None:
        """A file that existed before is stored, too."""
        path_of().write_text(one("theirs"))
        deploy(one("ours"), force=True)
        assert [(entry["operation"], entry["is_newest"]) for entry in kept()] == [("found", False), ("deploy", True)]
        native_api.call("rollback_dag", path="deployed.py")
        assert on_disk() == {"deployed.py": one("theirs")}

    def test_an_unknown_version_is_not_found(self) -> None:
        with pytest.raises(errors.DeploymentNotFound):
            native_api.call("rollback_dag", path="deployed.py")
        deploy(one())
        for which in ({}, {"deployment_id": "0" * 32}, {"deployment_id": "../x"}):
            with pytest.raises(errors.DeploymentNotFound):
                native_api.call("rollback_dag", path="deployed.py", **which)

    def test_a_rollback_to_a_version_with_an_import_error_is_refused(self) -> None:
        (DAGS / "deployed_needed.py").write_text("NAME = 'deployed_one'\n")
        deploy("from airflow import DAG\nfrom deployed_needed import NAME\ndag = DAG(NAME)\n")
        deploy(one(), force=True)
        (DAGS / "deployed_needed.py").unlink()
        with pytest.raises(errors.DagFileBroken):
            native_api.call("rollback_dag", path="deployed.py")
        assert on_disk() == {"deployed.py": one()}

    def test_deployments_kept_limits_the_stored_versions(self, monkeypatch: Any) -> None:
        monkeypatch.setenv("AIRFLOW__NATIVE_API__DEPLOYMENTS_KEPT", "1")
        for task_id in ("first", "second", "third"):
            deploy(one(task_id), force=True)
        assert [entry["number"] for entry in kept()] == [2, 3]
        assert len(list(history.root().glob("*/*.content"))) == 2

    def test_a_version_that_is_deleted_during_a_list_is_omitted(self) -> None:
        """A list does not lock the versions."""
        deploy(one())
        (folder,) = history.root().iterdir()
        gone = folder / f"{'f' * 32}.json"
        gone.symlink_to(folder / "gone")
        try:
            assert [entry["path"] for entry in kept()] == ["deployed.py"]
        finally:
            gone.unlink()

    def test_list_deployments_has_an_order_and_filters(self) -> None:
        deploy(one())
        deploy(text_of("deployed_two"), path="deployed_two.py")
        (entry,) = native_api.call("list_deployments", path="deployed_two.py")["deployments"]
        assert (entry["dag_ids"], entry["checksum"]) == (["deployed_two"], checksum(text_of("deployed_two")))
        assert (entry["bytes"], entry["owner"]) == (len(text_of("deployed_two")), "this process")
        response = native_api.call("list_deployments", order_by="-deployed_at", limit=1)
        assert response["total_entries"] == 2
        assert [entry["path"] for entry in response["deployments"]] == ["deployed_two.py"]


@by_default_on("2.7", "2.10", "3.0", "3.1")
class TestDeleting:
    def test_delete_dag_file_deactivates_its_dags(self) -> None:
        deploy(text_of("deployed_one", "deployed_two"))
        native_api.call("trigger_dag", dag_id="deployed_one", run_id="r")
        response = native_api.call("delete_dag_file", path="deployed.py")
        assert (response["removed"], response["checksum"]) == (["deployed_one", "deployed_two"], None)
        assert (on_disk(), listed()) == ({}, [])
        native_api.call("rollback_dag", path="deployed.py")
        assert listed() == ["deployed_one", "deployed_two"]
        assert native_api.call("dag_state", dag_id="deployed_one", run_id="r")["state"] == "queued"

    def test_delete_metadata_deletes_the_rows_of_its_dags(self) -> None:
        deploy(one())
        native_api.call("trigger_dag", dag_id="deployed_one", run_id="r")
        response = native_api.call("delete_dag_file", path="deployed.py", delete_metadata=True)
        assert response["deleted_rows"] > 0
        deploy(one(), force=True)
        with pytest.raises(errors.DagRunNotFound):
            native_api.call("dag_state", dag_id="deployed_one", run_id="r")

    def test_delete_metadata_is_refused_while_a_task_runs(self) -> None:
        """Nothing is changed."""
        deploy(text_of("deployed_one", "deployed_two"), unpause=True)
        path_of().chmod(0o640)
        native_api.call("trigger_dag", dag_id="deployed_two", run_id="r")
        airflow_under_test.set_try("deployed_two", "r", "first", 1, "running")
        with pytest.raises(errors.Refused, match="still running"):
            native_api.call("delete_dag_file", path="deployed.py", delete_metadata=True)
        assert on_disk() == {"deployed.py": text_of("deployed_one", "deployed_two")}
        assert path_of().stat().st_mode & 0o777 == 0o640
        assert (listed(), task_ids("deployed_two")) == (["deployed_one", "deployed_two"], ["first"])
        assert (paused("deployed_one"), paused("deployed_two")) == (False, False)
        assert native_api.call("task_state", dag_id="deployed_two", run_id="r", task_id="first")["state"] == "running"
        assert len(kept()) == 1

    @pytest.mark.skipif(airflow_under_test.version() >= (3, 0), reason="3.0 removed SubDAGs")
    def test_a_subdag_is_deactivated_with_its_parent(self) -> None:
        text = TASK + (
            "from airflow.operators.subdag import SubDagOperator\n"
            "with DAG('deployed_one.part', start_date=START, schedule=None) as part:\n"
            "    BashOperator(task_id='inner', bash_command='true')\n"
            "with DAG('deployed_one', start_date=START, schedule=None):\n"
            "    SubDagOperator(task_id='part', subdag=part)\n"
        )
        deploy(text)
        response = native_api.call("delete_dag_file", path="deployed.py", delete_metadata=True)
        assert response["removed"] == ["deployed_one", "deployed_one.part"]
        assert (on_disk(), dag_rows()) == ({}, [])

    def test_a_missing_file_is_not_found(self) -> None:
        with pytest.raises(errors.DagFileNotFound):
            native_api.call("delete_dag_file", path="deployed.py")


def multipart(fields: Dict[str, str], name: str, content: bytes) -> Dict[str, Any]:
    """Return the body of a form with a file, and its headers."""
    parts = [f'--x\r\nContent-Disposition: form-data; name="{key}"\r\n\r\n{text}\r\n' for key, text in fields.items()]
    head = f'--x\r\nContent-Disposition: form-data; name="dag_file"; filename="{name}"\r\n\r\n'
    body = "".join(parts).encode() + head.encode() + content + b"\r\n--x--\r\n"
    return {"body": body, "headers": {"Content-Type": "multipart/form-data; boundary=x"}}


def audit_rows_of(operation: str) -> List[Dict[str, Any]]:
    """Return the arguments of an operation in the audit log."""
    return [json.loads(row.extra) for row in airflow_under_test.audit_rows() if row.event == f"native_api.{operation}"]


@by_default_on("2.7", "2.10", "3.0", "3.1")
class TestInterfaces:
    def upload(self, web: Any, name: str, text: str, **fields: str) -> Any:
        return web.request("POST", "/native_api/v1/deploy_dag", **multipart(fields, name, text.encode()))

    def old(self, web: Any, name: str, text: str, **fields: str) -> Any:
        sent = multipart(fields, name, text.encode())
        return web.request("POST", "/admin/rest_api/api", query={"api": "deploy_dag"}, **sent)

    def test_the_file_name_of_an_upload_is_the_path(self, web: Any) -> None:
        """It is validated; the audit log has the checksum and not the content."""
        response = self.upload(web, "deployed.py", one(), unpause="on")
        assert (response.status, response.json["fileloc"]) == (201, str(path_of()))
        assert paused("deployed_one") is False
        (row,) = [row for row in airflow_under_test.audit_rows() if row.event == "native_api.deploy_dag"]
        assert json.loads(row.extra)["dag_file"] == {"sha256": checksum(one()), "bytes": len(one())}
        assert "BashOperator" not in row.extra
        assert_problem(self.upload(web, "deployed.py", one()), 409)
        assert self.upload(web, "any.py", one("other"), path="deployed.py", force="true").status == 200

    @pytest.mark.parametrize("name", ["../deployed.py", "deployed_by/deployed.py", ".deployed.py", "", "deployed.txt"])
    def test_an_invalid_file_name_is_refused(self, web: Any, name: str) -> None:
        response = self.upload(web, name, one())
        assert response.status in (403, 422)
        assert on_disk() == {}

    def test_upload_bytes_limits_an_upload(self, web: Any, monkeypatch: Any) -> None:
        monkeypatch.setenv("AIRFLOW__NATIVE_API__UPLOAD_BYTES", "1000")
        monkeypatch.setenv("AIRFLOW__NATIVE_API__BODY_BYTES", "1000")
        assert_problem(self.upload(web, "deployed.py", one() + "#" * 1000), 422)
        assert_problem(self.upload(web, "deployed.py", one() + "#" * 100_000), 413)

    def test_an_upload_can_be_larger_than_body_bytes(self, web: Any, monkeypatch: Any) -> None:
        monkeypatch.setenv("AIRFLOW__NATIVE_API__BODY_BYTES", "1000")
        assert self.upload(web, "deployed.py", one() + "#" * 5000).status == 201

    def test_the_old_protocol_has_the_old_texts_and_statuses(self, web: Any) -> None:
        response = self.old(web, "deployed.py", one(), unpause="")
        assert response.status == 200
        assert response.json["output"] == f"DAG File [{path_of()}] has been uploaded"
        assert response.json["result"]["added"] == ["deployed_one"]
        assert "airflow_cmd" not in response.json
        assert paused("deployed_one") is False
        response = self.old(web, "deployed.py", one())
        assert response.status == response.json["http_response_code"] == 400
        assert response.json["output"] == f"The file '{path_of()}' already exists on host '{hostname()}'."
        response = self.old(web, "deployed.py", one("other"), force="on", pause="on", unpause="on")
        assert response.json["warning"] == "Both options pause and unpause were given. Skipping"
        assert task_ids() == ["other"]

    def test_dry_run_is_possible_in_the_old_protocol(self, web: Any) -> None:
        """The old plugin did not have it."""
        response = self.old(web, "deployed.py", one(), dryrun="on")
        assert response.json["output"] == f"DAG File [{path_of()}] would be uploaded"
        assert (response.json["result"]["added"], on_disk()) == (["deployed_one"], {})

    def test_the_old_protocol_refuses_with_the_old_messages(self, web: Any) -> None:
        assert web.legacy("deploy_dag").json["output"] == "dag_file should be provided"
        assert self.old(web, "", one()).json["output"] == "dag_file should be provided"
        response = self.old(web, "deployed.txt", one())
        assert (response.status, response.json["output"]) == (400, "dag_file is not a *.py file")
        response = self.old(web, "deployed.py", "from airflow import DAG\n1 / 0\n")
        assert (response.status, response.json["status"]) == (422, "ERROR")
        assert response.json["output"] == "The file does not load: ZeroDivisionError: division by zero"
        assert on_disk() == {}

    def test_the_audit_log_has_the_version_of_a_rollback_and_of_a_deletion(self, web: Any) -> None:
        for task_id in ("first", "second"):
            self.upload(web, "deployed.py", one(task_id), force="true")
        first = kept()[0]
        assert web.typed("rollback_dag", path="deployed.py").status == 200
        (result,) = audit_rows_of("rollback_dag")
        assert (result["deployment_id"], result["sha256"]) == (first["deployment_id"], checksum(one("first")))
        assert web.typed("delete_dag_file", path="deployed.py").status == 200
        (result,) = audit_rows_of("delete_dag_file")
        assert (result["deployment_id"], result["sha256"]) == (kept()[2]["deployment_id"], checksum(one("first")))
        path_of().write_text(one("theirs"))
        web.typed("delete_dag_file", path="deployed.py")
        assert audit_rows_of("delete_dag_file")[1]["sha256"] == checksum(one("theirs"))
        assert audit_rows_of("delete_dag_file")[1]["deployment_id"] is None

    def test_the_audit_log_has_refused_calls(self, web: Any) -> None:
        for operation in ("rollback_dag", "delete_dag_file"):
            assert web.typed(operation, path="deployed.py").status == 404
            assert [result["path"] for result in audit_rows_of(operation)] == ["deployed.py"]

    def test_only_administrators_can_deploy(self, web: Any) -> None:
        response = web.request(
            "POST", "/native_api/v1/deploy_dag", login="op", **multipart({}, "deployed.py", one().encode())
        )
        assert_problem(response, 403)
        assert on_disk() == {}
