"""Deployments that are refused and leave nothing."""

from __future__ import annotations

import fcntl
import io
import zipfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

import native_api
from native_api import errors
from native_api.adapters import sandbox
from native_api.adapters.deployments import archives, history, locks
from native_api.host import hostname
from tests.sandbox import work
from tests.support import airflow_under_test
from tests.support.airflow_under_test import DAGS
from tests.support.dag_files import import_errors, text_of
from tests.support.deployments_under_test import (
    archive,
    deploy,
    kept,
    listed,
    loose_ends,
    on_disk,
    one,
    path_of,
    paused,
    task_ids,
)
from tests.support.jobs_under_test import until
from tests.support.problems import assert_problem
from tests.support.versions import by_default_on

pytestmark = [pytest.mark.usefixtures("no_loose_ends"), by_default_on("2.7", "2.9", "2.10", "3.0", "3.1", "3.4")]


#: What has a deployment fail when what the file defines has been written.
FAILS = (
    "from native_api.adapters.deployments.history import History\n"
    "def fails(*args, **kwargs):\n    raise OSError('no space left')\n"
    "History.commit = fails\n"
)

_run = sandbox.run


def run_as_its_owner(context: Any, job: Any) -> Any:
    """Run a job with the permissions of the file modes, also if the tests run as root."""
    arguments = {"function": f"{job.function.__module__}:{job.function.__name__}", "arguments": job.arguments}
    return _run(context, sandbox.Job(work.as_its_owner, arguments, job.cleanup, job.job_id))


def waiting(loading: Path, go_on: Path) -> str:
    """Return the beginning of a file that signals that it is being loaded, and waits."""
    return (
        f"from pathlib import Path\nfrom time import sleep\nPath({str(loading)!r}).touch()\n"
        f"while not Path({str(go_on)!r}).exists():\n    sleep(0.01)\n"
    )


def hold(versions: history.History) -> bool:
    """Try to lock a file for a deployment; return whether it worked."""
    with versions.locked_history("deployed.py"):
        return True


