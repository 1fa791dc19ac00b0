"""The processes of daemons: detached from the web server, started once, found again, and stopped."""

from __future__ import annotations

import ast
import os
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import psutil
import pytest

import native_api
from native_api import errors, settings
from native_api.adapters.daemons import commands, folder, processes
from tests.daemons.stand_ins import DEADLINE_SECONDS, DEAF, SLEEPS, WITH_A_CHILD, eventually, read_log, start, state
from tests.support.problems import assert_problem
from tests.support.versions import by_default_on

pytestmark = [pytest.mark.slow, by_default_on("2.7", "2.11", "3.0", "3.3")]


class TestDetached:
    """A daemon is not a child of the web worker and inherits nothing from it."""

    def test_it_has_its_own_session_and_no_open_files_of_the_web_worker(self, stand_in: Any) -> None:
        with open(settings.__file__, "rb") as ours:
            os.set_inheritable(ours.fileno(), True)
            process = psutil.Process(stand_in(SLEEPS)["pid"])
            assert os.getsid(process.pid) == process.pid
            assert process.ppid() != os.getpid()
            assert process.pid not in [child.pid for child in psutil.Process().children(recursive=True)]
            descriptors = {
                int(name): os.readlink(f"/proc/{process.pid}/fd/{name}")
                for name in os.listdir(f"/proc/{process.pid}/fd")
            }
            log = os.path.realpath(folder.path_of("kerberos.log", "", ".log"))
            assert descriptors == {0: "/dev/null", 1: log, 2: log}

    def test_it_has_the_default_signal_handlers(self, stand_in: Any) -> None:
        """Ignored signals would be inherited."""
        asks = "import signal; print([int(n) for n in signal.valid_signals() if signal.getsignal(n) == signal.SIG_IGN])"
        before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
        try:
            stand_in(f"{asks}; {SLEEPS}")
        finally:
            signal.signal(signal.SIGHUP, before)
        # Python itself ignores these two.
        assert ast.literal_eval(read_log("kerberos").splitlines()[0]) == [signal.SIGPIPE, signal.SIGXFSZ]

    def test_it_has_the_environment_of_the_web_server(self, stand_in: Any, monkeypatch: Any) -> None:
        """Without the variables that the web server has set itself."""
        monkeypatch.setenv("OF_THE_DEPLOYER", "é")
        monkeypatch.setenv("_AIRFLOW_PROCESS_CONTEXT", "server")
        stand_in(
            "import os; print(ascii(os.environ['OF_THE_DEPLOYER']), '_AIRFLOW_PROCESS_CONTEXT' in os.environ); "
            + SLEEPS
        )
        assert read_log("kerberos").splitlines()[0] == "'\\xe9' False"

    def test_it_continues_when_the_web_worker_is_killed(self, fresh: Any) -> None:
        """Also with its process group, immediately after the response."""
        program = (
            "import sys, os, signal\n"
            "from native_api.adapters.daemons import folder, processes\n"
            "folder.create()\n"
            "root = sys.argv[1]\n"
            "record = {'name': 'x', 'started_at': 'now', 'pid_file': root + '/x.pid', 'stdout': root + '/x.log',\n"
            "          'stderr': root + '/x.log'}\n"
            f"processes.start(record, [sys.executable, '-c', {SLEEPS!r}])\n"
            "os.killpg(0, signal.SIGKILL)\n"
        )
        root = settings.get("daemons_dir")
        ended = subprocess.run([sys.executable, "-c", program, root], start_new_session=True, check=False)
        assert ended.returncode == -signal.SIGKILL
        record = folder.read_record("x")
        assert record and eventually(lambda: "begun" in Path(root, "x.log").read_text())
        assert processes.find(record)


