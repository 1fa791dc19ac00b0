"""backfill_dag: what is refused before anything is made, by one error for all Airflows, and what means nothing."""

from __future__ import annotations

import json
import threading
from typing import Any, List

import pytest

import native_api
from native_api import errors
from native_api.adapters.seam import backfill_rows2
from tests.test_backfills import ON_2, backfill, finish, runs


@pytest.mark.skipif(not ON_2, reason="Airflow 3 has a table of backfills")
class TestARowOfTheAuditLog:
    """It holds the ids of a backfill's runs."""

    def test_mysql_has_no_room_for_more(self) -> None:
        """Cut, it would break every list of backfills."""
        with pytest.raises(errors.Invalid):
            backfill_rows2.require_room("x" * 65_536, "mysql")
        backfill_rows2.require_room("x" * 65_536, "postgresql")

    def test_every_row_is_looked_at(self, fresh: Any, mocker: Any) -> None:
        looked = mocker.spy(backfill_rows2, "require_room")
        backfill()
        (text, _), _ = looked.call_args
        assert json.loads(text)["dates"] == 3


class TestRefused:
    @pytest.mark.parametrize(
        "arguments, error",
        [
            pytest.param({"dag_id": "nope"}, errors.DagNotFound, id="unknown DAG"),
            pytest.param({"dag_id": "failing"}, errors.NoSchedule, id="no schedule"),
            pytest.param({"dag_id": "once"}, errors.NoSchedule, id="a schedule without dates"),
            pytest.param({"subdir": "/etc"}, errors.OutsideFolders, id="subdir"),
            pytest.param({"pool": "nope", "local": True}, errors.PoolNotFound, id="pool"),
        ],
    )
    @pytest.mark.parametrize("dry_run", [True, False])
    def test_what_is_not_there(self, fresh: Any, arguments: Any, error: Any, dry_run: bool) -> None:
        with pytest.raises(error):
            backfill(**{"dry_run": dry_run, **arguments})

    @pytest.mark.parametrize(
        "arguments, fields",
        [
            pytest.param({"from_date": "2024-01-04"}, {"to_date"}, id="range"),
            pytest.param({"from_date": "2999-01-01", "to_date": "2999-01-02"}, {"from_date"}, id="future"),
            pytest.param({"from_date": "2019-01-01", "to_date": "2019-01-02"}, {"from_date"}, id="before the DAG"),
            pytest.param({"to_date": "2026-01-01", "from_date": "2020-01-01"}, {"to_date"}, id="too many"),
            pytest.param({"start_date": "2024-01-01"}, {"start_date"}, id="twice"),
            pytest.param({"task_regex": "nope"}, {"task_regex"}, id="no task"),
            pytest.param({"task_regex": "("}, {"task_regex"}, id="no expression"),
            pytest.param({"reprocess_behavior": "all"}, {"reprocess_behavior"}, id="behaviour"),
            pytest.param({"max_active_runs": 0}, {"max_active_runs"}, id="none at once"),
            pytest.param({"conf": "[1]"}, {"conf"}, id="conf"),
        ],
    )
    @pytest.mark.parametrize("dry_run", [True, False])
    def test_what_is_not_valid(self, fresh: Any, arguments: Any, fields: Any, dry_run: bool) -> None:
        with pytest.raises(errors.Invalid) as caught:
            backfill(**{"dry_run": dry_run, **arguments})
        assert set(caught.value.errors) == fields
        assert runs() == []

    def test_no_date(self, fresh: Any) -> None:
        with pytest.raises(errors.Invalid, match="from_date, to_date or both"):
            native_api.call("backfill_dag", dag_id="daily")

    def test_a_second_one(self, fresh: Any) -> None:
        first = backfill()["backfill_id"]
        with pytest.raises(errors.BackfillIsActive, match="cancel_backfill") as caught:
            backfill(from_date="2024-02-01", to_date="2024-02-01")
        assert (caught.value.dag_id, caught.value.backfill_id) == ("daily", first)
        assert len(runs()) == 3
        assert backfill("wire_dag")["backfill_id"] != first
        assert backfill(from_date="2024-02-01", to_date="2024-02-01", dry_run=True)["total_entries"] == 1

    def test_a_second_one_when_the_first_is_done(self, fresh: Any) -> None:
        first = backfill()["backfill_id"]
        finish("daily", "success")
        assert backfill(from_date="2024-02-01", to_date="2024-02-01")["backfill_id"] != first

    def test_tasks_that_depend_on_the_past(self, fresh: Any) -> None:
        with pytest.raises(errors.DependsOnPast, match="local makes a job" if ON_2 else "reprocess_behavior"):
            backfill("daily_with_past")
        with pytest.raises(errors.DependsOnPast, match="backwards"):
            backfill("daily_with_past", run_backwards=True, reprocess_behavior="failed", local=True)
        assert runs("daily_with_past") == []
        assert backfill("daily_with_past", mark_success=True)["total_entries"] == 3

    def test_what_no_scheduler_can_do(self, fresh: Any) -> None:
        """Named, and with a way out."""
        native_api.call("set_pool", name="narrow", slots=1)
        refused = {"pool": "narrow", "max_active_runs": 2} if ON_2 else {}
        for name, value in refused.items():
            with pytest.raises(errors.ArgumentNotSupported) as caught:
                backfill(**{name: value})
            assert caught.value.argument == name
        if not ON_2:
            with pytest.raises(errors.ArgumentNotSupported) as caught:
                backfill("daily_mapped", pool="narrow")
            assert caught.value.argument == "pool"
            with pytest.raises(errors.ArgumentNotSupported) as caught:
                backfill("daily_with_past", ignore_first_depends_on_past=True, reprocess_behavior="failed")
            assert caught.value.argument == "ignore_first_depends_on_past"
        assert runs() == []

    def test_what_means_nothing(self, fresh: Any) -> None:
        told = backfill(dry_run=True, ignore_dependencies=True, ignore_first_depends_on_past=True, max_active_runs=9)
        assert sum("means nothing" in warning for warning in told["warnings"]) == 2
        assert len(told["warnings"]) == (3 if ON_2 else 2)

    def test_two_at_once(self, fresh: Any) -> None:
        """One of them is made, the other is told so."""
        both, told = threading.Barrier(2), []

        def call() -> None:
            both.wait()
            try:
                told.append(backfill()["backfill_id"])
            except errors.BackfillIsActive as exc:
                told.append(exc)

        callers = [threading.Thread(target=call) for _ in range(2)]
        for caller in callers:
            caller.start()
        for caller in callers:
            caller.join()
        made: List[Any] = [answer for answer in told if isinstance(answer, int)]
        assert len(told) == 2
        assert [answer.backfill_id for answer in told if isinstance(answer, errors.BackfillIsActive)] == made
        assert len(runs()) == 3
