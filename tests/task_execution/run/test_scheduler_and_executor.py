"""run_task with Airflow's scheduler or executor."""

from __future__ import annotations

from typing import Any

import pytest

import native_api
from native_api import registry
from native_api.adapters.compat import airflow as seam
from native_api.adapters.task_execution import run_job as work
from native_api.errors import DagPaused, OthersWouldStart, TaskInstanceBusy
from tests.support import airflow_under_test
from tests.task_execution.run.single_task import DATE, ONLY_2, ONLY_3, RUN, finished_run, run, states


@ONLY_3
@pytest.mark.usefixtures("fresh")
class TestByTheScheduler:
    """Without local, Airflow 3 hands the task to the scheduler."""

    def test_a_task_of_a_new_run_is_scheduled(self) -> None:
        native_api.call("unpause_dag", dag_id="alone")
        response = run("first", local=False)
        assert (response["how"], response["state"], response["try_number"]) == ("scheduler", "scheduled", 1)
        found = states()
        assert (found.pop("the run"), found.pop("first"), set(found.values())) == ("running", "scheduled", {"skipped"})

    def test_a_task_of_an_ended_run_is_scheduled(self) -> None:
        native_api.call("unpause_dag", dag_id="alone")
        finished_run()
        response = run("second", run_id="r", force=True, local=False)
        assert (response["state"], response["previous_state"], response["try_number"]) == ("scheduled", "success", 2)
        found = states("r")
        assert (found.pop("the run"), found.pop("second"), set(found.values())) == ("running", "scheduled", {"success"})

    def test_it_is_refused_if_the_scheduler_would_start_other_tasks(self) -> None:
        native_api.call("unpause_dag", dag_id="alone")
        finished_run()
        airflow_under_test.set_try("alone", "r", "third", 0, None)
        with pytest.raises(OthersWouldStart) as caught:
            run("first", run_id="r", force=True, local=False)
        assert caught.value.tasks == ["third"]
        assert (states("r")["the run"], states("r")["first"]) == ("success", "success")

    def test_a_paused_dag_is_refused(self) -> None:
        with pytest.raises(DagPaused):
            run("first", local=False)
        assert native_api.call("list_dag_runs", dag_id="alone")["total_entries"] == 0


@ONLY_2
@pytest.mark.usefixtures("fresh")
class TestByTheExecutor:
    """Without local, Airflow 2 sends the task to the executor, if that runs tasks on other hosts."""

    @pytest.mark.parametrize(
        "executor, way",
        [
            ("SequentialExecutor", "sandbox"),
            ("LocalExecutor", "sandbox"),
            ("CeleryExecutor", "executor"),
            ("KubernetesExecutor", "executor"),
            ("CeleryKubernetesExecutor", "executor"),
            ("tests.support.recording_executor.RecordingExecutor", "executor"),
        ],
    )
    def test_the_executor_decides_how_a_task_runs(self, executor: str, way: str, monkeypatch: Any) -> None:
        monkeypatch.setenv("AIRFLOW__CORE__EXECUTOR", executor)
        assert seam().running.way(None) == way

    def test_the_executor_gets_the_command_with_its_flags(self, airflow: Any, monkeypatch: Any) -> None:
        """The task instance is queued, and cannot be run again."""
        from tests.support import recording_executor

        recording_executor.use(monkeypatch)
        options = dict.fromkeys(("force", "ignore_all_dependencies", "ignore_depends_on_past"), False)
        options.update({"ignore_dependencies": True, "pool": None})
        key = {"dag_id": "alone", "run_id": RUN, "task_id": "second", "map_index": -1}
        response = work.send(key, DATE, options, "a job")
        assert (response["how"], response["state"]) == ("executor", "queued")
        (command,) = recording_executor.commands
        assert command[:6] == ["airflow", "tasks", "run", "alone", "second", RUN]
        assert {"--local", "--ignore-dependencies"} <= set(command)
        with pytest.raises(TaskInstanceBusy):
            run("second", ignore_dependencies=True)

    def test_a_task_that_the_executor_does_not_accept_fails(self, airflow: Any, monkeypatch: Any) -> None:
        from tests.support import recording_executor

        recording_executor.use(monkeypatch, broken=True)
        options = dict.fromkeys(registry.get("run_task").request.fields, False)
        options["pool"] = None
        key = {"dag_id": "alone", "run_id": RUN, "task_id": "first", "map_index": -1}
        with pytest.raises(ConnectionError):
            work.send(key, DATE, options, "a job")
        assert (states()["the run"], states()["first"]) == ("failed", "failed")
