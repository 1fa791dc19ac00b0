"""The pid files and logs of daemons."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, Dict

import pytest

import native_api
from native_api import settings
from native_api.adapters.daemons import folder, log_files
from tests.daemons.stand_ins import SLEEPS
from tests.support import airflow_under_test
from tests.support.problems import assert_problem
from tests.support.versions import by_default_on

pytestmark = by_default_on("2.7", "2.11", "3.0", "3.3")


class TestPaths:
    OUTSIDE = [
        "/etc/x.pid",
        "../x.pid",
        "a/../../x.pid",
        ".records/x.pid",
        ".x.pid",
        "x",
        "x.json",
        "x.pid/",
    ]

    @pytest.mark.parametrize("path", OUTSIDE)
    def test_a_pid_file_outside_of_daemons_dir_is_403(self, web: Any, path: str) -> None:
        assert_problem(web.typed("start_daemon", daemon="scheduler", pid=path), 403)
        assert native_api.call("list_daemons")["total_entries"] == 0

    def test_a_path_with_nul_is_422(self, web: Any) -> None:
        response = web.typed("start_daemon", daemon="scheduler", pid="\0.pid")
        assert_problem(response, 422)
        assert list(response.json["errors"]) == ["pid"]

    @pytest.mark.parametrize("stream", ["log_file", "stdout", "stderr"])
    @pytest.mark.parametrize("path", ["/tmp/x.log", "../x.log", "x.pid", ".records/x.log"])
    def test_a_log_file_outside_of_daemons_dir_is_403(self, web: Any, stream: str, path: str) -> None:
        assert_problem(web.typed("start_daemon", daemon="scheduler", **{stream: path}), 403)
        assert native_api.call("list_daemons")["total_entries"] == 0

    @pytest.mark.parametrize("suffix, argument", [("pid", "pid"), ("log", "log_file")])
    def test_a_symlink_or_a_pipe_is_refused(self, web: Any, tmp_path: Path, suffix: str, argument: str) -> None:
        folder.create()
        os.symlink(tmp_path / "target", Path(settings.get("daemons_dir"), f"link.{suffix}"))
        os.symlink(tmp_path, Path(settings.get("daemons_dir"), "out"))
        os.mkfifo(Path(settings.get("daemons_dir"), f"fifo.{suffix}"))
        for path in (f"link.{suffix}", f"out/x.{suffix}", f"fifo.{suffix}"):
            assert_problem(web.typed("start_daemon", daemon="scheduler", **{argument: path}), 403)
        assert list(tmp_path.iterdir()) == []

    def test_relative_and_absolute_paths_below_daemons_dir_are_accepted(self, stand_in: Any) -> None:
        root = settings.get("daemons_dir")
        folder.create()
        Path(root, "sub").mkdir()
        response = stand_in(SLEEPS, pid="sub/my.pid", stdout=f"{root}/my.out", stderr="my.err", log_file="my.out")
        assert (response["pid_file"], response["stdout"]) == (f"{root}/sub/my.pid", f"{root}/my.out")
        assert Path(root, "sub", "my.pid").read_text() == f"{response['pid']}\n"
        assert "begun" in native_api.call("daemon_log", name="kerberos", stream="stdout")["content"]
        assert native_api.call("daemon_log", name="kerberos", stream="stderr")["content"] == ""

    def test_only_the_user_of_airflow_can_read_the_files(self, stand_in: Any) -> None:
        response = stand_in(SLEEPS)
        root = Path(settings.get("daemons_dir"))
        assert root.stat().st_mode & 0o777 == 0o700
        for path in (response["pid_file"], response["log_file"], folder.record_path("kerberos")):
            assert Path(path).stat().st_mode & 0o777 == 0o600


class TestLogs:
    @pytest.mark.parametrize(
        "asked, content, truncated",
        [
            ({}, "first\nlast\n", False),
            ({"tail_lines": 1}, "last\n", True),
            ({"tail_bytes": 3}, "st\n", True),
            ({"tail_lines": 1, "tail_bytes": 100}, "last\n", True),
        ],
    )
    def test_daemon_log_returns_the_log_tail(
        self, fresh: Any, asked: Dict[str, int], content: str, truncated: bool
    ) -> None:
        fresh.store_daemon("scheduler")
        response = native_api.call("daemon_log", name="scheduler", **asked)
        assert (response["content"], response["truncated"], response["size_bytes"]) == (content, truncated, 11)

    def test_a_large_log_is_truncated_and_other_bytes_are_replaced(self, fresh: Any, monkeypatch: Any) -> None:
        fresh.store_daemon("scheduler")
        monkeypatch.setattr(log_files, "MOST", 4)
        path = Path(native_api.call("daemon_state", name="scheduler")["log_file"])
        path.write_bytes(b"12345\xff\n")
        response = native_api.call("daemon_log", name="scheduler")
        assert (response["content"], response["truncated"]) == ("45\ufffd\n", True)

    def test_a_symlink_in_place_of_the_log_is_not_read(self, web: Any, tmp_path: Path) -> None:
        airflow_under_test.store_daemon("scheduler")
        path = Path(native_api.call("daemon_state", name="scheduler")["log_file"])
        (tmp_path / "secret").write_text("hush")
        path.unlink()
        path.symlink_to(tmp_path / "secret")
        response = web.typed("daemon_log", name="scheduler")
        assert_problem(response, 403)
        assert "hush" not in response.text