class TestRefusals:
    """The file that existed, and its DAGs, are unchanged."""

    @pytest.mark.parametrize(
        ("text", "says"),
        [
            pytest.param("from airflow import DAG\n1 / 0\n", "ZeroDivisionError", id="raises"),
            pytest.param("def (:\n", "SyntaxError", id="no Python"),
            pytest.param("import sys\nfrom airflow import DAG\nsys.exit(3)\n", "SystemExit", id="exits"),
        ],
    )
    def test_a_file_with_an_import_error_is_refused(self, text: str, says: str) -> None:
        deploy(one())
        with pytest.raises(errors.DagFileBroken) as caught:
            deploy(text, force=True)
        (error,) = caught.value.import_errors
        assert says in error["stacktrace"]
        assert error["file"] == str(path_of())
        assert (on_disk(), task_ids(), len(kept())) == ({"deployed.py": one()}, ["first"], 1)
        assert import_errors("deployed.py") == []

    @pytest.mark.parametrize(
        "line",
        [
            pytest.param("os._exit(7)", id="exits at once"),
            pytest.param("os.kill(os.getpid(), signal.SIGKILL)", id="is killed"),
            pytest.param("os.replace = lambda *a, **k: os._exit(7)\ndag = DAG('deployed_one')", id="at the swap"),
        ],
    )
    def test_a_file_that_crashes_is_refused(self, line: str) -> None:
        deploy(one())
        with pytest.raises(errors.UserCodeCrashed):
            deploy(f"import os, signal\nfrom airflow import DAG\n{line}\n", force=True)
        assert (on_disk(), task_ids(), len(kept())) == ({"deployed.py": one()}, ["first"], 1)
        assert deploy(one("again"), force=True)["changed"] == ["deployed_one"]

    @pytest.mark.parametrize(
        ("text", "says"),
        [
            pytest.param("RATE = 1 / 0\n", "ZeroDivisionError", id="raises"),
            pytest.param("import no_such_module\n", "ModuleNotFoundError", id="imports what is not there"),
            pytest.param("import sys\nsys.exit(3)\n", "SystemExit", id="exits"),
        ],
    )
    def test_a_module_with_an_import_error_is_refused(self, text: str, says: str) -> None:
        """Airflow itself does not parse a module without its words, but DAGs import it."""
        with pytest.raises(errors.DagFileBroken) as caught:
            deploy(text, path="deployed_by/rates.py", allow_empty=True)
        (error,) = caught.value.import_errors
        assert says in error["stacktrace"]
        assert error["file"] == str(path_of("deployed_by/rates.py"))
        assert on_disk() == {}

    def test_a_failure_after_the_database_is_written_is_undone(self) -> None:
        """The file, its DAGs and their pause states are restored."""
        deploy(one(), pause=True)
        with pytest.raises(errors.UserCodeFailed, match="no space left"):
            deploy(FAILS + text_of("deployed_one", "deployed_two", task_id="other"), force=True, unpause=True)
        assert (on_disk(), listed(), task_ids()) == ({"deployed.py": one()}, ["deployed_one"], ["first"])
        assert paused("deployed_one") is True
        deploy(text_of("deployed_one", "deployed_two"), force=True)
        assert (paused("deployed_one"), paused("deployed_two")) == (True, True)

    def test_a_file_that_crashes_is_restored_without_being_parsed(self) -> None:
        """The next deployment works."""
        theirs = "import os\nfrom airflow import DAG\nos._exit(7)\n"
        path_of().write_text(theirs)
        with pytest.raises(errors.UserCodeFailed, match="no space left"):
            deploy(FAILS + one(), force=True)
        assert (on_disk(), listed(), loose_ends()) == ({"deployed.py": theirs}, [], [])
        assert "exit code 7" in import_errors("deployed.py")[0]
        assert deploy(one(), force=True)["added"] == ["deployed_one"]
        assert import_errors("deployed.py") == []

    @pytest.mark.parametrize("kept_versions", ["5", "0"])
    def test_a_failed_request_to_the_dag_processor_is_a_warning(self, monkeypatch: Any, kept_versions: str) -> None:
        """The deployment is complete."""
        monkeypatch.setenv("AIRFLOW__NATIVE_API__DEPLOYMENTS_KEPT", kept_versions)
        deploy(one("old"))
        locked = (
            "from sqlalchemy.exc import OperationalError\nfrom native_api.adapters.compat import airflow\n"
            "def locked(*args):\n    raise OperationalError('INSERT', {}, Exception('database is locked'))\n"
            "type(airflow().dag_files).ask_processor = locked\n"
        )
        response = deploy(locked + one("new"), force=True, unpause=True)
        (warning,) = response["warnings"]
        assert "database is locked" in warning
        assert (on_disk(), task_ids()) == ({"deployed.py": locked + one("new")}, ["new"])
        assert paused("deployed_one") is False
        assert kept()[-1]["deployment_id"] == response["deployment_id"]

    def test_a_new_file_that_crashes_leaves_no_file_or_folder(self) -> None:
        with pytest.raises(errors.UserCodeCrashed):
            deploy("import os\nfrom airflow import DAG\nos._exit(7)\n", path="deployed_by/dags.py")
        assert on_disk() == {}

    def test_a_dag_that_another_file_defines_is_refused(self) -> None:
        deploy(one())
        with pytest.raises(errors.DagsElsewhere) as caught:
            deploy(text_of("deployed_two", "deployed_one"), path="deployed_twice.py")
        assert caught.value.dags == {"deployed_one": str(path_of())}
        assert (list(on_disk()), listed()) == (["deployed.py"], ["deployed_one"])

    def test_a_dag_that_a_file_of_another_host_defines_is_refused(self) -> None:
        deploy(one())
        path_of().unlink()
        with pytest.raises(errors.DagsElsewhere, match="is not on the host") as caught:
            deploy(one(), path="deployed_twice.py")
        assert caught.value.dags == {"deployed_one": str(path_of())}
        assert (on_disk(), listed()) == ({}, ["deployed_one"])

    def test_a_file_that_only_another_host_has_requires_force(self, web: Any) -> None:
        """A rollback to a version that was deployed here is possible."""
        deploy(one())
        path_of().unlink()
        with pytest.raises(errors.DagFileMissing):
            deploy(one("other"))
        response = web.typed("delete_dag_file", path="deployed.py")
        assert (response.status, response.json["code"]) == (409, "dag_file_missing")
        assert (on_disk(), listed()) == ({}, ["deployed_one"])
        deploy(one("other"), force=True)
        assert on_disk() == {"deployed.py": one("other")}
        path_of().unlink()
        native_api.call("rollback_dag", path="deployed.py")
        assert on_disk() == {"deployed.py": one()}

    def test_an_existing_file_requires_force(self) -> None:
        deploy(one())
        with pytest.raises(errors.DagFileExists, match="already exists on host"):
            deploy(one("other"))
        assert on_disk() == {"deployed.py": one()}

    @pytest.mark.parametrize(
        ("path", "error"),
        [
            ("../deployed.py", errors.OutsideFolders),
            ("a/../../deployed.py", errors.OutsideFolders),
            ("/etc/deployed.py", errors.OutsideFolders),
            ("deployed\0.py", errors.Invalid),
            ("deployed\n.py", errors.Invalid),
            ("..\\deployed.py", errors.Invalid),
            (".deployed.py", errors.Invalid),
            (".git/deployed.py", errors.Invalid),
            ("deployed", errors.Invalid),
            ("deployed.txt", errors.Invalid),
            ("deployed.pyc", errors.Invalid),
            ("deployed.PY", errors.Invalid),
            (".py", errors.Invalid),
            ("a//deployed.py", errors.Invalid),
            ("deployed.py/", errors.Invalid),
            ("__pycache__/deployed.py", errors.Invalid),
            ("d" * 300 + ".py", errors.Invalid),
            ("deployed\udc80.py", errors.Invalid),
            ("", errors.Invalid),
        ],
    )
    @pytest.mark.parametrize("operation", ["deploy_dag", "rollback_dag", "delete_dag_file"])
    def test_an_invalid_path_is_refused(self, operation: str, path: str, error: Any) -> None:
        content = {"dag_file": one()} if operation == "deploy_dag" else {}
        with pytest.raises(error):
            native_api.call(operation, path=path, **content)

    def test_a_symlink_is_refused(self, tmp_path: Any) -> None:
        """As the file or as a folder of its path."""
        (tmp_path / "target.py").write_text("mine\n")
        (DAGS / "deployed_link").symlink_to(tmp_path)
        (DAGS / "deployed_link.py").symlink_to(tmp_path / "target.py")
        for path in ("deployed_link/target.py", "deployed_link/new.py", "deployed_link.py"):
            with pytest.raises(errors.OutsideFolders):
                deploy(one(), path=path, force=True)
        assert [path.name for path in tmp_path.iterdir()] == ["target.py"]
        assert (tmp_path / "target.py").read_text() == "mine\n"

    def test_an_existing_folder_is_refused(self) -> None:
        (DAGS / "deployed.py").mkdir()
        with pytest.raises(errors.Refused, match="is not a file"):
            deploy(one(), force=True)

    def test_upload_bytes_limits_the_file(self, monkeypatch: Any) -> None:
        monkeypatch.setenv("AIRFLOW__NATIVE_API__UPLOAD_BYTES", "100")
        with pytest.raises(errors.Invalid, match="larger than 100 bytes"):
            deploy(one() + "#" * 200)

    def test_a_missing_dags_folder_is_refused(self, mocker: Any) -> None:
        """As on a web server that does not share the DAGs folder."""
        from native_api.adapters import compat
        from native_api.adapters.compat.interface.dag_files import Bundle

        mocker.patch.object(type(compat.airflow().dag_files), "bundles", return_value=[Bundle("/no/such", None)])
        mocker.patch(
            "native_api.adapters.deployments.targets.airflow"
        ).return_value.dag_files.bundle.return_value = Bundle("/no/such", None)
        with pytest.raises(errors.Refused, match="is not on the host"):
            deploy(one())

    @pytest.mark.parametrize("path", ["deployed_by/dags.py", "deployed_by/new/dags.py", "deployed_by/very/new/dags.py"])
    def test_a_folder_that_cannot_be_written_is_refused(self, mocker: Any, path: str) -> None:
        """As one that the web server may read only; nothing of the file, and none of its DAGs, is there."""
        (DAGS / "deployed_by").mkdir(mode=0o500)
        mocker.patch("native_api.adapters.sandbox.run", side_effect=run_as_its_owner)
        with pytest.raises(errors.Refused, match=f"The file '{path}' cannot be written: Permission denied"):
            deploy(one(), path=path)
        assert (on_disk(), listed()) == ({"deployed_by": "a folder"}, [])

    @pytest.mark.parametrize(
        ("slots", "is_seen"),
        [
            pytest.param("1", True, id="with one place in the sandbox"),
            pytest.param("2", True, id="with two"),
            pytest.param("2", False, id="in the sandbox"),
        ],
    )
    def test_of_two_simultaneous_deployments_of_a_file_one_is_refused(
        self, tmp_path: Any, monkeypatch: Any, mocker: Any, slots: str, is_seen: bool
    ) -> None:
        """Before it gets a slot if the first has been noticed by then, otherwise in the sandbox."""
        monkeypatch.setenv("AIRFLOW__NATIVE_API__JOB_SLOTS", slots)
        monkeypatch.setenv("AIRFLOW__NATIVE_API__JOBS_PER_CALLER", "10")
        if not is_seen:
            mocker.patch.object(history.History, "is_being_changed", return_value=False)
        loading, go_on = tmp_path / "loading", tmp_path / "go_on"
        waits = waiting(loading, go_on)
        with ThreadPoolExecutor() as threads:
            first = threads.submit(deploy, waits + one("first"))
            try:
                until(lambda: loading.exists() or first.done())
                with pytest.raises(errors.DeploymentRuns) as caught:
                    deploy(one("second"))
            finally:
                go_on.touch()
        assert caught.value.status == 409
        assert first.result()["added"] == ["deployed_one"]
        assert (task_ids(), on_disk()) == (["first"], {"deployed.py": waits + one("first")})

    def test_a_simultaneous_deployment_of_another_host_is_refused(self) -> None:
        """The lock is in the database."""
        bundle = None if airflow_under_test.version() < (3, 0) else "dags-folder"
        with locks.locked("file", bundle, "deployed.py", seconds=0, error=errors.DeploymentRuns("")):
            with pytest.raises(errors.DeploymentRuns):
                deploy(one())
            with pytest.raises(errors.DeploymentRuns), locks.locked(
                "file", bundle, "deployed.py", seconds=0, error=errors.DeploymentRuns("")
            ):
                raise AssertionError("held twice")
            deploy(text_of("deployed_two"), path="deployed_other.py")
        deploy(one())
        assert sorted(on_disk()) == ["deployed.py", "deployed_other.py"]

    def test_a_read_only_folder_is_409_with_the_folder_and_the_hostname(self, web: Any, mocker: Any) -> None:
        """Before the file is parsed."""
        mocker.patch("native_api.adapters.deployments.targets.os.access", return_value=False)
        response = web.typed("deploy_dag", dag_file=one(), path="deployed_by/new.py", dry_run=True)
        assert_problem(response, 409)
        assert (response.json["code"], response.json["folder"]) == ("dags_folder_read_only", str(DAGS))
        assert f"on the host '{hostname()}'" in response.json["detail"]

    def test_testing_the_lock_does_not_block_a_deployment(self, mocker: Any) -> None:
        deploy(one())
        (folder,) = history.root().iterdir()
        with (folder / "lock").open() as looking:
            fcntl.flock(looking, fcntl.LOCK_SH)
            with ThreadPoolExecutor() as threads:
                tries = mocker.spy(history, "_takes")
                taken = threads.submit(hold, history.History(folder))
                until(lambda: tries.call_count > 1)
                assert not taken.done()
                fcntl.flock(looking, fcntl.LOCK_UN)
                assert taken.result() is True

    def test_of_two_simultaneous_files_with_one_dag_one_is_refused(self, tmp_path: Any, monkeypatch: Any) -> None:
        """Both are validated before either exists."""
        monkeypatch.setenv("AIRFLOW__NATIVE_API__JOB_SLOTS", "2")
        monkeypatch.setenv("AIRFLOW__NATIVE_API__JOBS_PER_CALLER", "10")
        go_on, paths = tmp_path / "go_on", ["deployed.py", "deployed_twice.py"]
        with ThreadPoolExecutor() as threads:
            texts = {path: waiting(tmp_path / path, go_on) + one() for path in paths}
            asked = {path: threads.submit(deploy, text, path) for path, text in texts.items()}
            try:
                until(lambda: all((tmp_path / path).exists() or asked[path].done() for path in paths))
            finally:
                go_on.touch()
        lost = {path: future.exception() for path, future in asked.items() if future.exception()}
        ((loser, error),) = lost.items()
        (winner,) = set(paths) - {loser}
        assert isinstance(error, errors.DagsElsewhere)
        assert error.dags == {"deployed_one": str(path_of(winner))}
        assert (on_disk(), listed()) == ({winner: texts[winner]}, ["deployed_one"])
        assert [entry["path"] for entry in kept()] == [winner]

    @pytest.mark.skipif(airflow_under_test.version() < (3, 0), reason="Airflow 2 has no bundles")
    def test_a_bundle_in_an_installed_package_is_refused(self) -> None:
        """As that of the example DAGs."""
        with pytest.raises(errors.Refused, match="part of an installed package"):
            deploy(one(), bundle="example_dags")

    @pytest.mark.skipif(airflow_under_test.version() < (3, 0), reason="Airflow 2 has no bundles")
    def test_an_unknown_bundle_is_invalid(self) -> None:
        with pytest.raises(errors.Invalid, match="no bundle"):
            deploy(one(), bundle="no_such_bundle")

    @pytest.mark.skipif(airflow_under_test.version() >= (3, 0), reason="Airflow 3 has bundles")
    def test_bundle_is_invalid_on_airflow_2(self) -> None:
        with pytest.raises(errors.Invalid, match="no bundles"):
            deploy(one(), bundle="dags-folder")


