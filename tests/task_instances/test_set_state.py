"""set_task_state, set_dag_run_state."""

from __future__ import annotations

from typing import Any, List

import pytest

import native_api
from native_api import errors
from tests.support.dag_runs import set_run_state, set_state
from tests.task_instances.states import AS_MADE, names, states


class TestTaskState:
    def put(self, **arguments: Any) -> Any:
        named = {"dag_id": "wire_dag", "run_id": "r2", "task_id": "transform", "state": "success"}
        return native_api.call("set_task_state", **{**named, **arguments})

    @pytest.mark.parametrize("state", ["success", "skipped"])
    def test_it_sets_the_state(self, runs: Any, state: str) -> None:
        """Failed downstream tasks are cleared, and the run continues."""
        response = self.put(state=state)
        assert [(ti["task_id"], ti["state"]) for ti in response["task_instances"]] == [("transform", state)]
        assert states("r2") == {"extract": "success", "transform": state, "load": None, "run": "queued"}
        assert states("r1") == states("r3") == AS_MADE

    def test_failed_clears_failed_downstream_tasks(self, runs: Any) -> None:
        response = self.put(task_id="extract", state="failed")
        assert names(response) == ["r2.extract"]
        assert states("r2") == {"extract": "failed", "transform": None, "load": None, "run": "queued"}

    def test_failed_with_downstream_clears_nothing(self, runs: Any) -> None:
        """The run does not continue."""
        response = self.put(task_id="extract", state="failed", downstream=True, future=True)
        assert names(response) == ["r2.extract", "r2.load", "r3.extract", "r3.load"]
        assert {ti["state"] for ti in response["task_instances"]} == {"failed"}
        for run_id in ("r2", "r3"):
            assert states(run_id) == {"extract": "failed", "transform": "failed", "load": "failed", "run": "failed"}
        assert states("r1") == AS_MADE

    @pytest.mark.parametrize(
        "relatives, concerned",
        [
            ({"upstream": True}, ["r2.extract", "r2.transform"]),
            ({"downstream": True}, ["r2.load", "r2.transform"]),
            ({"upstream": True, "downstream": True}, ["r2.extract", "r2.load", "r2.transform"]),
            ({"past": True}, ["r1.transform", "r2.transform"]),
            ({"future": True}, ["r2.transform", "r3.transform"]),
            (
                {"past": True, "future": True, "downstream": True},
                [f"r{n}.{task_id}" for n in (1, 2, 3) for task_id in ("load", "transform")],
            ),
        ],
    )
    @pytest.mark.parametrize("state", ["success", "failed", "skipped"])
    def test_relatives_get_the_state(self, runs: Any, relatives: Any, concerned: List[str], state: str) -> None:
        """The response has those whose state has changed."""
        had = {name: AS_MADE[name.split(".")[1]] for name in concerned}
        response = self.put(state=state, **relatives)
        assert names(response) == [name for name in concerned if had[name] != state]
        assert {ti["state"] for ti in response["task_instances"]} <= {state}
        for name in concerned:
            run_id, task_id = name.split(".")
            assert states(run_id)[task_id] == state

    def test_a_task_instance_with_that_state_is_unchanged(self, runs: Any) -> None:
        assert self.put(task_id="extract", state="success")["task_instances"] == []

    def test_it_sets_the_state_of_one_or_all_mapped_instances(self, runs: Any) -> None:
        self.put(dag_id="mapped", run_id="m", task_id="double", map_index=1)
        assert states("m", "mapped") == {"0": None, "1": "success", "2": None, "run": "queued"}
        self.put(dag_id="mapped", run_id="m", task_id="double", state="failed")
        assert {state for name, state in states("m", "mapped").items() if name != "run"} == {"failed"}

    @pytest.mark.parametrize(
        "arguments, error",
        [
            ({"task_id": "nope"}, errors.TaskNotFound),
            ({"run_id": "nope"}, errors.DagRunNotFound),
            ({"map_index": 3}, errors.TaskInstanceNotFound),
            ({"state": "running"}, errors.Invalid),
            ({"dag_id": "nope"}, errors.DagNotFound),
        ],
    )
    def test_an_invalid_argument_is_an_error(self, runs: Any, arguments: Any, error: Any) -> None:
        with pytest.raises(error):
            self.put(**arguments)
        assert states("r2") == AS_MADE


class TestRunState:
    def put(self, state: str, run_id: str = "r2") -> Any:
        return native_api.call("set_dag_run_state", dag_id="wire_dag", run_id=run_id, state=state)

    @pytest.mark.parametrize("state", ["success", "failed"])
    def test_running_tasks_get_the_state_and_others_are_skipped(self, runs: Any, state: str) -> None:
        """Ended ones are unchanged, on every Airflow."""
        set_run_state("wire_dag", "r2", "running")
        for task_id, before in (("extract", "success"), ("transform", "running"), ("load", None)):
            set_state("wire_dag", "r2", task_id, before)
        response = self.put(state)
        assert states("r2") == {"extract": "success", "transform": state, "load": "skipped", "run": state}
        assert names(response) == ["r2.load", "r2.transform"]

    def test_failed_task_instances_stay_failed(self, runs: Any) -> None:
        assert self.put("success")["task_instances"] == []
        assert states("r2") == {**AS_MADE, "run": "success"}

    def test_queued_changes_the_run_only(self, runs: Any) -> None:
        self.put("queued")
        assert states("r2") == {**AS_MADE, "run": "queued"}

    def test_an_invalid_state_or_unknown_run_is_an_error(self, runs: Any) -> None:
        with pytest.raises(errors.Invalid):
            self.put("running")
        with pytest.raises(errors.DagRunNotFound):
            self.put("failed", "nope")
