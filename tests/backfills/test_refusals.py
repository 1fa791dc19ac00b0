"""backfill_dag: errors are raised before anything is created, with the same codes on every Airflow."""

from __future__ import annotations

import json
import threading
from typing import Any, Iterator, List

import pytest

import native_api
from native_api import errors
from native_api.adapters.compat.airflow2 import backfill_rows
from tests.support.airflow_under_test import DAGS
from tests.support.backfills import DATES, DAYS, ON_2, backfill, finish, runs, set_state, trigger
from tests.support.dag_files import dag_file


@pytest.mark.skipif(not ON_2, reason="Airflow 3 has a table of backfills")
class TestARowOfTheAuditLog:
    """On Airflow 2 a row of the audit log has the ids of a backfill's runs."""

    def test_a_backfill_that_exceeds_the_column_of_mysql_is_invalid(self) -> None:
        """A truncated row would break every list of backfills."""
        with pytest.raises(errors.Invalid):
            backfill_rows.require_room("x" * 65_536, "mysql")
        backfill_rows.require_room("x" * 65_536, "postgresql")

    def test_the_size_of_every_row_is_checked(self, fresh: Any, mocker: Any) -> None:
        looked = mocker.spy(backfill_rows, "require_room")
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
    def test_a_missing_dag_pool_or_file_is_an_error(
        self, fresh: Any, arguments: Any, error: Any, dry_run: bool
    ) -> None:
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
    def test_an_invalid_argument_creates_no_runs(self, fresh: Any, arguments: Any, fields: Any, dry_run: bool) -> None:
        with pytest.raises(errors.Invalid) as caught:
            backfill(**{"dry_run": dry_run, **arguments})
        assert set(caught.value.errors) == fields
        assert runs() == []

    def test_a_date_is_required(self, fresh: Any) -> None:
        with pytest.raises(errors.Invalid, match="from_date, to_date or both"):
            native_api.call("backfill_dag", dag_id="daily")

    def test_a_dag_has_one_active_backfill(self, fresh: Any) -> None:
        first = backfill()["backfill_id"]
        with pytest.raises(errors.BackfillIsActive, match="cancel_backfill") as caught:
            backfill(from_date="2024-02-01", to_date="2024-02-01")
        assert (caught.value.dag_id, caught.value.backfill_id) == ("daily", first)
        assert len(runs()) == 3
        assert backfill("wire_dag")["backfill_id"] != first
        assert backfill(from_date="2024-02-01", to_date="2024-02-01", dry_run=True)["total_entries"] == 1

    def test_a_dag_can_be_backfilled_again_when_the_first_has_ended(self, fresh: Any) -> None:
        first = backfill()["backfill_id"]
        finish("daily", "success")
        assert backfill(from_date="2024-02-01", to_date="2024-02-01")["backfill_id"] != first

    def test_tasks_with_depends_on_past_are_refused(self, fresh: Any) -> None:
        with pytest.raises(errors.DependsOnPast, match="use local" if ON_2 else "reprocess_behavior"):
            backfill("daily_with_past")
        with pytest.raises(errors.DependsOnPast, match="backwards"):
            backfill("daily_with_past", run_backwards=True, reprocess_behavior="failed", local=True)
        assert runs("daily_with_past") == []
        assert backfill("daily_with_past", mark_success=True)["total_entries"] == 3

    def test_arguments_that_the_scheduler_ignores_are_refused_with_advice(self, fresh: Any) -> None:
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
        assert runs() == []

    def test_a_dry_run_warns_of_what_would_be_refused(self, web: Any) -> None:
        ways: List[Any] = [("daily_with_past", {})]
        ways += [("daily", {"max_active_runs": 2})] if ON_2 else [("daily_with_past", {"run_backwards": True})]
        for dag_id, how in ways:
            response = web.typed("backfill_dag", dag_id=dag_id, **DAYS, dry_run=True, **how)
            assert (response.status, response.json["total_entries"]) == (200, 3)
            (warning,) = response.json["warnings"]
            assert warning.startswith("Without dry_run, the request is refused: ")
            assert response.json["tasks"]
            assert web.typed("backfill_dag", dag_id=dag_id, **DAYS, **how).status in (409, 501)
        assert runs() == []

    @pytest.mark.skipif(ON_2, reason="Airflow 2 has local for that")
    def test_the_first_run_never_waits_for_the_past_on_airflow_3(self, fresh: Any) -> None:
        """ignore_first_depends_on_past has no effect there and is accepted."""
        trigger("2023-12-31", "daily_with_past")
        backfill("daily_with_past", ignore_first_depends_on_past=True, reprocess_behavior="failed")
        waits = [waits_for_past("daily_with_past", date) for date in DATES]
        assert waits == [False, True, True]


def waits_for_past(dag_id: str, date: str) -> bool:
    """Return whether a task waits for the previous run, by Airflow's own rules."""
    result = native_api.call("task_failed_deps", dag_id=dag_id, task_id="count", logical_date=date)
    return "Previous Dagrun State" in {dependency["name"] for dependency in result["dependencies"]}