class TestArchives:
    def refused(self, content: bytes, path: str = "deployed.zip") -> str:
        with pytest.raises(errors.Invalid) as caught:
            native_api.call("deploy_dag", dag_file=content, path=path)
        assert on_disk() == {}
        return str(caught.value)

    def made(self, name: str, content: bytes = b"x", attributes: int = 0) -> bytes:
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as made:
            member = zipfile.ZipInfo(name)
            member.external_attr = attributes
            made.writestr(member, content)
        return buffer.getvalue()

    @pytest.mark.parametrize("name", ["../out.py", "/out.py", "a/../../out.py", "..\\out.py", "C:out.py"])
    def test_a_member_outside_of_the_archive_is_refused(self, name: str) -> None:
        assert "leads out of the archive" in self.refused(self.made(name))

    def test_a_symlink_in_an_archive_is_refused(self) -> None:
        assert "leads out" in self.refused(self.made("link.py", b"/etc/passwd", 0o120777 << 16))

    def test_an_archive_that_is_too_large_unpacked_is_refused(self, monkeypatch: Any) -> None:
        monkeypatch.setattr(archives, "UNPACKED_BYTES", 1000)
        with pytest.raises(errors.Invalid, match="larger than 1000 bytes"):
            archives.require_sound(archive({"main.py": "x" * 5000}), is_archive=True)

    def test_an_archive_with_a_wrong_size_is_refused(self, monkeypatch: Any) -> None:
        """Python reads a module completely, whatever the size in the archive."""
        import struct

        monkeypatch.setattr(archives, "UNPACKED_BYTES", 10_000_000)
        content = bytearray(archive({"main.py": "x" * 20_000_000}))
        for signature, offset in ((b"PK\x03\x04", 22), (b"PK\x01\x02", 24)):
            content[content.index(signature) + offset :][:4] = b""
            place = content.index(signature) + offset
            content[place : place + 4] = struct.pack("<I", 10)
        with pytest.raises(errors.Invalid, match="larger than"):
            archives.require_sound(bytes(content), is_archive=True)

    def test_the_content_must_match_the_file_extension(self) -> None:
        assert "Not a zip archive" in self.refused(one().encode())
        assert "must end in .zip" in self.refused(archive({"main.py": one()}), path="deployed.py")

    def test_a_corrupt_archive_is_refused(self) -> None:
        content = bytearray(archive({"main.py": one() * 50}))
        content[60:70] = b"0123456789"
        assert "zip archive" in self.refused(bytes(content))