class TestOnce:
    def test_a_running_daemon_is_409_with_its_pid(self, web: Any, stand_in: Any) -> None:
        pid = stand_in(SLEEPS)["pid"]
        response = web.typed("start_daemon", daemon="kerberos")
        assert_problem(response, 409)
        assert response.json["pid"] == pid
        assert str(pid) in web.legacy("kerberos").json["output"]

    def test_another_name_is_another_daemon(self, stand_in: Any) -> None:
        pids = {stand_in(SLEEPS, name=name)["pid"] for name in ("one", "two")}
        assert len(pids) == 2
        listed = native_api.call("list_daemons")
        assert [(daemon["name"], daemon["state"]) for daemon in listed["daemons"]] == [
            ("one", "running"),
            ("two", "running"),
        ]

    def test_a_pid_file_in_use_is_refused(self, web: Any, stand_in: Any) -> None:
        """That of an ended daemon can be used again."""
        first = stand_in(SLEEPS, name="one")
        response = web.typed("start_daemon", daemon="kerberos", name="two", pid="one.pid")
        assert_problem(response, 409)
        assert response.json["pid"] == first["pid"]
        assert Path(first["pid_file"]).read_text() == f"{first['pid']}\n"
        os.kill(first["pid"], signal.SIGKILL)
        eventually(lambda: state("one") == "ended")
        assert stand_in(SLEEPS, name="two", pid="one.pid")["pid_file"] == first["pid_file"]

    def test_of_two_simultaneous_starts_one_is_refused(self, web: Any, mocker: Any) -> None:
        mocker.patch.object(commands, "command_of", return_value=[sys.executable, "-c", SLEEPS])

        def attempt(_: int) -> Any:
            try:
                return start("kerberos")["pid"]
            except errors.DaemonRuns as exc:
                return exc

        with ThreadPoolExecutor(4) as pool:
            outcomes = list(pool.map(attempt, range(4)))
        (pid,) = [outcome for outcome in outcomes if isinstance(outcome, int)]
        assert [exc.pid for exc in outcomes if isinstance(exc, errors.DaemonRuns)] == [pid] * 3

    def test_an_ended_daemon_can_be_started_again(self, stand_in: Any) -> None:
        first = stand_in(SLEEPS)["pid"]
        os.kill(first, signal.SIGKILL)
        eventually(lambda: state("kerberos") == "ended")
        assert stand_in(SLEEPS)["pid"] != first
        assert state("kerberos") == "running"
        assert eventually(lambda: read_log("kerberos") == "begun\nbegun\n")


class TestFinding:
    def test_another_process_with_the_pid_is_not_stopped(self, fresh: Any, web: Any) -> None:
        other = subprocess.Popen([sys.executable, "-c", SLEEPS], stdout=subprocess.DEVNULL)
        try:
            fresh.store_daemon("scheduler")
            folder.write_record({**(folder.read_record("scheduler") or {}), "pid": other.pid})
            assert state("scheduler") == "ended"
            response = native_api.call("stop_daemon", name="scheduler")
            assert (response["state"], response["killed"]) == ("ended", [])
            assert "not running" in response["warnings"][0]
            assert other.poll() is None
        finally:
            other.kill()
            other.wait()

    def test_a_daemon_of_another_host_is_unknown_and_cannot_be_stopped(self, fresh: Any) -> None:
        fresh.store_daemon("scheduler")
        folder.write_record({**(folder.read_record("scheduler") or {}), "hostname": "elsewhere"})
        assert state("scheduler") == "unknown"
        with pytest.raises(errors.DaemonIsElsewhere, match="the host 'elsewhere'"):
            native_api.call("stop_daemon", name="scheduler")

    @pytest.mark.parametrize("operation", ["daemon_state", "daemon_log", "stop_daemon"])
    def test_a_daemon_that_this_api_has_not_started_is_404(self, web: Any, operation: str) -> None:
        """Also a scheduler that was started in another way."""
        assert_problem(web.typed(operation, name="scheduler"), 404)
        assert_problem(web.typed(operation, name="../../etc/passwd"), 422)

    def test_it_has_the_latest_heartbeat(self, fresh: Any, stand_in: Any) -> None:
        """Airflow's row is found by the hostname and the start date."""
        from airflow.jobs.job import Job
        from sqlalchemy import delete

        with fresh.session() as session:
            session.add(job := Job(state="running"))
            job.job_type = "SchedulerJob"
        assert stand_in(SLEEPS, daemon="scheduler")["heartbeat"] is None
        with fresh.session() as session:
            session.add(job := Job(state="running"))
            job.job_type = "SchedulerJob"
        heartbeat = native_api.call("daemon_state", name="scheduler")["heartbeat"]
        assert (heartbeat["state"], heartbeat["is_alive"]) == ("running", True)
        with fresh.session() as session:
            session.execute(delete(Job))


