"""Whatever DAG code does, the caller gets a response, and nothing of the job remains."""

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
from native_api.adapters.sandbox import server as warm_process
from tests.sandbox import work
from tests.sandbox.work import own_connection
from tests.support import airflow_under_test, jobs_under_test
from tests.support.jobs_under_test import running_supervisors

pytestmark = pytest.mark.slow


@pytest.fixture(autouse=True)
def no_record_is_left(fresh: Any) -> Any:
    """Assert that a job within a request leaves no record."""
    yield
    left = [path.name for path in sandbox.jobs_folder().glob("*") if path.name != ".places"]
    assert left == []


@pytest.fixture
def short(monkeypatch: Any) -> None:
    """Set the timeout of a job to one second."""
    monkeypatch.setenv("AIRFLOW__NATIVE_API__JOB_SECONDS", "1")


def marked(mark: str) -> List[psutil.Process]:
    """Return the processes that have the mark among their arguments."""
    return [process for process in psutil.process_iter(["cmdline"]) if mark in (process.info["cmdline"] or [])]


def test_a_job_returns_its_result_and_its_log(fresh: Any) -> None:
    """The log has standard output and standard error."""
    finished = jobs_under_test.run("add", {"a": 1, "b": 2})
    assert (finished.result, finished.log, finished.log_cut) == (3, "adding 1 2\non stderr\n", False)
    assert finished.seconds > 0


def test_an_exception_is_returned_with_its_class_message_traceback_and_log(fresh: Any) -> None:
    """The traceback begins with the frames of DAG code."""
    with pytest.raises(errors.UserCodeFailed) as caught:
        jobs_under_test.run("fail")
    assert (caught.value.exception, caught.value.message) == ("ValueError", "what went wrong")
    assert re.search(r'work\.py", line \d+, in fail', caught.value.traceback or "")
    assert "sandbox/worker.py" not in (caught.value.traceback or "")
    assert caught.value.log == "failing\n"


def test_a_native_api_error_in_a_job_is_raised_as_the_same_error(fresh: Any) -> None:
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
def test_any_exception_is_named(function: str, exception: str, code: Any, fresh: Any) -> None:
    """Whatever its base class, also if the result is not JSON."""
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
def test_a_crash_has_the_exit_code_of_the_process(function: str, arguments: Any, code: int, fresh: Any) -> None:
    """Also the exit code 0: the function has not returned."""
    with pytest.raises(errors.UserCodeCrashed) as caught:
        jobs_under_test.run(function, arguments)
    assert caught.value.exit_code == code
    assert caught.value.log == ("leaving\n" if function == "leave" else "")


@pytest.mark.parametrize("function", ["sleep", "be_stubborn", "print_without_end"])
def test_a_job_that_exceeds_its_timeout_is_terminated(function: str, short: None, fresh: Any) -> None:
    """Whether it sleeps, ignores SIGTERM, or prints for ever."""
    with pytest.raises(errors.JobTimedOut) as caught:
        jobs_under_test.run(function)
    assert caught.value.limit_seconds == 1
    assert len(caught.value.log) <= 262144


def test_a_terminated_job_can_clean_up(short: None, fresh: Any, tmp_path: Path) -> None:
    """Its finally block runs, as the on_kill of an operator does."""
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
def test_no_descendant_of_a_job_remains(after: str, ends: Any, monkeypatch: Any, fresh: Any) -> None:
    """Neither a child, nor one in another session, nor one that was forked twice, however the job ends."""
    if after == "hang":
        monkeypatch.setenv("AIRFLOW__NATIVE_API__JOB_SECONDS", "1")
    mark = uuid.uuid4().hex
    with ends:
        jobs_under_test.run("leave_processes", {"mark": mark, "after": after})
    assert marked(mark) == []


def test_a_long_log_is_returned_as_its_tail(monkeypatch: Any, fresh: Any) -> None:
    """log_cut is true."""
    monkeypatch.setenv("AIRFLOW__NATIVE_API__JOB_LOG_TAIL_BYTES", "1000")
    monkeypatch.setenv("AIRFLOW__NATIVE_API__JOB_LOG_BYTES", "100000")
    finished = jobs_under_test.run("print_much", {"size": 1_000_000})
    assert finished.log_cut
    assert len(finished.log) == 1000
    assert [line.split()[0] for line in finished.log.splitlines()[-2:]] == ["9998", "9999"]


def test_at_most_job_log_bytes_of_a_log_are_stored(monkeypatch: Any, fresh: Any) -> None:
    monkeypatch.setenv("AIRFLOW__NATIVE_API__JOB_LOG_BYTES", "100000")
    job_id = jobs_under_test.start("print_much", {"size": 1_000_000})
    assert jobs_under_test.wait(job_id)["state"] == "success"
    logs = sorted((sandbox.jobs_folder() / job_id).glob("log*"))
    assert 50_000 <= sum(log.stat().st_size for log in logs) <= 100_000
    assert logs[0].read_text().split()[-2] == "9999"
    jobs_under_test.forget(job_id)


