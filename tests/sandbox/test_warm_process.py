"""The warm process: who shares it, and when it ends."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from contextlib import closing, suppress
from pathlib import Path
from typing import Any, Callable, Dict, Iterator

import psutil
import pytest

from native_api import errors
from native_api.adapters import sandbox
from native_api.adapters.compat import airflow as seam
from native_api.adapters.compat import web_server
from native_api.adapters.sandbox import client, connection, server
from native_api.adapters.sandbox.channel import Channel
from native_api.http import asynchronous
from native_api.permissions import THIS_PROCESS
from native_api.registry import Context
from tests.sandbox import work
from tests.support import jobs_under_test
from tests.support.versions import by_default_on

pytestmark = by_default_on("2.7", "2.11", "3.0", "3.3")


def fork(run: Callable[[], None]) -> int:
    """Run a function in a fork and return its process id."""
    pid = os.fork()
    if pid == 0:
        try:
            run()
        finally:
            os._exit(9)
    return pid


class TestWorkers:
    """Workers of one web server, which are forks of this process, as those of gunicorn are of its own."""

    def test_they_share_a_warm_process(self, fresh: Any) -> None:
        shared = jobs_under_test.warm_pid()
        reads, writes = os.pipe()
        worker = fork(lambda: os.write(writes, str(jobs_under_test.warm_pid()).encode()) and None)
        os.waitpid(worker, 0)
        assert int(os.read(reads, 20)) == shared
        for descriptor in (reads, writes):
            os.close(descriptor)

    @pytest.mark.slow
    def test_the_jobs_of_a_killed_worker_end_and_those_of_others_continue(
        self, fresh: Any, tmp_path: Path, monkeypatch: Any
    ) -> None:
        monkeypatch.setenv("AIRFLOW__NATIVE_API__JOB_SLOTS", "2")
        monkeypatch.setenv("AIRFLOW__NATIVE_API__JOBS_PER_CALLER", "10")
        with seam().session() as session:
            context = Context(session, THIS_PROCESS, operation="a test")
            requests = [
                sandbox._request(context, sandbox.Job(work.be_there, {"path": str(tmp_path / name)}), False, False)
                for name in ("of the worker", "of another")
            ]

        def wait_for_job() -> None:
            with closing(client.begin(requests[0], False)):
                time.sleep(60)

        worker = fork(wait_for_job)
        other = client.begin(requests[1], False)
        jobs_under_test.until(lambda: len(list(tmp_path.iterdir())) == 2)
        killed, continues = (
            psutil.Process(int((tmp_path / name).read_text())) for name in ("of the worker", "of another")
        )
        os.kill(worker, signal.SIGKILL)
        os.waitpid(worker, 0)
        jobs_under_test.until(lambda: not killed.is_running())
        assert continues.is_running()
        other.close()
        jobs_under_test.until(lambda: not continues.is_running())


def test_another_web_server_and_another_configuration_have_their_own(
    airflow: Any, mocker: Any, monkeypatch: Any
) -> None:
    files = [connection.WarmProcess()._file]
    assert connection.WarmProcess()._file == files[0]
    monkeypatch.setenv("AN_OPTION", "of this server")
    files.append(connection.WarmProcess()._file)
    mocker.patch.object(web_server, "pid", return_value=os.getppid())
    files.append(connection.WarmProcess()._file)
    assert len(set(files)) == 3


@pytest.fixture
def started(tmp_path: Path) -> Iterator[Callable[..., int]]:
    """Return a function that starts a warm process, which imports nothing, in a fork, and returns its process id."""
    processes = []

    def start(import_airflow: Callable[[], None] = lambda: None, user: int = os.geteuid(), **setup: Any) -> int:
        address = tmp_path / "in" / "socket"
        address.parent.mkdir()
        listener = connection.socket.socket(connection.socket.AF_UNIX)
        listener.bind(str(address))
        listener.listen()
        given: Dict[str, Any] = {
            "listener": listener.fileno(),
            "address": str(address),
            "server": os.getpid(),
            "idle_seconds": 60,
            "at_once": True,
            "mask": [],
        }

        def run() -> None:
            server._WATCH_SECONDS = 0.05
            server._import_airflow = import_airflow
            server._create_execution_api = lambda: None  # type: ignore[assignment]
            server.os.geteuid = lambda: user
            server.main({**given, **setup})  # type: ignore[typeddict-item]

        processes.append(fork(run))
        listener.close()
        return processes[-1]

    yield start
    for pid in processes:
        with suppress(ProcessLookupError, ChildProcessError):
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)


def assert_ended(pid: int, tmp_path: Path) -> None:
    """Assert that a warm process ends and deletes its socket."""
    assert os.waitpid(pid, 0)[1] == 0
    assert list(tmp_path.iterdir()) == []


class TestItsEnd:
    """It ends by itself. The next job starts another; tests of jobs that survive a killed one show how."""

    def test_when_no_job_has_come_for_long(self, started: Any, tmp_path: Path) -> None:
        assert_ended(started(idle_seconds=0.1), tmp_path)

    @pytest.mark.parametrize("imports", [False, True], ids=["ready", "while it imports Airflow"])
    def test_when_the_web_server_has_ended(self, imports: bool, started: Any, tmp_path: Path) -> None:
        """However that ends."""
        web = subprocess.Popen(["sleep", "60"])
        pid = started(lambda: time.sleep(60 * imports), server=web.pid)
        web.kill()
        assert_ended(pid, tmp_path)
        web.wait()

    def test_when_a_job_waits_and_the_import_at_idle_priority_gets_no_processor(
        self, started: Any, tmp_path: Path
    ) -> None:
        """The job starts another, which has a normal priority."""
        pid = started(lambda: time.sleep(60), at_once=False)
        connection._connected(str(tmp_path / "in" / "socket")).close()
        time.sleep(0.2)
        assert os.waitpid(pid, os.WNOHANG) == (0, 0)
        job = connection._connected(str(tmp_path / "in" / "socket"))
        with pytest.raises(EOFError):
            job.receive(60)
        job.close()
        assert_ended(pid, tmp_path)


def test_a_connection_of_another_user_is_closed(started: Any, tmp_path: Path) -> None:
    started(user=os.geteuid() + 1)
    job = connection._connected(str(tmp_path / "in" / "socket"))
    job.send(False)
    with pytest.raises(EOFError):
        job.receive(60)
    job.close()


def test_a_job_gets_the_error_of_the_import(started: Any, tmp_path: Path, mocker: Any) -> None:
    def fail() -> None:
        jobs_under_test.until((tmp_path / "job").exists)
        raise ImportError("No module named 'airflow'")

    def connect(**how: Any) -> Channel:
        channel = connection._connected(str(tmp_path / "in" / "socket"))
        (tmp_path / "job").touch()
        return channel

    pid = started(fail)
    mocker.patch.object(connection.WarmProcess, "connect", side_effect=connect)
    with pytest.raises(errors.SandboxUnavailable, match="ImportError: No module named 'airflow'"):
        client.begin({"queue_seconds": 1}, False)  # type: ignore[typeddict-item]
    (tmp_path / "job").unlink()
    assert_ended(pid, tmp_path)


class TestTheStart:
    """It starts with the web server."""

    @pytest.fixture
    def warm(self, mocker: Any, monkeypatch: Any) -> Any:
        monkeypatch.setattr(asynchronous, "_warmed_by", 0)
        monkeypatch.setattr(asynchronous.threading.Thread, "start", lambda thread: thread.run())
        return mocker.patch.object(sandbox, "warm")

    @pytest.mark.parametrize("forks", [False, True], ids=["uvicorn", "gunicorn"])
    def test_in_a_web_server(self, forks: bool, warm: Any, mocker: Any) -> None:
        mocker.patch.object(web_server, "is_running", return_value=True)
        mocker.patch.object(web_server, "forks_workers", return_value=forks)
        asynchronous.warm_with_server()
        asynchronous.warm_sandbox()
        warm.assert_called_once_with()

    def test_not_in_another_process_that_creates_the_app(self, warm: Any) -> None:
        """As commands and tests do."""
        asynchronous.warm_with_server()
        warm.assert_not_called()

    def test_not_if_no_operation_executes_dag_code(self, warm: Any, mocker: Any, monkeypatch: Any) -> None:
        mocker.patch.object(web_server, "is_running", return_value=True)
        for option in ("ALLOW_EXECUTE", "ALLOW_DEPLOY"):
            monkeypatch.setenv(f"AIRFLOW__NATIVE_API__{option}", "False")
        asynchronous.warm_with_server()
        warm.assert_not_called()

    def test_the_web_server_starts_if_it_cannot_start(self, warm: Any, mocker: Any, caplog: Any) -> None:
        mocker.patch.object(web_server, "is_running", return_value=True)
        warm.side_effect = OSError("no space left")
        asynchronous.warm_with_server()
        assert "no space left" in caplog.text


def test_only_the_folder_of_a_socket_is_deleted(tmp_path: Path) -> None:
    """Whatever a damaged file names as the address of a former warm process."""
    other = tmp_path / "other"
    other.mkdir()
    for address in (f"{other}/socket", f"{other}/", "/", ""):
        connection._remove(address)
    assert other.is_dir()
    socket_folder = tmp_path / f"{connection._PREFIX}abc"
    socket_folder.mkdir()
    connection._remove(f"{socket_folder}/socket")
    assert not socket_folder.exists()


def test_the_files_of_web_servers_that_have_ended_are_deleted(airflow: Any, tmp_path: Path) -> None:
    """No others in that folder."""
    warm_process = connection.WarmProcess()
    warm_process._file = tmp_path / warm_process._file.name
    (tmp_path / f"{connection._PREFIX}abc").mkdir()
    ended = subprocess.Popen(["true"])
    ended.wait()
    (tmp_path / f"{ended.pid}-1-abc").write_text(f"{tmp_path}/{connection._PREFIX}abc/socket")
    for name in (f"{os.getpid()}-1-abc", ".nfs0001"):
        (tmp_path / name).touch()
    warm_process._sweep()
    assert {path.name for path in tmp_path.iterdir()} == {f"{os.getpid()}-1-abc", ".nfs0001"}