class TestStopping:
    def test_a_daemon_stops_on_sigterm(self, stand_in: Any) -> None:
        pid = stand_in(SLEEPS)["pid"]
        response = native_api.call("stop_daemon", name="kerberos")
        assert (response["state"], response["killed"], bool(response["stopped_at"])) == ("stopped", [], True)
        assert not Path(response["pid_file"]).exists()
        assert not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE

    def test_a_daemon_that_ignores_sigterm_is_killed_with_its_descendants(self, stand_in: Any) -> None:
        """Also those in other sessions."""
        pid = stand_in(WITH_A_CHILD, DEAF)["pid"]
        child = int(read_log("kerberos").split("child ")[1].split()[0])
        response = native_api.call("stop_daemon", name="kerberos", grace_seconds=0.2)
        assert response["state"] == "stopped"
        assert set(response["killed"]) == {pid, child}
        for killed in (pid, child):
            assert not psutil.pid_exists(killed) or psutil.Process(killed).status() == psutil.STATUS_ZOMBIE

    def test_sigterm_is_sent_to_the_daemon_only(self, stand_in: Any) -> None:
        """It stops its children itself."""
        quits = WITH_A_CHILD.replace("signal.SIG_IGN", "lambda *_: sys.exit()")
        stand_in(quits, SLEEPS)
        child = psutil.Process(int(read_log("kerberos").split("child ")[1].split()[0]))
        assert native_api.call("stop_daemon", name="kerberos")["killed"] == []
        assert child.is_running() and child.status() != psutil.STATUS_ZOMBIE
        child.kill()


class TestFailedStarts:
    #: The last output of a program, and the reason in the error.
    SENTENCES = [
        ("raise ModuleNotFoundError(\"No module named 'redis'\")", "the Python module redis is not installed."),
        ("raise OSError(98, 'Address already in use')", "the port is in use."),
        ("raise FileNotFoundError(2, 'No such file or directory', 'kinit')", "kinit is not installed"),
        ("print('kinit: Cannot contact any KDC'); raise SystemExit(1)", "kinit: Cannot contact any KDC."),
        ("print('no such table: log'); raise SystemExit(1)", "run airflow db migrate."),
        ("print('nobody knows why'); raise SystemExit(1)", "nobody knows why"),
    ]

    @pytest.mark.parametrize("program, sentence", SENTENCES)
    def test_the_error_has_the_reason(self, web: Any, mocker: Any, program: str, sentence: str) -> None:
        mocker.patch.object(commands, "command_of", return_value=[sys.executable, "-c", program])
        response = web.typed("start_daemon", daemon="kerberos", wait_seconds=DEADLINE_SECONDS)
        assert_problem(response, 409)
        assert sentence in response.json["detail"]
        assert response.json["log_file"] == native_api.call("daemon_state", name="kerberos")["log_file"]
        assert response.json["pid"] and response.json["log_tail"]
        assert state("kerberos") == "ended"
        assert not Path(settings.get("daemons_dir"), "kerberos.pid").exists()

    def test_a_command_that_cannot_be_executed_leaves_nothing(self, web: Any, mocker: Any) -> None:
        mocker.patch.object(commands, "command_of", return_value=["/no/such/program"])
        response = web.typed("start_daemon", daemon="kerberos")
        assert_problem(response, 409)
        assert "could not be started: [Errno 2]" in response.json["detail"]
        assert native_api.call("list_daemons")["daemons"] == []
        assert not Path(settings.get("daemons_dir"), "kerberos.pid").exists()

    def test_the_log_of_an_earlier_start_is_not_the_reason(self, web: Any, mocker: Any) -> None:
        for program in ("raise OSError(98, 'Address already in use')", "raise SystemExit(1)"):
            mocker.patch.object(commands, "command_of", return_value=[sys.executable, "-c", program])
            response = web.typed("start_daemon", daemon="kerberos", wait_seconds=DEADLINE_SECONDS)
        assert response.json["log_tail"] == ""
        assert "in use" not in response.json["detail"]

    def test_a_missing_program_is_409(self, web: Any, mocker: Any) -> None:
        mocker.patch.object(commands, "command_of", return_value=["/no/such/program"])
        response = web.typed("start_daemon", daemon="kerberos")
        assert_problem(response, 409)
        assert "No such file" in response.json["detail"]
        assert native_api.call("list_daemons")["total_entries"] == 0

    def test_the_kerberos_renewer_without_a_keytab_fails(self, web: Any) -> None:
        response = web.typed("start_daemon", daemon="kerberos", principal="x", keytab="/no/keytab", wait_seconds=60)
        assert_problem(response, 409)
        assert "kinit" in response.json["detail"]
