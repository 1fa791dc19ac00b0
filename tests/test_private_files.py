"""The files on the server's disk can be used by the Unix user of Airflow only."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import Any, Iterator, List

import pytest

import native_api
from native_api import settings
from native_api.adapters import private_files, sandbox
from native_api.adapters.daemons import folder as daemons
from native_api.adapters.deployments import history, targets
from tests.support import jobs_under_test
from tests.support.versions import by_default_on

pytestmark = by_default_on("2.7", "2.11", "3.0", "3.3")


@pytest.fixture(params=[0o000, 0o277], ids=["umask 000", "umask 277"])
def umask(request: Any) -> Iterator[None]:
    """Set a umask that is too permissive or too restrictive."""
    before = os.umask(request.param)
    yield
    os.umask(before)


def wide(path: Path) -> List[str]:
    """Return the folders that are not 0700 and the files that are not 0600 in a folder, itself included."""
    found = [path, *path.rglob("*")]
    return [f"{each} {stat.S_IMODE(each.stat().st_mode):o}" for each in found if mode(each) not in (0o700, 0o600)]


def mode(path: Path) -> int:
    """Return the mode of a file or of a folder; 0 for the other kind."""
    rights = stat.S_IMODE(path.stat().st_mode)
    return rights if path.is_dir() == bool(rights & stat.S_IXUSR) else 0


def test_folders_and_files_are_private(tmp_path: Path, umask: None) -> None:
    """Also the parents that are created."""
    created = private_files.folder(tmp_path / "a" / "b")
    private_files.write(created / "file", "text")
    assert (mode(tmp_path / "a"), wide(tmp_path / "a"), (created / "file").read_text()) == (0o700, [], "text")


def test_existing_folders_and_files_lose_the_permissions_of_others(tmp_path: Path) -> None:
    """Other mode bits are unchanged."""
    (tmp_path / "a").mkdir()
    (tmp_path / "a").chmod(0o2777)
    (tmp_path / "a" / "lock").touch()
    (tmp_path / "a" / "lock").chmod(0o666)
    private_files.folder(tmp_path / "a")
    os.close(private_files.opened(tmp_path / "a" / "lock", os.O_RDWR))
    assert stat.S_IMODE((tmp_path / "a").stat().st_mode) & ~stat.S_ISGID == 0o700
    assert mode(tmp_path / "a" / "lock") == 0o600


def test_a_folder_of_another_user_keeps_its_mode(tmp_path: Path, mocker: Any) -> None:
    tmp_path.chmod(0o755)
    mocker.patch("os.chmod", side_effect=PermissionError)
    assert private_files.folder(tmp_path) == tmp_path


def test_files_of_jobs_are_private(fresh: Any, umask: None) -> None:
    """Records, logs, results and slots."""
    folder = sandbox.jobs_folder()
    folder.mkdir(parents=True, exist_ok=True)
    folder.chmod(0o755)
    job_id = jobs_under_test.start("add", {"a": 1, "b": 2})
    assert jobs_under_test.wait(job_id)["state"] == "success"
    assert (folder / job_id / "result.json").exists()
    assert wide(folder) == []


def test_files_of_deployments_are_private(fresh: Any, umask: None) -> None:
    """Stored versions and locks, but not the DAGs folder."""
    root = private_files.folder(history.root())
    root.chmod(0o755)
    root.parent.chmod(0o755)
    versions = history.of(targets.target("a_module.py"))
    with versions.locked_history("a_module.py"), history.one_at_a_time():
        versions.keep("0" * 32, b"RATE = 1")
        assert [wide(versions.folder), wide(root.with_name("deployments.lock"))] == [[], []]
        assert mode(root.parent) == 0o700


def test_files_of_daemons_are_private(fresh: Any, umask: None) -> None:
    """Records and locks."""
    folder = Path(settings.get("daemons_dir"))
    folder.mkdir(parents=True, exist_ok=True)
    folder.chmod(0o755)
    with daemons.locked("scheduler"), daemons.locked_pid_files():
        assert wide(folder) == []


def test_files_in_files_dir_are_private(fresh: Any, umask: None) -> None:
    folder = Path(settings.get("files_dir"))
    folder.mkdir(parents=True, exist_ok=True)
    folder.chmod(0o755)
    native_api.call("save_variables", file="variables.json")
    assert wide(folder) == []
