"""Whatever user code does, the caller gets an answer and nothing of it is left."""

from __future__ import annotations

import os
import re
import signal
import uuid
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from pathlib import Path
from typing import Any, List

import psutil
import pytest

import native_api
from native_api import errors
from native_api.adapters import sandbox
from native_api.adapters.compat import airflow as seam
from native_api.adapters.sandbox import client
from native_api.adapters.sandbox import server as warm_process
from tests.sandbox import work
from tests.sandbox.work import own_connection
from tests.support import airflow_under_test, jobs_under_test
from tests.support.jobs_under_test import running_supervisors

pytestmark = pytest.mark.slow


@pytest.fixture(autouse=True)
def no_record_is_left(fresh: Any) -> Any:
    """A job that was waited for leaves nothing on disk."""
    yield
    left = [path.name for path in sandbox.jobs_folder().glob("*") if path.name != ".places"]
    assert left == []


@pytest.fixture
def short(monkeypatch: Any) -> None:
    """Let a job run for a second only."""
    monkeypatch.setenv("AIRFLOW__NATIVE_API__JOB_SECONDS", "1")


def marked(mark: str) -> List[psutil.Process]:
    """Return the processes that have the mark among their arguments."""
    return [process for process in psutil.process_iter(["cmdline"]) if mark in (process.info["cmdline"] or [])]


def test_a_job_returns_its_result_and_what_it_printed(fresh: Any) -> None:
    """JSON goes in and comes out; both streams are the log."""
    finished = jobs_under_test.run("add", {"a": 1, "b": 2})
    assert (finished.result, finished.log, finished.log_cut) == (3, "adding 1 2\non stderr\n", False)
    assert finished.seconds > 0


def test_an_exception_comes_back_as_data(fresh: Any) -> None:
    """Its name, its words, the traceback of the user's own code, and what was printed before."""
    with pytest.raises(errors.UserCodeFailed) as caught:
        jobs_under_test.run("fail")
    assert (caught.value.exception, caught.value.message) == ("ValueError", "what went wrong")
    assert re.search(r'work\.py", line \d+, in fail', caught.value.traceback or "")
    assert "sandbox/worker.py" not in (caught.value.traceback or "")
    assert caught.value.log == "failing\n"


def test_an_error_of_ours_comes_back_as_itself(fresh: Any) -> None:
    """What the code of an operation finds out in the sandbox is answered as if it had been found out here."""
    with pytest.raises(errors.TaskNotFound, match="a_task"):
        jobs_under_test.run("fail_as_the_api_does")


@pytest.mark.parametrize(
    ("function", "exception", "code"),
    [
        pytest.param("interrupt", "KeyboardInterrupt", None, id="KeyboardInterrupt"),
        pytest.param("leave_politely", "SystemExit", 4, id="sys.exit"),
        pytest.param("eat_memory", "MemoryError", None, id="more memory than allowed"),
        pytest.param("return_what_json_cannot_hold", "TypeError", None, id="no JSON"),
        pytest.param("return_no_number", "ValueError", None, id="not a number"),
        pytest.param("return_too_much", "ResultTooLarge", None, id="20 MiB"),
    ],
)
def test_what_is_raised_is_named(function: str, exception: str, code: Any, fresh: Any) -> None:
    """Whatever the base class, and also where the result cannot be given back."""
    with pytest.raises(errors.UserCodeFailed) as caught:
        jobs_under_test.run(function, {"code": code} if code else {})
    assert (caught.value.exception, caught.value.exit_code) == (exception, code)


@pytest.mark.parametrize(
    ("function", "arguments", "code"),
    [
        pytest.param("leave", {"code": 3}, 3, id="os._exit(3)"),
        pytest.param("leave", {"code": 0}, 0, id="os._exit(0)"),
        pytest.param("crash", {}, -signal.SIGSEGV, id="segmentation fault"),
    ],
)
def test_a_process_that_ends_is_told_by_its_code(function: str, arguments: Any, code: int, fresh: Any) -> None:
    """Also where it says that all went well: a job that returns nothing has not returned."""
    with pytest.raises(errors.UserCodeCrashed) as caught:
        jobs_under_test.run(function, arguments)
    assert caught.value.exit_code == code
    assert caught.value.log == ("leaving\n" if function == "leave" else "")


@pytest.mark.parametrize("function", ["sleep", "be_stubborn", "print_without_end"])
def test_a_job_that_does_not_end_is_ended(function: str, short: None, fresh: Any) -> None:
    """Whether it sleeps, does not heed the signal, or prints for ever."""
    with pytest.raises(errors.JobTimedOut) as caught:
        jobs_under_test.run(function)
    assert caught.value.limit_seconds == 1
    assert len(caught.value.log) <= 262144


