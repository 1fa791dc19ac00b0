"""Jobs in the background, as their callers see them."""

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
from native_api.adapters.sandbox import client, job_store
from native_api.adapters.sandbox.job_store import Record
from native_api.host import hostname
from native_api.permissions import THIS_PROCESS
from tests.sandbox import work
from tests.support import jobs_under_test
from tests.support.problems import assert_problem
from tests.support.versions import by_default_on

pytestmark = by_default_on("2.7", "2.11", "3.0", "3.3")


def test_a_job_is_followed_to_its_end(fresh: Any) -> None:
    """Its state, what it has printed so far, its result, and when it began and ended."""
    job_id = jobs_under_test.start("sleep", {"seconds": 0.5})
    jobs_under_test.wait(job_id, "running")
    while not native_api.call("job_state", job_id=job_id)["log"]:
        time.sleep(0.02)
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
def test_a_job_that_failed_tells_its_problem(
    function: str, arguments: Any, state: str, status: int, monkeypatch: Any, fresh: Any
) -> None:
    """The problem is the one that the caller would have had as an answer."""
    monkeypatch.setenv("AIRFLOW__NATIVE_API__JOB_SECONDS_MAX", "2")
    job_id = jobs_under_test.start(function, arguments)
    jobs_under_test.wait(job_id, state)
    told = native_api.call("job_state", job_id=job_id)
    assert (told["state"], told["error"]["status"], told["result"]) == (state, status, None)
    assert told["error"]["detail"]


def test_a_job_is_cancelled(fresh: Any, tmp_path: Path) -> None:
    """It may tidy up, is gone, and cannot be cancelled twice."""
    job_id = jobs_under_test.start("finish_late", {"path": str(tmp_path / "tidied")})
    jobs_under_test.wait(job_id, "running")
    time.sleep(0.3)
    assert native_api.call("cancel_job", job_id=job_id) == {"job_id": job_id, "state": "cancelled"}
    assert (tmp_path / "tidied").exists()
    with pytest.raises(errors.JobHasEnded, match="cancelled"):
        native_api.call("cancel_job", job_id=job_id)


def test_a_job_is_lost_when_its_supervisor_is_killed(fresh: Any, tmp_path: Path) -> None:
    """It is told so from then on, nothing of it runs on, and the next job takes back what it left."""
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
def test_who_waits_for_a_job_whose_supervisor_is_killed_hears_of_it_when_nothing_is_left(fresh: Any) -> None:
    """Also where the web worker's warm process, which both were forked from, was killed before."""
    with ThreadPoolExecutor(1) as threads:
        waits = threads.submit(jobs_under_test.run, "leave_processes", {"mark": job_mark(), "after": "hang"})
        supervisor = _supervisor()
        jobs_under_test.until(lambda: len(alive(supervisor.children(recursive=True))) == 5)
        processes = supervisor.children(recursive=True)
        os.kill(client.warm()._process.pid, signal.SIGKILL)
        supervisor.kill()
        with pytest.raises(errors.UserCodeCrashed) as caught:
            waits.result(60)
    assert caught.value.exit_code == -signal.SIGKILL
    assert alive(processes) == []


def job_mark() -> str:
    """Return a word that nothing else has."""
    return uuid.uuid4().hex


def alive(processes: List[psutil.Process]) -> List[psutil.Process]:
    """Return those of the processes that have not ended."""
    return [process for process in processes if process.is_running() and status_of(process) != psutil.STATUS_ZOMBIE]


def status_of(process: psutil.Process) -> str:
    """Return the status of a process, that of a zombie where it is gone."""
    try:
        return str(process.status())
    except psutil.NoSuchProcess:
        return str(psutil.STATUS_ZOMBIE)


@pytest.mark.slow
def test_those_who_ask_how_a_job_stands_do_not_mislead_each_other(fresh: Any) -> None:
    """Each of many looks at once sees that it is lost."""
    job_id = jobs_under_test.start("sleep")
    jobs_under_test.wait(job_id, "running")
    _supervisor().kill()
    jobs_under_test.wait(job_id, "lost")
    record = job_store.find(sandbox.jobs_folder(), job_id)
    assert record is not None
    with ThreadPoolExecutor(8) as threads:
        assert {job_state["state"] for job_state in threads.map(lambda _: record.state(), range(2000))} == {"lost"}


