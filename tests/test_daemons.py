"""Daemons: what is started with which words, where its files lie, how it is found again and how it ends."""

from __future__ import annotations

import ast
import os
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Callable, Dict, List

import psutil
import pytest

import native_api
from native_api import errors, settings
from native_api.adapters.daemon_processes import commands, folder, log_files, processes
from native_api.adapters.seam import airflow
from tests import airflow_under_test
from tests.test_contract import is_problem

DEADLINE_SECONDS = 60
SLEEPS = "import time; print('begun', flush=True); time.sleep(600)"
DEAF = f"import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); {SLEEPS}"
WITH_A_CHILD = (
    "import subprocess, sys; child = subprocess.Popen([sys.executable, '-c', sys.argv[1]], start_new_session=True); "
    f"print('child', child.pid, flush=True); {DEAF}"
)


def eventually(question: Callable[[], Any]) -> Any:
    end = time.monotonic() + DEADLINE_SECONDS
    while not question():
        assert time.monotonic() < end
        time.sleep(0.02)
    return question()


def start(daemon: str, **arguments: Any) -> Dict[str, Any]:
    return native_api.call("start_daemon", daemon=daemon, wait_seconds=0, **arguments)


@pytest.fixture
def stand_in(fresh: Any, mocker: Any) -> Callable[..., Dict[str, Any]]:
    """Return a function that starts another program in the place of a daemon's."""

    def begin(program: str, *words: str, daemon: str = "kerberos", **arguments: Any) -> Dict[str, Any]:
        command = [sys.executable, "-c", program, *words]
        mocker.patch.object(commands, "command_of", return_value=command)
        started = start(daemon, **arguments)
        eventually(lambda: "begun" in read_log(started["name"]))
        return started

    return begin


def read_log(name: str) -> str:
    return str(native_api.call("daemon_log", name=name)["content"])


def state(name: str) -> str:
    return str(native_api.call("daemon_state", name=name)["state"])