def test_a_job_that_is_ended_may_tidy_up(short: None, fresh: Any, tmp_path: Path) -> None:
    """Its finally runs, as an operator's on_kill would."""
    with pytest.raises(errors.JobTimedOut):
        jobs_under_test.run("finish_late", {"path": str(tmp_path / "tidied")})
    assert (tmp_path / "tidied").exists()


@pytest.mark.parametrize(
    "after, ends",
    [
        ("return", nullcontext()),
        ("exit", pytest.raises(errors.UserCodeCrashed)),
        ("hang", pytest.raises(errors.JobTimedOut)),
    ],
)
def test_no_process_is_left(after: str, ends: Any, monkeypatch: Any, fresh: Any) -> None:
    """Neither a child, nor one in a session of its own, nor one that was forked twice, however the job ends."""
    if after == "hang":
        monkeypatch.setenv("AIRFLOW__NATIVE_API__JOB_SECONDS", "1")
    mark = uuid.uuid4().hex
    with ends:
        jobs_under_test.run("leave_processes", {"mark": mark, "after": after})
    assert marked(mark) == []


def test_of_much_output_the_end_is_kept(monkeypatch: Any, fresh: Any) -> None:
    """The last lines are there, and it is said that there were more."""
    monkeypatch.setenv("AIRFLOW__NATIVE_API__JOB_LOG_TAIL_BYTES", "1000")
    monkeypatch.setenv("AIRFLOW__NATIVE_API__JOB_LOG_BYTES", "100000")
    finished = jobs_under_test.run("print_much", {"size": 1_000_000})
    assert finished.log_cut
    assert len(finished.log) == 1000
    assert [line.split()[0] for line in finished.log.splitlines()[-2:]] == ["9998", "9999"]


def test_of_much_output_no_more_than_job_log_bytes_is_on_disk(monkeypatch: Any, fresh: Any) -> None:
    """The older half goes as the newer fills up."""
    monkeypatch.setenv("AIRFLOW__NATIVE_API__JOB_LOG_BYTES", "100000")
    job_id = jobs_under_test.start("print_much", {"size": 1_000_000})
    assert jobs_under_test.wait(job_id)["state"] == "success"
    logs = sorted((sandbox.jobs_folder() / job_id).glob("log*"))
    assert 50_000 <= sum(log.stat().st_size for log in logs) <= 100_000
    assert logs[0].read_text().split()[-2] == "9999"
    jobs_under_test.forget(job_id)


@pytest.mark.parametrize("ends", ["crashes", "hangs"])
def test_an_error_says_whether_the_log_was_cut(ends: str, short: None, fresh: Any) -> None:
    """A job that is ended, or ends its process, has printed more than is given back; or it has not."""
    with pytest.raises(errors.JobFailed) as caught:
        jobs_under_test.run("print_and_end", {"size": 500_000, "ends": ends})
    assert (len(caught.value.log), caught.value.log_cut) == (262144, True)
    with pytest.raises(errors.JobFailed) as caught:
        jobs_under_test.run("print_and_end", {"size": 500, "ends": ends})
    assert (len(caught.value.log), caught.value.log_cut) == (500, False)
    assert caught.value.problem()["log_cut"] is False


@pytest.mark.parametrize("then", ["return", "raise", "exit"])
def test_secrets_are_masked(then: str, fresh: Any) -> None:
    """In the log, also what a subprocess prints; in the result; in an error; and where the process just ends."""
    native_api.call("set_variable", key="the_password", value="hunter2 is long enough")
    try:
        told = repr(jobs_under_test.run("tell_secrets", {"key": "the_password", "then": then}))
    except errors.JobFailed as exc:
        told = repr(exc.problem())
    assert "hunter2" not in told
    assert "the value is ***" in told
    assert "echoed ***" in told


def test_what_a_killed_job_left_is_taken_back(fresh: Any, tmp_path: Path) -> None:
    """The function that cleans up runs where the job did not end by itself, and only there."""
    cleaned = tmp_path / "cleaned"
    cleanup = (work.touch, {"path": str(cleaned)})
    jobs_under_test.run("add", {"a": 1, "b": 2}, cleanup)
    with pytest.raises(errors.UserCodeFailed):
        jobs_under_test.run("fail", {}, cleanup)
    assert not cleaned.exists()
    with pytest.raises(errors.UserCodeCrashed):
        jobs_under_test.run("leave", {"code": 1}, cleanup)
    assert cleaned.exists()