class TestDependsOnPast:
    """Tasks with depends_on_past."""

    @pytest.fixture
    def without_catchup(self, fresh: Any) -> Iterator[str]:
        text = (
            "import pendulum\nfrom airflow import DAG\n"
            "try:\n    from airflow.providers.standard.operators.bash import BashOperator\n"
            "except ImportError:\n    from airflow.operators.bash import BashOperator\n"
            "with DAG('past_without_catchup', start_date=pendulum.datetime(2020, 1, 1), schedule='@daily',"
            " catchup=False, default_args={'depends_on_past': True}):\n"
            "    BashOperator(task_id='count', bash_command='true')\n"
        )
        with dag_file("past_without_catchup", text):
            yield "past_without_catchup"

    @pytest.mark.skipif(not ON_2, reason="on Airflow 3 they wait in every backfill")
    def test_manual_runs_wait_for_one_another_without_catchup(self, without_catchup: str) -> None:
        """The first one waits for the run before the backfill."""
        backfill(without_catchup)
        assert [waits_for_past(without_catchup, date) for date in DATES] == [False, True, True]
        set_state("success", DATES[0], without_catchup)
        assert [waits_for_past(without_catchup, date) for date in DATES[1:]] == [False, True]

    @pytest.mark.skipif(not ON_2, reason="Airflow 3 never has the first run wait")
    def test_ignore_first_depends_on_past_is_refused_without_catchup(self, without_catchup: str) -> None:
        with pytest.raises(errors.DependsOnPast, match="local"):
            backfill(without_catchup, ignore_first_depends_on_past=True)

    @pytest.mark.skipif(not ON_2, reason="Airflow 3 has its own backfills only")
    def test_a_local_backfill_is_refused_if_the_dag_file_is_missing(
        self, without_catchup: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A worker has it, with execute_on = executor."""
        path = DAGS / f"{without_catchup}.py"
        text = path.read_text(encoding="utf-8")
        path.unlink()
        try:
            with pytest.raises(errors.DagFileMissing):
                backfill(without_catchup, local=True)
            (warning,) = backfill(without_catchup, local=True, dry_run=True)["warnings"]
            monkeypatch.setenv("AIRFLOW__NATIVE_API__EXECUTE_ON", "executor")
            on_executor = backfill(without_catchup, local=True, dry_run=True)
        finally:
            path.write_text(text, encoding="utf-8")
        assert "is not on the host" in warning and "warnings" not in on_executor
        assert native_api.call("list_backfills")["backfills"] == []

    @pytest.mark.skipif(not ON_2, reason="on Airflow 3 they wait in every backfill")
    def test_manual_runs_do_not_wait_with_catchup(self, fresh: Any) -> None:
        """So such a backfill is refused."""
        for date in DATES:
            trigger(date, "daily_with_past")
        assert [waits_for_past("daily_with_past", date) for date in DATES] == [False] * 3

    @pytest.mark.parametrize("face", ["old protocol", "typed"])
    def test_adapt_changes_the_backfill_and_warns(self, web: Any, face: str, mocker: Any) -> None:
        """As the old plugin ran it."""
        job = mocker.patch("native_api.adapters.sandbox.run_to_end")
        if face == "typed":
            response = web.typed("backfill_dag", dag_id="daily_with_past", **DAYS, on_depends_on_past="adapt")
            assert response.status == 202
            (warning,) = [text for text in response.json["warnings"] if "depends_on_past" in text]
        else:
            response = web.legacy("backfill", dag_id="daily_with_past", start_date="2024-01-01", end_date="2024-01-03")
            assert response.status == 200
            warning = response.json["warning"]
            assert ("--local" if ON_2 else "--reprocess-behavior failed") in response.json["airflow_cmd"]
        assert "The task 'count' has depends_on_past: " in warning
        assert ("local" if ON_2 else "reprocess_behavior is failed") in warning
        assert job.called is ON_2
        (backfill,) = native_api.call("list_backfills")["backfills"]
        assert backfill["local"] is ON_2
        assert backfill["reprocess_behavior"] == ("none" if ON_2 else "failed")
        if not ON_2:
            assert [waits_for_past("daily_with_past", date) for date in DATES] == [False, True, True]

    def test_a_dry_run_in_the_old_protocol_is_adapted(self, web: Any) -> None:
        how = {"start_date": "2024-01-01", "end_date": "2024-01-03", "dry_run": "on"}
        response = web.legacy("backfill", dag_id="daily_with_past", **how)
        assert response.status == 200
        lines = response.json["output"]["stdout"].splitlines()
        assert lines[:2] == [f"Dry run of DAG daily_with_past on {DATES[0]}", "Task count"]

    def test_run_backwards_is_refused_in_the_old_protocol_too(self, web: Any) -> None:
        """The old command refused it."""
        how = {"start_date": "2024-01-01", "end_date": "2024-01-03", "run_backwards": "on"}
        assert web.legacy("backfill", dag_id="daily_with_past", **how).status == 409

    def test_an_adapted_backfill_reprocesses_failed_runs_on_airflow_3(self, fresh: Any) -> None:
        """Airflow 2's own job skips them, and fails."""
        trigger(DATES[0], "daily_with_past")
        set_state("failed", DATES[0], "daily_with_past")
        result = backfill("daily_with_past", on_depends_on_past="adapt", dry_run=True)
        assert result["runs"][0]["action"] == ("skip" if ON_2 else "reprocess")

    def test_arguments_without_effect_get_a_warning(self, fresh: Any) -> None:
        result = backfill(dry_run=True, ignore_dependencies=True, ignore_first_depends_on_past=True, max_active_runs=9)
        assert sum("has no effect" in warning for warning in result["warnings"]) == 2
        assert len(result["warnings"]) == (3 if ON_2 else 2)

    def test_of_two_simultaneous_backfills_one_is_refused(self, fresh: Any) -> None:
        both, result = threading.Barrier(2), []

        def call() -> None:
            both.wait()
            try:
                result.append(backfill()["backfill_id"])
            except errors.BackfillIsActive as exc:
                result.append(exc)

        callers = [threading.Thread(target=call) for _ in range(2)]
        for caller in callers:
            caller.start()
        for caller in callers:
            caller.join()
        made: List[Any] = [response for response in result if isinstance(response, int)]
        assert len(result) == 2
        assert [response.backfill_id for response in result if isinstance(response, errors.BackfillIsActive)] == made
        assert len(runs()) == 3
