"""Local backfills, which a job on this host runs: Airflow 2 only."""

from __future__ import annotations

import contextlib
import time
from typing import Any, Dict, List

import psutil
import pytest

import native_api
from native_api import errors
from tests.support import airflow_under_test, jobs_under_test
from tests.support.backfills import DATES, ON_2, backfill, runs, set_state, trigger

only_on_2 = pytest.mark.skipif(not ON_2, reason="Airflow 3 runs backfills by its scheduler only")
#: Enough for a task or two that each start an Airflow.
SECONDS = 180


def started(dag_id: str = "daily_with_past", **arguments: Any) -> Dict[str, Any]:
    made = backfill(dag_id, local=True, **{"to_date": DATES[0], **arguments})
    return state_of(made["backfill_id"])


def state_of(backfill_id: int) -> Dict[str, Any]:
    result: Dict[str, Any] = native_api.call("backfill_state", backfill_id=backfill_id)
    return result


def rows_of_runs() -> List[Any]:
    return [(run["run_id"], run["state"], run["run_type"]) for run in runs("daily_with_past")]


@pytest.mark.skipif(ON_2, reason="Airflow 2 can")
def test_local_has_no_effect_on_airflow_3(fresh: Any) -> None:
    made = backfill(local=True)
    assert "'local' has no effect on Airflow 3" in made["warnings"][0]
    result = state_of(made["backfill_id"])
    assert (result["local"], result["job_id"], result["runs"]) == (False, None, {"queued": 3})


@only_on_2
def test_a_job_runs_tasks_that_depend_on_the_past(fresh: Any) -> None:
    """Without a scheduler, and though the DAG is paused."""
    result = started()
    assert (result["local"], result["state"]) == (True, "running")
    assert "warnings" not in result
    with pytest.raises(errors.BackfillIsActive):
        backfill("daily_with_past", local=True)
    job = jobs_under_test.wait(result["job_id"], "success", seconds=SECONDS)
    assert job["state"] == "success", native_api.call("job_state", job_id=result["job_id"])["log"]
    result = state_of(result["backfill_id"])
    assert (result["state"], result["runs"], result["tasks"]) == ("success", {"success": 1}, {"success": 1})
    assert rows_of_runs() == [(f"backfill__{DATES[0]}", "success", "backfill")]


@only_on_2
def test_the_runs_of_a_killed_job_fail_and_the_dag_can_be_backfilled_again(fresh: Any) -> None:
    result = started("daily_sleeping", to_date=DATES[2])
    process_of_the_job().kill()
    jobs_under_test.wait(result["job_id"], "crashed", seconds=SECONDS)
    assert [run["state"] for run in runs("daily_sleeping")][0] == "failed"
    assert {run["state"] for run in runs("daily_sleeping")} == {"failed"}
    result = state_of(result["backfill_id"])
    assert result["state"] == "failed"
    assert set(result["tasks"]) <= {"failed", "none"}
    with pytest.raises(errors.BackfillHasEnded):
        native_api.call("cancel_backfill", backfill_id=result["backfill_id"])
    backfill("daily_sleeping", local=True, reprocess_behavior="failed")


@only_on_2
def test_the_backfill_of_a_timed_out_job_fails(fresh: Any, monkeypatch: Any) -> None:
    monkeypatch.setenv("AIRFLOW__NATIVE_API__JOB_SECONDS_MAX", "1")
    result = started("daily_sleeping", to_date=DATES[2])
    jobs_under_test.wait(result["job_id"], "timeout", seconds=SECONDS)
    assert state_of(result["backfill_id"])["state"] == "failed"
    assert {run["state"] for run in runs("daily_sleeping")} <= {"failed"}


def process_of_the_job() -> psutil.Process:
    """Wait until Airflow's backfill job runs a task, and return its process."""
    until = time.monotonic() + SECONDS
    while time.monotonic() < until:
        for process in psutil.Process(jobs_under_test.warm_pid()).children(recursive=True):
            with contextlib.suppress(psutil.Error):
                if {"tasks", "run", "daily_sleeping"} <= set(process.cmdline()):
                    return process.parent()
        time.sleep(0.1)
    raise AssertionError("no task of the DAG ever ran")


@only_on_2
def test_cancel_backfill_cancels_the_job(fresh: Any) -> None:
    result = started("daily_sleeping", to_date=DATES[2])
    process_of_the_job()
    response = native_api.call("cancel_backfill", backfill_id=result["backfill_id"])
    assert response["state"] == "cancelled"
    jobs_under_test.wait(result["job_id"], "cancelled", seconds=SECONDS)
    assert state_of(result["backfill_id"])["state"] == "cancelled"
    assert {run["state"] for run in runs("daily_sleeping")} == {"failed"}


@only_on_2
def test_existing_runs_are_skipped_or_taken_over(fresh: Any) -> None:
    """The dates of skipped runs are not part of the backfill."""
    from native_api.adapters.compat import airflow

    kept = trigger(DATES[1], "daily_with_past")
    set_state("success", DATES[1], "daily_with_past")
    made = backfill("daily_with_past", local=True)
    assert [run["action"] for run in made["runs"]] == ["create", "skip", "create"]
    with airflow_under_test.session() as session:
        (found,) = airflow().backfills.by_id(session, [made["backfill_id"]])
    assert [first.isoformat() for first, _ in found.date_ranges] == [DATES[0], DATES[2]]
    assert found.dates == 2
    native_api.call("cancel_backfill", backfill_id=made["backfill_id"])
    assert (kept, "success", "manual") in rows_of_runs()


@only_on_2
def test_pool_is_possible_for_tasks_that_depend_on_the_past(fresh: Any) -> None:
    native_api.call("set_pool", name="narrow", slots=1)
    result = started(pool="narrow", dag_id="daily_with_past")
    assert native_api.call("job_state", job_id=result["job_id"])["arguments"]["pool"] == "narrow"


@only_on_2
def test_the_backfill_fails_if_no_job_can_start(fresh: Any, mocker: Any) -> None:
    mocker.patch("native_api.adapters.sandbox.client.begin", side_effect=errors.SandboxUnavailable("it is broken."))
    with pytest.raises(errors.SandboxUnavailable):
        backfill("daily_with_past", local=True)
    (result,) = native_api.call("list_backfills")["backfills"]
    assert (result["state"], result["total_runs"]) == ("failed", 0)
    assert backfill("daily_with_past", local=True, dry_run=True)["total_entries"] == 3
