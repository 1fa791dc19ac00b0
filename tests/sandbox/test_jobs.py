"""Asynchronous jobs, as their callers see them."""

from __future__ import annotations

import os
import shutil
import signal
import stat
import time
import uuid
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Iterator, List

import psutil
import pytest

import native_api
from native_api import errors
from native_api.adapters import sandbox
from native_api.adapters.sandbox import job_store
from native_api.adapters.sandbox.job_store import Record
from native_api.host import hostname
from native_api.permissions import THIS_PROCESS
from tests.sandbox import work
from tests.support import jobs_under_test
from tests.support.problems import assert_problem
from tests.support.versions import by_default_on

pytestmark = by_default_on("2.7", "2.11", "3.0", "3.3")


def test_job_state_returns_the_state_the_log_the_result_and_the_times(fresh: Any) -> None:
    job_id = jobs_under_test.start("sleep", {"seconds": 0.5})
    jobs_under_test.until(lambda: native_api.call("job_state", job_id=job_id)["log"])
    state = native_api.call("job_state", job_id=job_id)
    assert (state["log"], state["result"], state["ended_at"], state["error"]) == ("sleeping\n", None, None, None)
    jobs_under_test.wait(job_id, "success")
    state = native_api.call("job_state", job_id=job_id)
    assert (state["state"], state["result"], state["error"]) == ("success", "slept", None)
    assert state["created_at"] <= state["started_at"] < state["ended_at"]
    assert state["seconds"] >= 0.5


@pytest.mark.parametrize(
    ("function", "arguments", "state", "status"),
    [
        pytest.param("fail", {}, "failed", 422, id="raised"),
        pytest.param("fail_as_the_api_does", {}, "failed", 404, id="an error of ours"),
        pytest.param("leave", {"code": 3}, "crashed", 422, id="crashed"),
        pytest.param("sleep", {}, "timeout", 504, id="too long"),
    ],
)
def test_job_state_returns_the_problem_of_a_failed_job(
    function: str, arguments: Any, state: str, status: int, monkeypatch: Any, fresh: Any
) -> None:
    """It is the problem that the operation would have returned."""
    monkeypatch.setenv("AIRFLOW__NATIVE_API__JOB_SECONDS_MAX", "2")
    job_id = jobs_under_test.start(function, arguments)
    jobs_under_test.wait(job_id, state)
    result = native_api.call("job_state", job_id=job_id)
    assert (result["state"], result["error"]["status"], result["result"]) == (state, status, None)
    assert result["error"]["detail"]


def test_a_cancelled_job_can_clean_up_and_cannot_be_cancelled_again(fresh: Any, tmp_path: Path) -> None:
    job_id = jobs_under_test.start("finish_late", {"path": str(tmp_path / "tidied")})
    jobs_under_test.until(lambda: native_api.call("job_state", job_id=job_id)["log"])
    assert native_api.call("cancel_job", job_id=job_id) == {"job_id": job_id, "state": "cancelled"}
    assert (tmp_path / "tidied").exists()
    with pytest.raises(errors.JobHasEnded, match="cancelled"):
        native_api.call("cancel_job", job_id=job_id)


def test_a_job_is_lost_when_its_supervisor_is_killed(fresh: Any, tmp_path: Path) -> None:
    """Its processes are killed, and the next job runs its cleanup."""
    cleaned = tmp_path / "cleaned"
    cleanup = (work.touch, {"path": str(cleaned)})
    job_id = jobs_under_test.start("leave_processes", {"mark": job_mark(), "after": "hang"}, cleanup=cleanup)
    jobs_under_test.wait(job_id, "running")
    supervisor = _supervisor()
    # The job's own process, a child, one in a session of its own, and two that were forked twice.
    jobs_under_test.until(lambda: len(alive(supervisor.children(recursive=True))) == 5)
    processes = supervisor.children(recursive=True)
    supervisor.kill()
    assert jobs_under_test.wait(job_id, "lost")["state"] == "lost"
    jobs_under_test.until(lambda: alive(processes) == [])
    assert jobs_under_test.run("add", {"a": 1, "b": 1}).result == 2
    until = time.monotonic() + 20
    states = set()
    while not cleaned.exists() and time.monotonic() < until:
        states.add(native_api.call("job_state", job_id=job_id)["state"])
    assert cleaned.exists()
    assert {*states, native_api.call("job_state", job_id=job_id)["state"]} == {"lost"}


@pytest.mark.slow
def test_a_request_fails_after_the_processes_of_a_killed_supervisor_have_ended(fresh: Any) -> None:
    """Also if the warm process, the ancestor of both, was killed before."""
    with ThreadPoolExecutor(1) as threads:
        waits = threads.submit(jobs_under_test.run, "leave_processes", {"mark": job_mark(), "after": "hang"})
        supervisor = _supervisor()
        jobs_under_test.until(lambda: len(alive(supervisor.children(recursive=True))) == 5)
        processes = supervisor.children(recursive=True)
        os.kill(jobs_under_test.warm_pid(), signal.SIGKILL)
        supervisor.kill()
        with pytest.raises(errors.UserCodeCrashed) as caught:
            waits.result(60)
    assert caught.value.exit_code == -signal.SIGKILL
    assert alive(processes) == []


