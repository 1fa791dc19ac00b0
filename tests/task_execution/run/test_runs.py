"""run_task runs one task instance and no other: in a new run, and in one that has ended."""

from __future__ import annotations

from typing import Any, Dict, List, Optional

import pytest

import native_api
from native_api.adapters.task_execution.run import IGNORED
from native_api.errors import (
    DagRunNotFound,
    DependenciesUnmet,
    Invalid,
    PoolNotFound,
    TaskInstanceBusy,
    TaskInstanceNotFound,
)
from tests.support import airflow_under_test
from tests.support.versions import by_default_on
from tests.task_execution.run.single_task import DATE, ONLY_3, RUN, finished_run, log, rows, run, states

#: With 2.11 and 3.3 they run in another environment, with another Python.
pytestmark = by_default_on("2.7", "2.8", "2.9", "2.10", "3.0", "3.1", "3.2", "3.4")


@pytest.mark.usefixtures("fresh")
class TestInANewRun:
    """There is no run for the date."""

    def test_the_task_runs_and_the_others_are_skipped(self) -> None:
        response = run("first")
        assert (response["how"], response["state"], response["previous_state"]) == ("sandbox", "success", None)
        assert (response["run_id"], response["try_number"], response["run_is_new"]) == (RUN, 1, True)
        assert response["logical_date"] == response["execution_date"] == DATE
        found = states()
        assert (found.pop("the run"), found.pop("first")) == ("success", "success")
        assert set(found.values()) == {"skipped"}

    def test_a_failed_task_is_a_result(self) -> None:
        """It is not retried: the run has ended."""
        response = run("fails")
        assert (response["how"], response["state"], response["try_number"]) == ("sandbox", "failed", 1)
        assert "ValueError: no luck" in response["log"]
        assert "ValueError: no luck" in log("fails", 1)
        assert states()["the run"] == "failed"

    def test_a_task_whose_process_is_killed_fails(self) -> None:
        assert run("is_killed")["state"] == "failed"
        assert (states()["the run"], states()["is_killed"]) == ("failed", "failed")

    def test_map_index_selects_an_instance(self) -> None:
        assert run("doubles", map_index=1)["state"] == "success"
        assert (states()["doubles[0]"], states()["doubles[1]"]) == ("skipped", "success")

    def test_a_deferred_task_continues_with_the_scheduler(self) -> None:
        response = run("defers")
        found = states()
        assert (response["state"], found.pop("defers"), found.pop("the run")) == ("deferred", "deferred", "running")
        assert set(found.values()) == {"skipped"}
        assert response["warnings"] == ["The DAG 'alone' is paused: the run ends when it is unpaused."]

    def test_unmet_dependencies_create_no_run(self) -> None:
        with pytest.raises(DependenciesUnmet) as caught:
            run("second")
        assert [dependency["name"] for dependency in caught.value.dependencies] == ["Trigger Rule"]
        assert native_api.call("list_dag_runs", dag_id="alone")["total_entries"] == 0

    def test_ignore_dependencies_ignores_them(self) -> None:
        assert run("second", ignore_dependencies=True)["state"] == "success"

    @pytest.mark.parametrize(
        "wrong, error",
        [
            pytest.param({"task_id": "doubles"}, Invalid, id="no instance of a mapped task is named"),
            pytest.param({"task_id": "doubles", "map_index": 2}, Invalid, id="a mapped task has no such instance"),
            pytest.param({"task_id": "first", "pool": "nowhere"}, PoolNotFound, id="no such pool"),
            pytest.param({"task_id": "first", "run_id": "nothing"}, DagRunNotFound, id="no such run"),
        ],
    )
    def test_an_error_creates_no_run(self, wrong: Dict[str, Any], error: Any) -> None:
        with pytest.raises(error):
            run(**wrong)
        assert native_api.call("list_dag_runs", dag_id="alone")["total_entries"] == 0

    def test_a_skipped_task_can_be_run_later(self) -> None:
        """After the one before it."""
        run("first", mark_success=True)
        with pytest.raises(DependenciesUnmet):
            run("third")
        response = run("second")
        assert (response["state"], response["previous_state"], response["run_is_new"]) == ("success", None, False)
        assert (states()["second"], states()["third"], states()["the run"]) == ("success", "skipped", "success")

    def test_mark_success_runs_no_dag_code(self) -> None:
        response = run("fails", mark_success=True)
        assert (response["how"], response["state"], response["run_is_new"]) == ("marked", "success", True)
        found = states()
        assert (found.pop("the run"), found.pop("fails"), set(found.values())) == ("success", "success", {"skipped"})