@pytest.mark.parametrize("ends", ["crashes", "hangs"])
def test_an_error_has_log_cut(ends: str, short: None, fresh: Any) -> None:
    with pytest.raises(errors.JobFailed) as caught:
        jobs_under_test.run("print_and_end", {"size": 500_000, "ends": ends})
    assert (len(caught.value.log), caught.value.log_cut) == (262144, True)
    with pytest.raises(errors.JobFailed) as caught:
        jobs_under_test.run("print_and_end", {"size": 500, "ends": ends})
    assert (len(caught.value.log), caught.value.log_cut) == (500, False)
    assert caught.value.problem()["log_cut"] is False


@pytest.mark.parametrize("then", ["return", "raise", "exit"])
def test_secrets_are_masked_in_the_log_the_result_and_the_error(then: str, fresh: Any) -> None:
    """Also in the output of a subprocess, and if the process crashes."""
    native_api.call("set_variable", key="the_password", value="hunter2 is long enough")
    try:
        result = repr(jobs_under_test.run("tell_secrets", {"key": "the_password", "then": then}))
    except errors.JobFailed as exc:
        result = repr(exc.problem())
    assert "hunter2" not in result
    assert "the value is ***" in result
    assert "echoed ***" in result


def test_the_cleanup_runs_only_if_the_job_did_not_end_by_itself(fresh: Any, tmp_path: Path) -> None:
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
def test_ids_and_field_names_are_not_masked_if_a_secret_has_the_same_text(secret: str, fresh: Any) -> None:
    """What DAG code returned is masked."""
    native_api.call("set_variable", key="the_password", value=secret)
    finished = jobs_under_test.run("name_secrets", {"key": "the_password"})
    assert {secret, "theirs"} <= set(finished.result)
    assert finished.result["id"] in (secret, 1)
    if is_masked(secret):
        assert finished.result["theirs"] == {"value": "***", "***": ["nested", "***"]}
        assert "the value is ***" in finished.log


def is_masked(secret: str) -> bool:
    """Return whether Airflow masks a secret of this length; Airflow 3 masks at least five characters."""
    return len(secret) >= 5 or airflow_under_test.version() < (3, 0)


def test_a_job_sees_what_other_processes_have_committed(fresh: Any) -> None:
    for number in range(3):
        jobs_under_test.run("set_variable", {"key": f"k{number}", "value": "v"})
        assert jobs_under_test.run("count_variables").result == number + 1
    assert native_api.call("list_variables")["total_entries"] == 3


def test_a_job_and_its_forks_share_no_database_connection(fresh: Any) -> None:
    result = [own_connection(0), *jobs_under_test.run("connections", {"forks": 2}).result]
    at_first = [name for names, _ in result[1:] for name in names]
    assert len(result) == 4
    assert [name for name in at_first if name.startswith("socket:") or name.endswith(".db")] == []
    if airflow_under_test.DATABASE in os.environ:
        assert len({process for _, process in result}) == 4


def test_an_item_is_not_started_after_the_deadline_of_the_fork_pool(fresh: Any) -> None:
    """Its state is timeout, and the job ends in time."""
    result = jobs_under_test.run("run_in_forks_too_late").result
    assert result == [["a", "timeout", 0], ["b", "timeout", 0]]


def test_a_new_warm_process_starts_after_the_last_was_killed(monkeypatch: Any, fresh: Any, tmp_path: Path) -> None:
    """The jobs of the former continue."""
    monkeypatch.setenv("AIRFLOW__NATIVE_API__JOB_SLOTS", "2")
    monkeypatch.setenv("AIRFLOW__NATIVE_API__JOBS_PER_CALLER", "10")
    end = {"path": str(tmp_path / "end")}
    _, supervisor = jobs_under_test.run("process_ids").result
    server = jobs_under_test.warm_pid()
    assert supervisor != server
    job_id = jobs_under_test.start("wait_for", end)
    with ThreadPoolExecutor(1) as threads:
        waited_for = threads.submit(jobs_under_test.run, "wait_for", end)
        jobs_under_test.wait(job_id, "running")
        jobs_under_test.until(lambda: len(running_supervisors(server)) == 2)
        os.kill(server, signal.SIGKILL)
        assert jobs_under_test.run("add", {"a": 2, "b": 2}).result == 4
        assert jobs_under_test.warm_pid() != server
        assert native_api.call("job_state", job_id=job_id)["state"] == "running"
        (tmp_path / "end").touch()
        assert waited_for.result(60).result == "it is there"
    assert jobs_under_test.wait(job_id, "success")["result"] == "it is there"
    jobs_under_test.forget(job_id)


def test_the_mappers_and_the_execution_api_exist_before_a_job_that_needs_them(airflow: Any, fresh: Any) -> None:
    """They are created once for all jobs."""
    made = {"models": True, "api": airflow.version() >= (3, 0)}
    assert jobs_under_test.run("what_is_made").result["models"] is True
    assert [
        jobs_under_test.run("what_is_made", needs_execution_api=needs_execution_api).result
        for needs_execution_api in (True, False)
    ] == [made, made]


def test_jobs_run_though_the_execution_api_cannot_be_created(airflow: Any, mocker: Any, caplog: Any) -> None:
    mocker.patch.object(type(seam().user_code), "create_execution_api", side_effect=ImportError("no fastapi"))
    mocker.patch.object(warm_process, "_share")
    warm_process._create_execution_api.__wrapped__()
    assert "no fastapi" in caplog.text
