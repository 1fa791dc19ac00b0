"""run_task asynchronously, and two calls for one task instance."""

from __future__ import annotations

import threading
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from pathlib import Path
from typing import Any, Callable, Dict, List

import pytest

import native_api
from native_api.adapters.task_execution import run_job as work
from native_api.errors import Refused, TaskInstanceBusy
from tests.support import airflow_under_test, jobs_under_test
from tests.support.jobs_under_test import until
from tests.task_execution.run.single_task import ONLY_3, RUN, finished_run, log, run, states, task_state


@pytest.mark.usefixtures("fresh")
class TestAsynchronously:
    """It takes longer than a request, or is not to be waited for."""

    def test_a_task_continues_after_the_timeout_of_the_request(self, monkeypatch: Any) -> None:
        monkeypatch.setenv("AIRFLOW__NATIVE_API__JOB_SECONDS", "1")
        job_id = run("sleeps_shortly")["job_id"]
        ended = jobs_under_test.wait(job_id)
        assert (ended["state"], ended["result"]["state"]) == ("success", "success")
        assert "slept well" in log("sleeps_shortly", 1)

    def test_a_cancelled_task_fails(self) -> None:
        job_id = run("sleeps_long", **{"async": True})["job_id"]
        until(lambda: task_state("sleeps_long") == "running")
        native_api.call("cancel_job", job_id=job_id)
        jobs_under_test.wait(job_id)
        until(lambda: states()["sleeps_long"] == "failed")
        assert states()["the run"] == "failed"

    def test_the_cleanup_fails_the_task_of_the_job_only(self) -> None:
        """After all processes of the job were killed."""
        finished_run()
        key = {"dag_id": "alone", "run_id": "r", "task_id": "first", "map_index": -1}
        airflow_under_test.set_try("alone", "r", "first", 2, "running", external_executor_id="native_api:mine")
        work.give_up(key, False, "another")
        assert states("r")["first"] == "running"
        work.give_up(key, False, "mine")
        assert states("r")["first"] == "failed"

    def test_on_kill_of_a_cancelled_task_runs(self, notes: Path) -> None:
        job_id = run("is_told", **{"async": True})["job_id"]
        until(lambda: "begins" in notes.read_text())
        native_api.call("cancel_job", job_id=job_id)
        jobs_under_test.wait(job_id)
        assert notes.read_text().splitlines() == ["begins", "is told"]
        assert (states()["is_told"], states()["the run"]) == ("failed", "failed")


def never_ran() -> Dict[str, Any]:
    """Create a run in which the task has not run, and return the arguments that run it."""
    finished_run()
    airflow_under_test.set_try("alone", "r", "notes", 0, None)
    return {"run_id": "r", "try_number": 1}


def ran_before() -> Dict[str, Any]:
    """Create a run in which the task has run, and return the arguments that run it again."""
    finished_run()
    return {"run_id": "r", "force": True, "try_number": 2}


@pytest.mark.usefixtures("fresh")
class TestTwoAtOnce:
    """Two simultaneous calls for one task instance."""

    @pytest.fixture(autouse=True)
    def two_places(self, monkeypatch: Any) -> None:
        monkeypatch.setenv("AIRFLOW__NATIVE_API__JOB_SLOTS", "2")
        monkeypatch.setenv("AIRFLOW__NATIVE_API__JOBS_PER_CALLER", "10")

    @pytest.mark.parametrize(
        "before, refusals",
        [
            pytest.param(never_ran, [TaskInstanceBusy], id="it never ran"),
            pytest.param(ran_before, [TaskInstanceBusy], id="it ran before"),
            # PostgreSQL has the second wait as it makes the run, and refuse that.
            pytest.param(lambda: {"try_number": 1}, [TaskInstanceBusy, Refused], id="there is no run"),
        ],
    )
    def test_one_runs_and_the_other_is_refused(
        self, before: Callable[[], Dict[str, Any]], refusals: List[type], notes: Path
    ) -> None:
        how = before()
        try_number, run_id = how.pop("try_number"), how.get("run_id", RUN)
        hold = notes.with_name("hold")
        hold.touch()
        with ThreadPoolExecutor(2) as threads:
            calls = [threads.submit(run, "notes", **how) for _ in range(2)]
            # Both have found that it may run.
            until(lambda: notes.read_text().count("is held") == 2 or any(call.done() for call in calls))
            hold.unlink()
            (refused,), (runs,) = wait(calls, 120, FIRST_COMPLETED)
            until(lambda: "begins" in notes.read_text())
            with notes.open("a") as written:
                written.write("may end\n")
            response = runs.result()
        assert type(refused.exception()) in refusals
        assert notes.read_text().splitlines() == ["is held", "is held", "begins", "may end"]
        assert (response["state"], response["try_number"], response["run_id"]) == ("success", try_number, run_id)
        assert (states(run_id)["notes"], states(run_id)["the run"]) == ("success", "success")

    @ONLY_3
    @pytest.mark.parametrize("again", range(3))
    def test_one_is_scheduled_and_the_other_is_refused(self, again: int) -> None:
        native_api.call("unpause_dag", dag_id="alone")
        finished_run()
        begin = threading.Barrier(2)

        def call() -> Any:
            begin.wait()
            return run("first", run_id="r", force=True, local=False)

        with ThreadPoolExecutor(2) as threads:
            calls = [threads.submit(call) for _ in range(2)]
            wait(calls, 120)
        errors = [ended.exception() for ended in calls]
        assert sorted(map(type, errors), key=str) == [type(None), TaskInstanceBusy]
        assert calls[errors.index(None)].result()["try_number"] == 2