def test_a_record_that_is_being_removed_is_left_alone(tmp_path: Path, mocker: Any) -> None:
    """No sweep takes what the job's own supervisor removes for that of one that was killed."""
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
    """Its record is on a volume that the hosts share; what its lock says here means nothing."""

    @pytest.fixture
    def record(self, fresh: Any) -> Iterator[Record]:
        facts = {**FACTS, "job_id": f"{'a' * 32}.elsewhere", "hostname": "elsewhere"}
        record = Record.create(sandbox.jobs_folder(), facts)
        record.keep()
        record.set_state(state="running", started_at=time.time())
        record.release()
        yield record
        record.remove()

    def test_runs_while_its_supervisor_says_so(self, record: Record) -> None:
        state = native_api.call("job_state", job_id=f"{'a' * 32}.elsewhere")
        assert (state["state"], state["hostname"]) == ("running", "elsewhere")
        assert native_api.call("health")["jobs"] == {"running": 0, "queued": 0}
        assert not record.take_over()
        # The sweep at a job's end leaves it alone.
        jobs_under_test.wait(jobs_under_test.start("add", {"a": 1, "b": 1}), "success")
        (other,) = native_api.call("list_jobs", state=["running"])["jobs"]
        assert other["hostname"] == "elsewhere"

    def test_is_lost_after_a_while(self, record: Record) -> None:
        os.utime(sandbox.jobs_folder() / f"{'a' * 32}.elsewhere" / "alive", (1, 1))
        assert native_api.call("job_state", job_id=f"{'a' * 32}.elsewhere")["state"] == "lost"
        assert record.take_over()
        record.release()

    def test_of_which_there_is_no_record(self, web: Any) -> None:
        for operation in ("job_state", "cancel_job"):
            answer = web.typed(operation, job_id=f"{'b' * 32}.elsewhere")
            assert_problem(answer, 409)
            assert (answer.json["code"], answer.json["hostname"]) == ("job_on_other_host", "elsewhere")

    def test_an_id_of_this_host(self, fresh: Any) -> None:
        """Every new id carries it."""
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
    """Return the process that watches over the one job that runs."""
    jobs_under_test.until(jobs_under_test.running_supervisors)
    return jobs_under_test.running_supervisors()[0]


@pytest.mark.slow
def test_a_job_outlives_the_web_worker_that_started_it(fresh: Any) -> None:
    """Another worker follows it to its end."""
    job_id = jobs_under_test.start("sleep", {"seconds": 1})
    client.warm().close()
    assert jobs_under_test.wait(job_id, "success")["state"] == "success"


def test_a_job_that_takes_too_long_goes_to_the_background(monkeypatch: Any, fresh: Any) -> None:
    """Where it may outlive its request: the answer says which job it has become."""
    monkeypatch.setenv("AIRFLOW__NATIVE_API__JOB_SECONDS", "1")
    assert jobs_under_test.run("sleep", {"seconds": 2}, outlive=True) is None
    (job,) = native_api.call("list_jobs")["jobs"]
    assert jobs_under_test.wait(job["job_id"], "success")["result"] == "slept"


def test_only_its_owner_and_administrators_see_a_job(web: Any) -> None:
    """Whoever else asks is told that there is none."""
    job_id = jobs_under_test.start("sleep")
    assert web.typed("job_state", login="admin", job_id=job_id).status == 200
    assert web.typed("job_state", login="viewer", job_id=job_id).status == 404
    assert web.typed("list_jobs", login="viewer").json == {"jobs": [], "total_entries": 0}
    assert web.typed("cancel_job", login="viewer", job_id=job_id).status == 404
    assert [job["job_id"] for job in web.typed("list_jobs", login="admin").json["jobs"]] == [job_id]


def test_a_job_is_not_that_of_whoever_has_its_owners_name(web: Any, mocker: Any) -> None:
    """Names may be chosen: a user named as the static token, or as Python's callers, sees none of their jobs."""
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
    """Those that were waited for are not in the list."""
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
def test_what_is_no_job_is_not_found(job_id: str, fresh: Any) -> None:
    """An id is no path."""
    with pytest.raises(errors.JobNotFound):
        native_api.call("job_state", job_id=job_id)


def test_records_are_read_by_nobody_else(fresh: Any) -> None:
    """Only the user that Airflow runs as may look."""
    jobs_under_test.start("sleep")
    folder = sandbox.jobs_folder()
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    (record,) = [path for path in folder.iterdir() if not path.name.startswith(".")]
    assert stat.S_IMODE(record.stat().st_mode) == 0o700


def test_old_records_are_deleted(fresh: Any, monkeypatch: Any) -> None:
    """After jobs_kept_hours the next job deletes them; one that runs is never old."""
    ended, running = jobs_under_test.start("add", {"a": 1, "b": 1}), jobs_under_test.start("sleep")
    jobs_under_test.wait(ended, "success")
    jobs_under_test.wait(running, "running")
    for job_id in (ended, running):
        long_ago = time.time() - 73 * 3600
        os.utime(sandbox.jobs_folder() / job_id, (long_ago, long_ago))
    jobs_under_test.run("add", {"a": 1, "b": 1})
    until = time.monotonic() + 20
    while job_store.find(sandbox.jobs_folder(), ended) and time.monotonic() < until:
        time.sleep(0.05)
    assert job_store.find(sandbox.jobs_folder(), ended) is None
    assert job_store.find(sandbox.jobs_folder(), running) is not None


def test_a_signal_to_the_supervisor_ends_its_job(fresh: Any) -> None:
    """As when the machine is shut down."""
    job_id = jobs_under_test.start("sleep")
    jobs_under_test.wait(job_id, "running")
    _supervisor().send_signal(signal.SIGTERM)
    assert jobs_under_test.wait(job_id, "cancelled")["state"] == "cancelled"