def job_mark() -> str:
    """Return a unique word."""
    return uuid.uuid4().hex


def alive(processes: List[psutil.Process]) -> List[psutil.Process]:
    """Return the processes that have not ended."""
    return [process for process in processes if process.is_running() and status_of(process) != psutil.STATUS_ZOMBIE]


def status_of(process: psutil.Process) -> str:
    """Return the status of a process, that of a zombie if it does not exist."""
    try:
        return str(process.status())
    except psutil.NoSuchProcess:
        return str(psutil.STATUS_ZOMBIE)


@pytest.mark.slow
def test_simultaneous_requests_all_see_that_a_job_is_lost(fresh: Any) -> None:
    job_id = jobs_under_test.start("sleep")
    jobs_under_test.wait(job_id, "running")
    _supervisor().kill()
    jobs_under_test.wait(job_id, "lost")
    record = job_store.find(sandbox.jobs_folder(), job_id)
    assert record is not None
    with ThreadPoolExecutor(8) as threads:
        assert {job_state["state"] for job_state in threads.map(lambda _: record.state(), range(2000))} == {"lost"}


def test_a_record_that_its_own_supervisor_deletes_is_not_cleaned_up(tmp_path: Path, mocker: Any) -> None:
    record = Record.create(tmp_path, {"job_id": "a" * 32})
    (found_before,) = job_store.every(tmp_path)
    remove, seen = shutil.rmtree, []

    def look(path: Path, **how: Any) -> None:
        (path / "alive").unlink()
        seen.append((list(job_store.every(tmp_path)), found_before.take_over()))
        remove(path, **how)

    mocker.patch.object(shutil, "rmtree", side_effect=look)
    record.remove()
    record.release()
    assert seen == [([], False)]
    assert list(tmp_path.iterdir()) == []


class TestAJobOfAnotherHost:
    """A job whose record is on a shared volume, where its lock means nothing on this host."""

    @pytest.fixture
    def record(self, fresh: Any) -> Iterator[Record]:
        facts = {**FACTS, "job_id": f"{'a' * 32}.elsewhere", "hostname": "elsewhere"}
        record = Record.create(sandbox.jobs_folder(), facts)
        record.keep()
        record.set_state(state="running", started_at=time.time())
        record.release()
        yield record
        record.remove()

    def test_it_is_running_while_its_supervisor_sends_heartbeats(self, record: Record) -> None:
        state = native_api.call("job_state", job_id=f"{'a' * 32}.elsewhere")
        assert (state["state"], state["hostname"]) == ("running", "elsewhere")
        assert native_api.call("health")["jobs"] == {"running": 0, "queued": 0}
        assert not record.take_over()
        # The sweep at a job's end leaves it alone.
        jobs_under_test.wait(jobs_under_test.start("add", {"a": 1, "b": 1}), "success")
        (other,) = native_api.call("list_jobs", state=["running"])["jobs"]
        assert other["hostname"] == "elsewhere"

    def test_it_is_lost_without_heartbeats(self, record: Record) -> None:
        os.utime(sandbox.jobs_folder() / f"{'a' * 32}.elsewhere" / "alive", (1, 1))
        assert native_api.call("job_state", job_id=f"{'a' * 32}.elsewhere")["state"] == "lost"
        assert record.take_over()
        record.release()

    def test_it_is_409_with_the_hostname_if_there_is_no_record(self, web: Any) -> None:
        for operation in ("job_state", "cancel_job"):
            response = web.typed(operation, job_id=f"{'b' * 32}.elsewhere")
            assert_problem(response, 409)
            assert (response.json["code"], response.json["hostname"]) == ("job_on_other_host", "elsewhere")

    def test_a_job_id_contains_the_hostname(self, fresh: Any) -> None:
        job_id = jobs_under_test.start("add", {"a": 1, "b": 1})
        assert job_id.partition(".")[2] == hostname()
        with pytest.raises(errors.JobNotFound):
            native_api.call("job_state", job_id=f"{'b' * 32}.{hostname()}")


#: What is known of a job.
FACTS = {
    "operation": "a test",
    "owner": THIS_PROCESS.name,
    "caller": THIS_PROCESS.identity,
    "arguments": {},
    "created_at": 1.0,
    "cleanup": None,
    "about": {},
    "warnings": [],
    "limit_seconds": 60,
}


def _supervisor() -> psutil.Process:
    """Return the supervisor of the one running job."""
    found: List[psutil.Process] = []
    # A supervisor that ends meanwhile is not asked for twice.
    jobs_under_test.until(lambda: found.extend(jobs_under_test.running_supervisors()) or found)
    return found[0]