class TestWords:
    """The words on the command line: an argument list, each argument with the flag that this Airflow has."""

    #: (daemon, arguments, words after airflow, the arguments that this Airflow no longer has)
    OLD = airflow_under_test.version() < (3, 0)
    CASES = [
        pytest.param(
            "scheduler",
            {"num_runs": 3, "do_pickle": True, "dag_id": "d", "run_duration": 9, "subdir": "DAGS_FOLDER"},
            ["scheduler", *([f"--subdir={airflow_under_test.DAGS}"] if OLD else []), "--num-runs=3"]
            + (["--do-pickle"] if OLD else []),
            {"dag_id", "run_duration"} | (set() if OLD else {"subdir", "do_pickle"}),
            id="scheduler",
        ),
        pytest.param(
            "kerberos",
            {"principal": "a/b@C", "keytab": "/k"},
            ["kerberos", "--keytab=/k", "a/b@C"],
            set(),
            id="kerberos",
        ),
        pytest.param(
            "triggerer",
            {"capacity": 7, "skip_serve_logs": True},
            ["triggerer", "--capacity=7", "--skip-serve-logs"],
            set(),
            id="triggerer",
        ),
        pytest.param("dag_processor", {"num_runs": -1}, ["dag-processor", "--num-runs=-1"], set(), id="dag processor"),
    ]

    @pytest.mark.parametrize("daemon, arguments, words, lost", CASES)
    def test_a_daemon(self, fresh: Any, daemon: str, arguments: Dict[str, Any], words: List[str], lost: Any) -> None:
        answer = start(daemon, **arguments)
        assert answer["command"] == [sys.executable, "-m", "airflow", *words]
        warnings = answer.get("warnings", [])
        assert {warning.split("'")[1] for warning in warnings} == lost
        assert all("Ignored the argument" in warning and " has no --" in warning for warning in warnings)

    def test_serve_logs_is_no_command(self, fresh: Any, web: Any) -> None:
        answer = start("serve_logs", port=8790)
        assert answer["command"][1:] == [
            "-c",
            "from airflow.utils.serve_logs import serve_logs; serve_logs(port=8790)",
        ]

    def test_without_celery(self, fresh: Any, web: Any) -> None:
        """501 with the package that is missing."""
        answer = web.typed("start_daemon", daemon="worker")
        is_problem(answer, 501)
        assert "apache-airflow-providers-celery" in answer.json["detail"]
        assert "celery is not installed" in answer.json["detail"]
        assert web.legacy("flower").status == 501
        assert native_api.call("list_daemons")["total_entries"] == 0

    @pytest.mark.parametrize(
        "arguments",
        [
            {},
            {"daemon": "webserver"},
            {"daemon": "scheduler", "queues": "q"},
            {"daemon": "scheduler", "num_runs": "x"},
            {"daemon": "kerberos", "principal": "--keytab=/etc/x"},
            {"daemon": "kerberos", "principal": "a\0b"},
            {"daemon": "kerberos", "keytab": "a\nb"},
            {"daemon": "scheduler", "name": "../x"},
            {"daemon": "scheduler", "name": ".x"},
            {"daemon": "scheduler", "name": "x\n"},
            {"daemon": "flower", "port": 65536},
            {"daemon": "scheduler", "wait_seconds": 61},
        ],
    )
    def test_refused(self, web: Any, arguments: Dict[str, Any]) -> None:
        is_problem(web.typed("start_daemon", **arguments), 422)
        assert native_api.call("list_daemons")["total_entries"] == 0

    def test_no_shell_reads_them(self, stand_in: Any, fresh: Any, mocker: Any) -> None:
        told = "import sys; print(sys.argv[1], 'begun', flush=True); import time; time.sleep(600)"
        stand_in(told, "$(id); `id` && id > x | 'y\" *")
        assert read_log("kerberos") == "$(id); `id` && id > x | 'y\" * begun\n"

    def test_another_daemons_dags(self, web: Any) -> None:
        is_problem(web.typed("start_daemon", daemon="scheduler", subdir="/etc"), 403)

    def test_the_brokers_password_is_masked(self, web: Any, mocker: Any) -> None:
        """In the answer, in the record, in the audit log and in the old protocol's command."""
        seam = type(airflow().daemons)
        mocker.patch.object(seam, "flags", return_value=["--broker-api"])
        mocker.patch.object(seam, "missing_package", return_value=None)
        mocker.patch("native_api.adapters.daemons.monotonic", side_effect=[0, 100])
        answer = web.legacy("flower", broker_api="http://ada:hunter2@broker/api")
        mocker.stopall()
        assert "hunter2" not in answer.text
        assert "://ada:***@broker" in Path(folder.record_path("flower")).read_text()
        assert "://ada:***@broker" in answer.json["arguments"]["broker_api"]
        (row,) = airflow_under_test.audit_rows()
        assert "://ada:***@broker" in row.extra and "hunter2" not in row.extra


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
    def test_a_pid_file_elsewhere(self, web: Any, path: str) -> None:
        is_problem(web.typed("start_daemon", daemon="scheduler", pid=path), 403)
        assert native_api.call("list_daemons")["total_entries"] == 0

    def test_a_path_with_nul(self, web: Any) -> None:
        answer = web.typed("start_daemon", daemon="scheduler", pid="\0.pid")
        is_problem(answer, 422)
        assert list(answer.json["errors"]) == ["pid"]

    @pytest.mark.parametrize("stream", ["log_file", "stdout", "stderr"])
    @pytest.mark.parametrize("path", ["/tmp/x.log", "../x.log", "x.pid", ".records/x.log"])
    def test_a_log_elsewhere(self, web: Any, stream: str, path: str) -> None:
        is_problem(web.typed("start_daemon", daemon="scheduler", **{stream: path}), 403)
        assert native_api.call("list_daemons")["total_entries"] == 0

    @pytest.mark.parametrize("suffix, argument", [("pid", "pid"), ("log", "log_file")])
    def test_a_link(self, web: Any, tmp_path: Path, suffix: str, argument: str) -> None:
        folder.create()
        os.symlink(tmp_path / "target", Path(settings.get("daemons_dir"), f"link.{suffix}"))
        os.symlink(tmp_path, Path(settings.get("daemons_dir"), "out"))
        os.mkfifo(Path(settings.get("daemons_dir"), f"fifo.{suffix}"))
        for path in (f"link.{suffix}", f"out/x.{suffix}", f"fifo.{suffix}"):
            is_problem(web.typed("start_daemon", daemon="scheduler", **{argument: path}), 403)
        assert list(tmp_path.iterdir()) == []

    def test_below_and_whole(self, stand_in: Any) -> None:
        root = settings.get("daemons_dir")
        folder.create()
        Path(root, "sub").mkdir()
        answer = stand_in(SLEEPS, pid="sub/my.pid", stdout=f"{root}/my.out", stderr="my.err", log_file="my.out")
        assert (answer["pid_file"], answer["stdout"]) == (f"{root}/sub/my.pid", f"{root}/my.out")
        assert Path(root, "sub", "my.pid").read_text() == f"{answer['pid']}\n"
        assert "begun" in native_api.call("daemon_log", name="kerberos", stream="stdout")["content"]
        assert native_api.call("daemon_log", name="kerberos", stream="stderr")["content"] == ""

    def test_only_the_owner_looks_into_them(self, stand_in: Any) -> None:
        answer = stand_in(SLEEPS)
        root = Path(settings.get("daemons_dir"))
        assert root.stat().st_mode & 0o777 == 0o700
        for path in (answer["pid_file"], answer["log_file"], folder.record_path("kerberos")):
            assert Path(path).stat().st_mode & 0o777 == 0o600


