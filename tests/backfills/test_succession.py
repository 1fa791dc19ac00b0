"""Successive backfills of one DAG: which runs belong to which, and what an ended one leaves for the next."""

from __future__ import annotations

from typing import Any, Dict

import pytest

import native_api
from native_api import errors
from tests.support.backfills import DATES, ON_2, backfill, finish, run_of, runs, set_run, set_state, state_of
from tests.support.queries import statements

only_on_3 = pytest.mark.skipif(ON_2, reason="Airflow 2 has no backfills of its own, and none that is paused")


def cancel(backfill_id: int) -> Dict[str, Any]:
    response: Dict[str, Any] = native_api.call("cancel_backfill", backfill_id=backfill_id)
    return response


def listed(**which: Any) -> Dict[str, Any]:
    response: Dict[str, Any] = native_api.call("list_backfills", **which)
    return response


class TestTakenOverRuns:
    def test_they_belong_to_the_next_backfill(self, fresh: Any) -> None:
        first = backfill()["backfill_id"]
        finish("daily", "failed", failed="get_left")
        second = backfill(reprocess_behavior="failed")["backfill_id"]
        result = state_of(first)
        assert (result["state"], result["runs"], result["tasks"]) == ("failed", {}, {})
        assert result["warnings"] == ["3 of its runs are now part of a later backfill, and not counted."]
        assert state_of(second)["runs"] == {"queued": 3}
        with pytest.raises(errors.BackfillHasEnded, match="failed"):
            cancel(first)
        assert [run["state"] for run in runs()] == ["queued"] * 3
        with pytest.raises(errors.BackfillIsActive) as caught:
            backfill()
        assert caught.value.backfill_id == second
        assert cancel(second)["failed_runs"] == 3

    def test_other_runs_remain_with_the_first_backfill(self, fresh: Any) -> None:
        first = backfill()["backfill_id"]
        finish("daily", "failed", failed="get_left", only=run_of(DATES[1]))
        finish("daily", "success")
        second = backfill(reprocess_behavior="failed")["backfill_id"]
        result = state_of(first)
        assert (result["state"], result["runs"]) == ("failed", {"success": 2})
        assert result["warnings"] == ["1 of its runs is now part of a later backfill, and not counted."]
        assert (state_of(second)["state"], state_of(second)["runs"]) == ("running", {"queued": 1})
        finish("daily", "success")
        assert (state_of(first)["state"], state_of(second)["state"]) == ("failed", "success")

    def test_a_run_can_be_taken_over_more_than_once(self, fresh: Any) -> None:
        ids = [backfill()["backfill_id"]]
        for _ in range(2):
            finish("daily", "success")
            ids.append(backfill(reprocess_behavior="completed")["backfill_id"])
        assert [state_of(backfill_id)["total_runs"] for backfill_id in ids] == [0, 0, 3]
        assert [one["state"] for one in listed()["backfills"]] == ["success", "success", "running"]
        for backfill_id in ids[:2]:
            with pytest.raises(errors.BackfillHasEnded, match="success"):
                cancel(backfill_id)

    def test_an_ended_backfill_stays_ended_when_its_run_runs_again(self, fresh: Any) -> None:
        """As in Airflow once a backfill is completed."""
        first = backfill()["backfill_id"]
        finish("daily", "success")
        second = backfill(from_date="2024-02-01", to_date="2024-02-01")["backfill_id"]
        set_state("queued", DATES[0])
        assert (state_of(first)["state"], state_of(second)["state"]) == ("success", "running")
        with pytest.raises(errors.BackfillHasEnded):
            cancel(first)