@pytest.mark.usefixtures("fresh")
class TestInARunThatHasEnded:
    """The run is there, and all of its tasks have run."""

    def test_a_task_is_run_again_and_the_others_are_unchanged(self) -> None:
        """It is its second try."""
        finished_run()
        before = rows("r", but="first")
        response = run("first", run_id="r", force=True)
        assert (response["state"], response["previous_state"], response["try_number"]) == ("success", "success", 2)
        assert response["run_is_new"] is False
        assert rows("r", but="first") == before
        assert log("first", 2, "r") == response["log"]

    def test_a_failed_task_is_not_retried(self) -> None:
        finished_run()
        response = run("fails", run_id="r", force=True)
        assert (response["state"], response["try_number"], states("r")["the run"]) == ("failed", 2, "success")

    def test_downstream_tasks_are_not_scheduled(self) -> None:
        finished_run(of_tasks="failed", state="failed")
        airflow_under_test.set_try("alone", "r", "second", 0, None)
        run("first", run_id="r", force=True)
        assert (states("r")["first"], states("r")["second"]) == ("success", None)

    def test_a_finished_task_requires_force(self) -> None:
        finished_run()
        with pytest.raises(DependenciesUnmet) as caught:
            run("first", run_id="r")
        assert [dependency["name"] for dependency in caught.value.dependencies] == ["Task Instance State"]
        assert states("r")["first"] == "success"

    @pytest.mark.parametrize(
        ("task_id", "before", "arguments"),
        [
            pytest.param("first", "success", ["force"], id="it has run"),
            pytest.param("second", None, ["ignore_dependencies"], id="the task before it has failed"),
            pytest.param("second", "success", ["force", "ignore_dependencies"], id="both"),
        ],
    )
    def test_the_error_names_the_arguments_that_ignore_the_dependencies(
        self, task_id: str, before: Optional[str], arguments: List[str]
    ) -> None:
        """And no more."""
        finished_run()
        airflow_under_test.set_try("alone", "r", "first", 1, "failed" if task_id == "second" else "success")
        airflow_under_test.set_try("alone", "r", task_id, 1, before)
        for given in ({}, *({name: True} for name in IGNORED if name not in (*arguments, "ignore_all_dependencies"))):
            with pytest.raises(DependenciesUnmet, match=f"to ignore them, use {' and '.join(arguments)}\\."):
                run(task_id, run_id="r", **given)
        assert run(task_id, run_id="r", **dict.fromkeys(arguments, True))["state"] == "success"

    def test_the_error_names_ignore_depends_on_past(self) -> None:
        from airflow.models.dagrun import DagRun

        native_api.call("trigger_dag", dag_id="daily_with_past", run_id="before", logical_date=DATE)
        with airflow_under_test.session() as session:
            # With catchup, only a scheduled run is the one before.
            session.execute(DagRun.__table__.update().values(run_type="scheduled"))
        airflow_under_test.set_try("daily_with_past", "before", "count", 1, "failed")
        asked = {"dag_id": "daily_with_past", "task_id": "count", "logical_date": "2026-03-02", "local": True}
        with pytest.raises(DependenciesUnmet) as caught:
            native_api.call("run_task", **asked, force=True)
        assert caught.value.arguments == ["ignore_depends_on_past"]
        assert native_api.call("run_task", **asked, ignore_depends_on_past=True)["state"] == "success"

    def test_the_error_says_if_no_argument_ignores_a_dependency(self, mocker: Any) -> None:
        unmet = [{"name": "A dependency", "reason": "of a later Airflow."}]
        mocker.patch("native_api.adapters.task_execution.single_task_run.unmet", return_value=unmet)
        with pytest.raises(DependenciesUnmet, match="no argument ignores them") as caught:
            run("first")
        assert caught.value.arguments is None

    @pytest.mark.parametrize("state", ["running", "queued", "deferred", "restarting"])
    def test_a_running_or_queued_task_is_refused(self, state: str) -> None:
        finished_run()
        airflow_under_test.set_try("alone", "r", "first", 1, state)
        for how in ({"force": True}, {"ignore_all_dependencies": True}, {"mark_success": True}):
            with pytest.raises(TaskInstanceBusy) as caught:
                run("first", run_id="r", **how)
            assert caught.value.state == state

    def test_mark_success_does_not_clear_downstream_tasks(self) -> None:
        """Unlike set_task_state."""
        finished_run(state="failed", of_tasks="failed")
        before = rows("r", but="first")
        assert run("first", run_id="r", mark_success=True)["previous_state"] == "failed"
        assert rows("r", but="first") == before
        assert states("r")["first"] == "success"

    def test_an_unknown_map_index_is_not_found(self) -> None:
        finished_run()
        with pytest.raises(TaskInstanceNotFound):
            run("doubles", run_id="r", map_index=7)

    def test_pool_overrides_the_pool_of_the_task(self) -> None:
        """Also in a run whose state was set by hand."""
        native_api.call("set_pool", name="narrow", slots=1)
        finished_run(began=False)
        run("first", run_id="r", force=True, pool="narrow")
        from airflow.models.taskinstance import TaskInstance
        from sqlalchemy import select

        with airflow_under_test.session() as session:
            pool = session.scalar(select(TaskInstance.pool).filter_by(run_id="r", task_id="first"))
        assert pool == "narrow"


def test_ids_and_dates_are_not_masked(fresh: Any) -> None:
    native_api.call("set_variable", key="password_of_alone", value="2026-03")
    response = run("first")
    assert (response["run_id"], response["logical_date"], response["execution_date"]) == (RUN, DATE, DATE)


@ONLY_3
def test_a_run_without_a_date_has_no_previous_success(fresh: Any) -> None:
    from airflow.models.dagrun import DagRun
    from sqlalchemy import update

    native_api.call("trigger_dag", dag_id="alone", run_id="before", logical_date=DATE)
    native_api.call("set_dag_run_state", dag_id="alone", run_id="before", state="success")
    native_api.call("trigger_dag", dag_id="alone", run_id="r")
    with airflow_under_test.session() as session:
        session.execute(update(DagRun).where(DagRun.run_id == "r").values(logical_date=None))
    response = native_api.call("render_task", dag_id="alone", task_id="looks_back", run_id="r")
    assert [field["value"] for field in response["template_fields"] if field["name"] == "bash_command"] == [
        "echo never"
    ]


def test_arguments_without_effect_get_a_warning(fresh: Any) -> None:
    response = run("first", mark_success=True, pickle="7", ship_dag=True, cfg_path="/etc/airflow.cfg")
    assert response["warnings"] == [f"'{name}' has no effect." for name in ("pickle", "ship_dag", "cfg_path")]