class TestApart:
    """A daemon is no child of the web worker and has nothing of it."""

    def test_its_session_and_its_files(self, stand_in: Any) -> None:
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

    def test_its_signals(self, stand_in: Any) -> None:
        """Python's web servers ignore some, and what is ignored stays so in a new program."""
        asks = "import signal; print([int(n) for n in signal.valid_signals() if signal.getsignal(n) == signal.SIG_IGN])"
        before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
        try:
            stand_in(f"{asks}; {SLEEPS}")
        finally:
            signal.signal(signal.SIGHUP, before)
        # Python itself ignores these two.
        assert ast.literal_eval(read_log("kerberos").splitlines()[0]) == [signal.SIGPIPE, signal.SIGXFSZ]

    def test_its_environment(self, stand_in: Any, monkeypatch: Any) -> None:
        """The web server's own, but for what the web server has set for itself."""
        monkeypatch.setenv("OF_THE_DEPLOYER", "é")
        monkeypatch.setenv("_AIRFLOW_PROCESS_CONTEXT", "server")
        stand_in(
            "import os; print(ascii(os.environ['OF_THE_DEPLOYER']), '_AIRFLOW_PROCESS_CONTEXT' in os.environ); "
            + SLEEPS
        )
        assert read_log("kerberos").splitlines()[0] == "'\\xe9' False"

    def test_it_outlives_the_web_worker(self, fresh: Any) -> None:
        """Even where that is killed with its whole group the moment it has answered."""
        program = (
            "import sys, os, signal\n"
            "from native_api.adapters.daemon_processes import folder, processes\n"
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
    def test_a_second_start_is_refused(self, web: Any, stand_in: Any) -> None:
        pid = stand_in(SLEEPS)["pid"]
        answer = web.typed("start_daemon", daemon="kerberos")
        is_problem(answer, 409)
        assert answer.json["pid"] == pid
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
        """A daemon's pid file goes on saying its own pid; one that has ended gives it up."""
        first = stand_in(SLEEPS, name="one")
        answer = web.typed("start_daemon", daemon="kerberos", name="two", pid="one.pid")
        is_problem(answer, 409)
        assert answer.json["pid"] == first["pid"]
        assert Path(first["pid_file"]).read_text() == f"{first['pid']}\n"
        os.kill(first["pid"], signal.SIGKILL)
        eventually(lambda: state("one") == "ended")
        assert stand_in(SLEEPS, name="two", pid="one.pid")["pid_file"] == first["pid_file"]

    def test_two_at_once(self, web: Any, mocker: Any) -> None:
        """One wins."""
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

    def test_one_that_has_ended_is_started_again(self, stand_in: Any) -> None:
        first = stand_in(SLEEPS)["pid"]
        os.kill(first, signal.SIGKILL)
        eventually(lambda: state("kerberos") == "ended")
        assert stand_in(SLEEPS)["pid"] != first
        assert state("kerberos") == "running"
        assert eventually(lambda: read_log("kerberos") == "begun\nbegun\n")


class TestFinding:
    def test_another_process_has_the_pid(self, fresh: Any, web: Any) -> None:
        """It is neither taken for the daemon nor stopped."""
        other = subprocess.Popen([sys.executable, "-c", SLEEPS], stdout=subprocess.DEVNULL)
        try:
            fresh.store_daemon("scheduler")
            folder.write_record({**(folder.read_record("scheduler") or {}), "pid": other.pid})
            assert state("scheduler") == "ended"
            answer = native_api.call("stop_daemon", name="scheduler")
            assert (answer["state"], answer["killed"]) == ("ended", [])
            assert "not running" in answer["warnings"][0]
            assert other.poll() is None
        finally:
            other.kill()
            other.wait()

    def test_one_of_another_machine(self, fresh: Any) -> None:
        fresh.store_daemon("scheduler")
        folder.write_record({**(folder.read_record("scheduler") or {}), "hostname": "elsewhere"})
        assert state("scheduler") == "unknown"
        assert native_api.call("stop_daemon", name="scheduler")["state"] == "unknown"

    @pytest.mark.parametrize("operation", ["daemon_state", "daemon_log", "stop_daemon"])
    def test_one_that_was_never_started(self, web: Any, operation: str) -> None:
        """Nothing but what this API has started is known, a scheduler of another hand neither."""
        is_problem(web.typed(operation, name="scheduler"), 404)
        is_problem(web.typed(operation, name="../../etc/passwd"), 422)

    def test_its_heartbeat(self, fresh: Any, stand_in: Any) -> None:
        """Airflow's own row is found by the machine and the start; an older one is another's."""
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


class TestEnding:
    def test_by_itself(self, stand_in: Any) -> None:
        pid = stand_in(SLEEPS)["pid"]
        answer = native_api.call("stop_daemon", name="kerberos")
        assert (answer["state"], answer["killed"], bool(answer["stopped_at"])) == ("stopped", [], True)
        assert not Path(answer["pid_file"]).exists()
        assert not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE

    def test_by_force(self, stand_in: Any) -> None:
        """What it has started is killed with it, sessions of its own included."""
        pid = stand_in(WITH_A_CHILD, DEAF)["pid"]
        child = int(read_log("kerberos").split("child ")[1].split()[0])
        answer = native_api.call("stop_daemon", name="kerberos", grace_seconds=0.2)
        assert answer["state"] == "stopped"
        assert set(answer["killed"]) == {pid, child}
        for killed in (pid, child):
            assert not psutil.pid_exists(killed) or psutil.Process(killed).status() == psutil.STATUS_ZOMBIE

    def test_to_it_alone(self, stand_in: Any) -> None:
        """SIGTERM goes to the daemon, which tells its children itself."""
        quits = WITH_A_CHILD.replace("signal.SIG_IGN", "lambda *_: sys.exit()")
        stand_in(quits, SLEEPS)
        child = psutil.Process(int(read_log("kerberos").split("child ")[1].split()[0]))
        assert native_api.call("stop_daemon", name="kerberos")["killed"] == []
        assert child.is_running() and child.status() != psutil.STATUS_ZOMBIE
        child.kill()


class TestDyingAtOnce:
    #: What a program says last, and what the answer makes of it.
    SENTENCES = [
        ("raise ModuleNotFoundError(\"No module named 'redis'\")", "the Python module redis is not installed."),
        ("raise OSError(98, 'Address already in use')", "the port is in use."),
        ("raise FileNotFoundError(2, 'No such file or directory', 'kinit')", "kinit is not installed"),
        ("print('kinit: Cannot contact any KDC'); raise SystemExit(1)", "kinit: Cannot contact any KDC."),
        ("print('no such table: log'); raise SystemExit(1)", "run airflow db migrate."),
        ("print('nobody knows why'); raise SystemExit(1)", "nobody knows why"),
    ]

    @pytest.mark.parametrize("program, sentence", SENTENCES)
    def test_the_answer_says_why(self, web: Any, mocker: Any, program: str, sentence: str) -> None:
        mocker.patch.object(commands, "command_of", return_value=[sys.executable, "-c", program])
        answer = web.typed("start_daemon", daemon="kerberos", wait_seconds=DEADLINE_SECONDS)
        is_problem(answer, 409)
        assert sentence in answer.json["detail"]
        assert answer.json["log_file"] == native_api.call("daemon_state", name="kerberos")["log_file"]
        assert answer.json["pid"] and answer.json["log_tail"]
        assert state("kerberos") == "ended"
        assert not Path(settings.get("daemons_dir"), "kerberos.pid").exists()

    def test_what_cannot_be_started_leaves_nothing(self, web: Any, mocker: Any) -> None:
        mocker.patch.object(commands, "command_of", return_value=["/no/such/program"])
        answer = web.typed("start_daemon", daemon="kerberos")
        is_problem(answer, 409)
        assert "could not be started: [Errno 2]" in answer.json["detail"]
        assert native_api.call("list_daemons")["daemons"] == []
        assert not Path(settings.get("daemons_dir"), "kerberos.pid").exists()

    def test_what_an_earlier_one_said_does_not_count(self, web: Any, mocker: Any) -> None:
        for program in ("raise OSError(98, 'Address already in use')", "raise SystemExit(1)"):
            mocker.patch.object(commands, "command_of", return_value=[sys.executable, "-c", program])
            answer = web.typed("start_daemon", daemon="kerberos", wait_seconds=DEADLINE_SECONDS)
        assert answer.json["log_tail"] == ""
        assert "in use" not in answer.json["detail"]

    def test_a_program_that_is_not_there(self, web: Any, mocker: Any) -> None:
        mocker.patch.object(commands, "command_of", return_value=["/no/such/program"])
        answer = web.typed("start_daemon", daemon="kerberos")
        is_problem(answer, 409)
        assert "No such file" in answer.json["detail"]
        assert native_api.call("list_daemons")["total_entries"] == 0

    def test_of_airflow_itself(self, web: Any) -> None:
        """The renewer without a keytab ends at once, on every Airflow."""
        answer = web.typed("start_daemon", daemon="kerberos", principal="x", keytab="/no/keytab", wait_seconds=60)
        is_problem(answer, 409)
        assert "kinit" in answer.json["detail"]


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
    def test_the_end(self, fresh: Any, asked: Dict[str, int], content: str, truncated: bool) -> None:
        fresh.store_daemon("scheduler")
        answer = native_api.call("daemon_log", name="scheduler", **asked)
        assert (answer["content"], answer["truncated"], answer["size_bytes"]) == (content, truncated, 11)

    def test_one_that_is_large_or_not_text(self, fresh: Any, monkeypatch: Any) -> None:
        fresh.store_daemon("scheduler")
        monkeypatch.setattr(log_files, "MOST", 4)
        path = Path(native_api.call("daemon_state", name="scheduler")["log_file"])
        path.write_bytes(b"12345\xff\n")
        answer = native_api.call("daemon_log", name="scheduler")
        assert (answer["content"], answer["truncated"]) == ("45\ufffd\n", True)

    def test_a_link_in_its_place(self, web: Any, tmp_path: Path) -> None:
        """Is not followed."""
        airflow_under_test.store_daemon("scheduler")
        path = Path(native_api.call("daemon_state", name="scheduler")["log_file"])
        (tmp_path / "secret").write_text("hush")
        path.unlink()
        path.symlink_to(tmp_path / "secret")
        answer = web.typed("daemon_log", name="scheduler")
        is_problem(answer, 403)
        assert "hush" not in answer.text


class TestLegacy:
    @pytest.mark.parametrize("name", ["kerberos", "scheduler", "serve_logs", "triggerer", "dag_processor"])
    def test_a_name(self, web: Any, mocker: Any, name: str) -> None:
        """The shape of a command's answer, with the pid and the log in stdout."""
        mocker.patch.object(commands, "command_of", return_value=[sys.executable, "-c", SLEEPS])
        mocker.patch("native_api.adapters.daemons.monotonic", side_effect=[0, 100])
        answer = web.legacy(name, daemon="on", pid=f"{name}.pid", **{"log-file": f"my_{name}.log"})
        assert answer.status == 200, answer.text
        body = answer.json
        log = f"{settings.get('daemons_dir')}/my_{name}.log"
        assert body["output"] == {
            "stdin": "",
            "stdout": f"Started {name} with pid {body['result']['pid']}, log {log}\n",
            "stderr": "",
        }
        assert body["airflow_cmd"] == (None if name == "serve_logs" else f"airflow {name.replace('_', '-')}")
        assert "warning" not in body

    def test_what_is_gone_is_named(self, web: Any, mocker: Any) -> None:
        mocker.patch.object(commands, "command_of", return_value=[sys.executable, "-c", SLEEPS])
        mocker.patch("native_api.adapters.daemons.monotonic", side_effect=[0, 100])
        answer = web.legacy("scheduler", **{"run-duration": "9", "dag_id": "d", "do_pickle": "off", "x": "y"})
        assert "'run_duration'" in answer.json["warning"]
        assert "'dag_id'" in answer.json["warning"]
        assert "do_pickle" not in answer.json["warning"]
        assert "['x']" in answer.json["warning"]

    def test_a_path_elsewhere(self, web: Any) -> None:
        assert web.legacy("scheduler", pid="/var/run/airflow.pid").status == 403
        assert native_api.call("list_daemons")["total_entries"] == 0