@pytest.mark.parametrize("secret", ["fields", "theirs", "result", "state", "log"])
def test_what_is_ours_is_not_masked(secret: str, fresh: Any) -> None:
    """A secret may be the same text as an id, or as the name of a field; what user code gave is masked all the same."""
    native_api.call("set_variable", key="the_password", value=secret)
    finished = jobs_under_test.run("name_secrets", {"key": "the_password"})
    assert {secret, "theirs"} <= set(finished.result)
    assert finished.result["id"] in (secret, 1)
    if is_masked(secret):
        assert finished.result["theirs"] == {"value": "***", "***": ["nested", "***"]}
        assert "the value is ***" in finished.log


def is_masked(secret: str) -> bool:
    """Return whether Airflow hides what is so short: from 3.0 on, nothing below five letters."""
    return len(secret) >= 5 or airflow_under_test.version() < (3, 0)


def test_each_job_sees_what_others_have_committed(fresh: Any) -> None:
    """What one commits the next one sees, and this process sees both."""
    for number in range(3):
        jobs_under_test.run("set_variable", {"key": f"k{number}", "value": "v"})
        assert jobs_under_test.run("count_variables").result == number + 1
    assert native_api.call("list_variables")["total_entries"] == 3


def test_no_connection_is_shared_across_a_fork(fresh: Any) -> None:
    """A job begins with none at all, and its own forks open others than it has itself."""
    told = [own_connection(0), *jobs_under_test.run("connections", {"forks": 2}).result]
    at_first = [name for names, _ in told[1:] for name in names]
    assert len(told) == 4
    assert [name for name in at_first if name.startswith("socket:") or name.endswith(".db")] == []
    if airflow_under_test.DATABASE in os.environ:
        assert len({process for _, process in told}) == 4


def test_a_piece_of_work_is_not_begun_too_late(fresh: Any) -> None:
    """It is told so, and the job comes to its end."""
    told = jobs_under_test.run("fan_out_too_late").result
    assert told == [["a", "timeout", 0], ["b", "timeout", 0]]


def test_the_call_after_the_server_was_killed_works(monkeypatch: Any, fresh: Any, tmp_path: Path) -> None:
    """A new one is started; what ran in the old one goes on to its end, whether it is waited for or not."""
    monkeypatch.setenv("AIRFLOW__NATIVE_API__JOB_SLOTS", "2")
    monkeypatch.setenv("AIRFLOW__NATIVE_API__JOBS_PER_CALLER", "10")
    end = {"path": str(tmp_path / "end")}
    _, supervisor = jobs_under_test.run("process_ids").result
    server = client.warm()._process.pid
    assert supervisor != server
    job_id = jobs_under_test.start("wait_for", end)
    with ThreadPoolExecutor(1) as threads:
        waited_for = threads.submit(jobs_under_test.run, "wait_for", end)
        jobs_under_test.wait(job_id, "running")
        jobs_under_test.until(lambda: len(running_supervisors(server)) == 2)
        os.kill(server, signal.SIGKILL)
        assert jobs_under_test.run("add", {"a": 2, "b": 2}).result == 4
        assert client.warm()._process.pid != server
        assert native_api.call("job_state", job_id=job_id)["state"] == "running"
        (tmp_path / "end").touch()
        assert waited_for.result(60).result == "it is there"
    assert jobs_under_test.wait(job_id, "success")["result"] == "it is there"
    jobs_under_test.forget(job_id)


def test_what_jobs_need_was_made_before_them(airflow: Any, fresh: Any) -> None:
    """For all of them once: what a task asks things of, before the first job that has one."""
    made = {"models": True, "api": airflow.version() >= (3, 0)}
    assert jobs_under_test.run("what_is_made").result["models"] is True
    assert [
        jobs_under_test.run("what_is_made", needs_execution_api=needs_execution_api).result
        for needs_execution_api in (True, False)
    ] == [made, made]


def test_what_tasks_ask_cannot_be_made(airflow: Any, mocker: Any, caplog: Any) -> None:
    """Other jobs go on."""
    mocker.patch.object(type(seam().user_code), "create_execution_api", side_effect=ImportError("no fastapi"))
    mocker.patch.object(warm_process, "_share")
    warm_process._create_execution_api.__wrapped__()
    assert "no fastapi" in caplog.text


def test_a_fork_of_the_web_server_starts_a_server_of_its_own(fresh: Any) -> None:
    """Gunicorn forks its workers: what was started before belongs to the parent."""
    server = client.warm()._process.pid
    reads, writes = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            mine = client.warm()
            os.write(writes, str(mine._process.pid).encode())
            mine._process.kill()
        finally:
            os._exit(0)
    os.waitpid(child, 0)
    assert int(os.read(reads, 20)) != server
    os.close(reads)
    os.close(writes)
    assert jobs_under_test.run("add", {"a": 1, "b": 1}).result == 2