class TestManyPastBackfills:
    def past(self, first: int, last: int) -> None:
        """Create a backfill for each of these days and let it end."""
        for day in range(first, last + 1):
            self.one(day)
            finish("daily", "success")

    def one(self, day: int) -> None:
        backfill(from_date=f"2024-03-{day:02}", to_date=f"2024-03-{day:02}")

    def test_they_add_no_query_to_the_next_backfill(self, fresh: Any) -> None:
        self.past(1, 2)
        with statements() as with_few:
            self.one(3)
        finish("daily", "success")
        self.past(4, 8)
        with statements() as with_many:
            self.one(9)
        assert len(with_many) == len(with_few)

    def test_they_add_no_query_to_the_list_of_running_backfills(self, fresh: Any) -> None:
        self.past(1, 2)
        self.one(3)
        with statements() as with_few:
            listed(state=["running"])
        finish("daily", "success")
        self.past(4, 8)
        self.one(9)
        with statements() as with_many:
            result = listed(state=["running"])
        assert (result["total_entries"], len(with_many)) == (1, len(with_few))

    def test_only_a_page_of_them_is_read(self, fresh: Any) -> None:
        self.past(1, 5)
        result = listed(limit=2, offset=1, order_by="-backfill_id")
        ids = [one["backfill_id"] for one in result["backfills"]]
        assert (ids, result["total_entries"]) == (sorted(ids, reverse=True), 5)
        assert [one["from_date"][:10] for one in result["backfills"]] == ["2024-03-04", "2024-03-03"]


@only_on_3
class TestPaused:
    """Backfills that are paused or cancelled in Airflow's own UI."""

    def ask_airflow(self, web: Any, backfill_id: int, verb: str) -> None:
        response = web.request("PUT", f"/api/v2/backfills/{backfill_id}/{verb}", login="admin")
        assert response.status == 200, response.text

    def complete(self) -> None:
        """Let the scheduler mark completed backfills."""
        from airflow.jobs.job import Job
        from airflow.jobs.scheduler_job_runner import SchedulerJobRunner

        SchedulerJobRunner(job=Job())._mark_backfills_complete()

    def test_backfill_state_warns_that_it_is_paused(self, web: Any) -> None:
        made = backfill()["backfill_id"]
        self.ask_airflow(web, made, "pause")
        result = state_of(made)
        assert result["state"] == "running"
        line = f"The backfill {made} is paused in Airflow: its runs wait until it is unpaused there."
        assert line in result["warnings"]
        assert listed()["warnings"] == [line]
        self.ask_airflow(web, made, "unpause")
        assert line not in state_of(made)["warnings"]
        assert "warnings" not in listed()

    @pytest.mark.parametrize("state", ["success", "failed"])
    def test_a_paused_backfill_can_end(self, web: Any, state: str) -> None:
        made = backfill()["backfill_id"]
        set_run(DATES[0], "running")
        self.ask_airflow(web, made, "pause")
        finish("daily", state)
        set_run(DATES[0], state)
        self.complete()
        assert state_of(made)["state"] == state
        assert "warnings" not in state_of(made)
        assert [one["state"] for one in listed()["backfills"]] == [state]
        with pytest.raises(errors.BackfillHasEnded, match=state):
            cancel(made)
        backfill(reprocess_behavior="failed" if state == "failed" else "completed")
        assert state_of(made)["state"] == state

    def test_a_backfill_cancelled_in_airflow_is_cancelled(self, web: Any) -> None:
        others = backfill("wire_dag", from_date="2024-05-01", to_date="2024-05-01")["backfill_id"]
        made = backfill()["backfill_id"]
        set_run(DATES[0], "running")
        self.ask_airflow(web, made, "pause")
        self.ask_airflow(web, others, "pause")
        self.ask_airflow(web, made, "cancel")
        finish("wire_dag", "success")
        self.complete()
        assert (state_of(made)["state"], state_of(made)["failed_runs"]) == (
            "cancelled",
            [run_of(day) for day in DATES[1:]],
        )
        assert state_of(others)["state"] == "success"

    def test_a_paused_backfill_can_be_cancelled(self, web: Any) -> None:
        made = backfill()["backfill_id"]
        self.ask_airflow(web, made, "pause")
        assert cancel(made)["failed_runs"] == 3
        assert state_of(made)["state"] == "cancelled"