@pytest.mark.slow
def test_a_job_continues_after_the_end_of_its_web_worker(fresh: Any) -> None:
    """Another web worker returns its result."""
    job_id = jobs_under_test.start("sleep", {"seconds": 1})
    jobs_under_test.stop_warm_process()
    assert jobs_under_test.wait(job_id, "success")["state"] == "success"


def test_a_job_that_outlives_its_request_continues_in_the_background(monkeypatch: Any, fresh: Any) -> None:
    """The response is 202 with the job."""
    monkeypatch.setenv("AIRFLOW__NATIVE_API__JOB_SECONDS", "1")
    assert jobs_under_test.run("sleep", {"seconds": 2}, outlive=True) is None
    (job,) = native_api.call("list_jobs")["jobs"]
    assert jobs_under_test.wait(job["job_id"], "success")["result"] == "slept"


def test_only_its_owner_and_administrators_see_a_job(web: Any) -> None:
    """For other callers it does not exist."""
    job_id = jobs_under_test.start("sleep")
    assert web.typed("job_state", login="admin", job_id=job_id).status == 200
    assert web.typed("job_state", login="viewer", job_id=job_id).status == 404
    assert web.typed("list_jobs", login="viewer").json == {"jobs": [], "total_entries": 0}
    assert web.typed("cancel_job", login="viewer", job_id=job_id).status == 404
    assert [job["job_id"] for job in web.typed("list_jobs", login="admin").json["jobs"]] == [job_id]


def test_a_caller_with_the_same_name_does_not_see_a_job(web: Any, mocker: Any) -> None:
    """A user can be named like the static token or the Python API."""
    jobs_under_test.start("sleep")
    mocker.patch("native_api.adapters.compat.airflow3.rights.Rights3.name_of", lambda self, user: "this process")
    mocker.patch("native_api.adapters.compat.airflow2.rights.Rights2.name_of", lambda self, user: "this process")
    assert web.typed("list_jobs", login="viewer").json["jobs"] == []


def test_the_token_sees_the_jobs_of_its_effects(web: Any, monkeypatch: Any) -> None:
    jobs_under_test.start("sleep")
    assert web.typed("list_jobs").json["total_entries"] == 1
    monkeypatch.setenv("AIRFLOW__NATIVE_API__TOKEN_EFFECTS", "read,write")
    assert web.typed("list_jobs").json["total_entries"] == 0


def test_jobs_are_listed_by_state_and_operation(fresh: Any) -> None:
    """Jobs within requests are not listed."""
    ended, running = jobs_under_test.start("add", {"a": 1, "b": 1}), jobs_under_test.start("sleep")
    jobs_under_test.wait(ended, "success")
    jobs_under_test.wait(running, "running")
    jobs_under_test.run("add", {"a": 1, "b": 1})
    listed = native_api.call("list_jobs", order_by="-created_at")
    assert [job["job_id"] for job in listed["jobs"]] == [running, ended]
    assert [job["job_id"] for job in native_api.call("list_jobs", state=["running"])["jobs"]] == [running]
    assert native_api.call("list_jobs", operation="nothing")["total_entries"] == 0
    page = native_api.call("list_jobs", limit=1, offset=1)
    assert ([job["job_id"] for job in page["jobs"]], page["total_entries"]) == ([running], 2)


@pytest.mark.parametrize("job_id", ["0" * 32, "..", "../../etc", "x", "0" * 31])
def test_an_unknown_or_invalid_job_id_is_not_found(job_id: str, fresh: Any) -> None:
    """An id is never used as a path."""
    with pytest.raises(errors.JobNotFound):
        native_api.call("job_state", job_id=job_id)


def test_only_the_user_of_airflow_can_read_the_records(fresh: Any) -> None:
    jobs_under_test.start("sleep")
    folder = sandbox.jobs_folder()
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    (record,) = [path for path in folder.iterdir() if not path.name.startswith(".")]
    assert stat.S_IMODE(record.stat().st_mode) == 0o700


def test_records_are_deleted_after_jobs_kept_hours(fresh: Any, monkeypatch: Any) -> None:
    """A running job is not deleted."""
    ended, running = jobs_under_test.start("add", {"a": 1, "b": 1}), jobs_under_test.start("sleep")
    jobs_under_test.wait(ended, "success")
    jobs_under_test.wait(running, "running")
    for job_id in (ended, running):
        long_ago = time.time() - 73 * 3600
        os.utime(sandbox.jobs_folder() / job_id, (long_ago, long_ago))
    jobs_under_test.run("add", {"a": 1, "b": 1})
    jobs_under_test.until(lambda: job_store.find(sandbox.jobs_folder(), ended) is None)
    assert job_store.find(sandbox.jobs_folder(), running) is not None


def test_sigterm_to_the_supervisor_cancels_the_job(fresh: Any) -> None:
    """As at the shutdown of the host."""
    job_id = jobs_under_test.start("sleep")
    jobs_under_test.wait(job_id, "running")
    _supervisor().send_signal(signal.SIGTERM)
    assert jobs_under_test.wait(job_id, "cancelled")["state"] == "cancelled"
