"""clear_tasks."""

from __future__ import annotations

from typing import Any, List

import pytest

import native_api
from native_api import errors
from tests.support import airflow_under_test
from tests.support.auth_managers import USER
from tests.support.dag_runs import set_state
from tests.task_instances.states import AS_MADE, names, states


def start_runs() -> None:
    """Give every run a start date."""
    import pendulum
    from airflow.models.dagrun import DagRun
    from sqlalchemy import update

    with airflow_under_test.session() as session:
        started = update(DagRun).values(start_date=pendulum.now("UTC"))
        session.execute(started.execution_options(synchronize_session=False))


class TestClear:
    def clear(self, **arguments: Any) -> Any:
        return native_api.call("clear_tasks", **{"dag_id": "wire_dag", "dry_run": False, **arguments})

    @pytest.mark.parametrize(
        "arguments, expected",
        [
            pytest.param({"run_id": "r1"}, ["r1.extract", "r1.load", "r1.transform"], id="a run"),
            pytest.param({"run_id": "r1", "only_failed": True}, ["r1.load", "r1.transform"], id="what failed"),
            pytest.param({"run_id": "r1", "only_running": True}, [], id="what runs"),
            pytest.param({"run_id": "r1", "task_regex": "^ex"}, ["r1.extract"], id="an expression"),
            pytest.param({"run_id": "r1", "task_regex": "^tr$|^l"}, ["r1.load"], id="alternatives"),
            pytest.param({"run_id": "r1", "task_regex": "lo"}, ["r1.load"], id="found anywhere"),
            pytest.param({"run_id": "r1", "task_regex": "nothing"}, [], id="no task"),
            pytest.param(
                {"run_id": "r1", "task_regex": "transform", "upstream": True},
                ["r1.extract", "r1.transform"],
                id="upstream",
            ),
            pytest.param(
                {"run_id": "r1", "task_regex": "transform", "downstream": True},
                ["r1.load", "r1.transform"],
                id="downstream",
            ),
            pytest.param(
                {"start_date": "2026-11-02", "end_date": "2026-11-02", "task_regex": "load"}, ["r2.load"], id="a day"
            ),
            pytest.param({"start_date": "2026-11-02", "task_regex": "load"}, ["r2.load", "r3.load"], id="from a day"),
            pytest.param({"task_regex": "load"}, ["r1.load", "r2.load", "r3.load"], id="all runs"),
            pytest.param({"logical_date": "2026-11-02", "task_id": "load"}, ["r2.load"], id="the run of a date"),
            pytest.param({"execution_date": "2026-11-02", "task_id": "load"}, ["r2.load"], id="by its other name"),
            pytest.param({"run_id": "r1", "task_id": "load", "map_index": -1}, ["r1.load"], id="an instance"),
            pytest.param({"run_id": "r1", "task_ids": ["load", "extract"]}, ["r1.extract", "r1.load"], id="tasks"),
            pytest.param(
                {"run_id": "r1", "task_id": "transform", "downstream": True},
                ["r1.load", "r1.transform"],
                id="a task, and downstream",
            ),
        ],
    )
    def test_it_clears_what_a_dry_run_returns(self, runs: Any, arguments: Any, expected: List[str]) -> None:
        """A dry run changes nothing, and returns what is cleared then."""
        result = self.clear(dry_run=True, **arguments)
        assert names(result) == expected
        assert [states(run_id) for run_id in ("r1", "r2", "r3")] == [AS_MADE] * 3
        done = self.clear(**arguments)
        assert names(done) == expected
        assert done["task_instances"] == result["task_instances"]
        for run_id in ("r1", "r2", "r3"):
            cleared = {name.split(".")[1] for name in expected if name.startswith(run_id)}
            after = {task_id: None if task_id in cleared else state for task_id, state in AS_MADE.items()}
            assert states(run_id) == {**after, "run": "queued" if cleared else "failed"}

    @pytest.mark.parametrize("arguments", [{}, {"run_id": "r1"}, {"task_id": "load", "only_failed": True}])
    def test_the_default_is_a_dry_run(self, web: Any, runs: Any, arguments: Any) -> None:
        """As in Airflow's REST API."""
        response = web.typed("clear_tasks", dag_id="wire_dag", **arguments)
        assert (response.status, response.json["dry_run"]) == (200, True)
        assert response.json["total_entries"] > 0
        assert [states(run_id) for run_id in ("r1", "r2", "r3")] == [AS_MADE] * 3
        assert web.typed("clear_tasks", dag_id="wire_dag", dry_run=False, **arguments).json["dry_run"] is False
        assert states("r1") != AS_MADE

    @pytest.mark.parametrize(
        "arguments, words",
        [
            ({"task_id": "load"}, ["--task-regex", "^(load)$"]),
            ({"task_ids": ["a.b", "c"]}, ["--task-regex", "^(a\\.b|c)$"]),
            (
                {"logical_date": "2026-11-02"},
                ["--start-date", "2026-11-02T00:00:00+00:00", "--end-date", "2026-11-02T00:00:00+00:00"],
            ),
        ],
    )
    def test_the_command_has_the_arguments(self, fresh: Any, arguments: Any, words: Any) -> None:
        from native_api import dispatch, registry

        operation = registry.get("clear_tasks")
        loaded = dispatch.load(operation, {"dag_id": "wire_dag", "dry_run": False, **arguments})
        assert operation.command(loaded) == ["tasks", "clear", "--yes", *words, "wire_dag"]
        assert operation.command({**loaded, "dry_run": True}) is None

    @pytest.mark.parametrize("no_confirm", [True, False])
    def test_no_confirm_has_no_effect(self, runs: Any, no_confirm: bool) -> None:
        response = self.clear(run_id="r2", task_regex="load", no_confirm=no_confirm)
        assert names(response) == ["r2.load"]
        assert states("r2")["load"] is None

    def test_it_returns_the_previous_states(self, runs: Any) -> None:
        response = self.clear(run_id="r1", task_regex="load")
        assert [ti["state"] for ti in response["task_instances"]] == ["upstream_failed"]

    def test_it_clears_all_instances_of_a_mapped_task(self, runs: Any) -> None:
        for map_index in range(3):
            assert map_index in [ti["map_index"] for ti in self.clear(dag_id="mapped", run_id="m")["task_instances"]]

    @pytest.mark.parametrize("pattern", ["(", "a(?=b)", "*", "[", "(?P<x>"])
    def test_an_invalid_regular_expression_is_an_error(self, runs: Any, pattern: str) -> None:
        with pytest.raises(errors.Invalid, match="task_regex"):
            self.clear(task_regex=pattern)

    def test_a_regular_expression_has_linear_time(self, runs: Any) -> None:
        """A backtracking engine would take years."""
        assert names(self.clear(task_regex="(" * 12 + "[a-z]*" + ")*" * 12 + "!", dry_run=True)) == []
        assert names(self.clear(task_regex="^(([a-z])+.)+[A-Z]([a-z])+$", dry_run=True)) == []

    @pytest.mark.parametrize(
        "arguments",
        [
            {"run_id": "r1", "start_date": "2026-11-01"},
            {"start_date": "2026-11-02", "end_date": "2026-11-01"},
            {"start_date": "x"},
            {"run_id": "r1", "logical_date": "2026-11-01"},
            {"logical_date": "2026-11-01", "execution_date": "2026-11-01"},
            {"logical_date": "2026-11-01", "end_date": "2026-11-01"},
            {"task_id": "load", "task_regex": "load"},
            {"task_id": "load", "task_ids": ["load"]},
            {"task_ids": []},
            {"map_index": 0},
            {"task_ids": ["load"], "map_index": 0},
            {"task_id": "load", "map_index": -2},
        ],
    )
    def test_an_invalid_argument_is_an_error(self, runs: Any, arguments: Any) -> None:
        with pytest.raises(errors.Invalid):
            self.clear(**arguments)

    @pytest.mark.parametrize(
        "arguments, error",
        [
            ({"run_id": "nope"}, errors.DagRunNotFound),
            ({"logical_date": "2020-01-01"}, errors.DagRunNotFound),
            ({"dag_id": "nope"}, errors.DagNotFound),
            ({"task_id": "lo"}, errors.TaskNotFound),
            ({"task_ids": ["load", "lo"]}, errors.TaskNotFound),
            ({"run_id": "r1", "task_id": "load", "map_index": 3}, errors.TaskInstanceNotFound),
        ],
    )
    def test_an_unknown_dag_run_or_task_is_not_found(self, runs: Any, arguments: Any, error: Any) -> None:
        with pytest.raises(error):
            self.clear(**arguments)

    def test_a_run_without_a_date_is_selected_by_run_id_only(self, runs: Any, airflow: Any) -> None:
        """On Airflow 3."""
        if airflow.version() < (3, 0):
            pytest.skip("every run has a date on Airflow 2")
        from airflow.models.dagrun import DagRun
        from sqlalchemy import update

        with airflow.session() as session:
            session.execute(update(DagRun).where(DagRun.run_id == "r2").values(logical_date=None))
        assert names(self.clear(start_date="2026-01-01", task_regex="load", dry_run=True)) == ["r1.load", "r3.load"]
        assert names(self.clear(run_id="r2", task_regex="load")) == ["r2.load"]

    def test_arguments_about_subdags_have_no_effect_on_airflow_3(self, runs: Any, airflow: Any) -> None:
        """The response has a warning."""
        response = self.clear(run_id="r1", exclude_subdags=True, exclude_parentdag=True, dry_run=True)
        expected = ["exclude_subdags", "exclude_parentdag"] if airflow.version() >= (3, 0) else []
        assert [warning.split("'")[1] for warning in response.get("warnings", [])] == expected
        assert names(response) == ["r1.extract", "r1.load", "r1.transform"]

    @pytest.mark.parametrize(
        "dag_id, arguments, expected",
        [
            pytest.param("", {}, {"": 5, ".section-1": 5, ".section-2": 5}, id="all"),
            pytest.param("", {"exclude_subdags": True}, {"": 5}, id="without its SubDAGs"),
            pytest.param(".section-2", {}, {"": 2, ".section-2": 5}, id="a SubDAG, and what follows it"),
            pytest.param(".section-2", {"exclude_parentdag": True}, {".section-2": 5}, id="a SubDAG alone"),
            pytest.param(".section-1", {"exclude_subdags": True}, {"": 4, ".section-1": 5}, id="without the next one"),
        ],
    )
    def test_task_instances_of_subdags_are_cleared(
        self, fresh: Any, dag_id: str, arguments: Any, expected: Any
    ) -> None:
        """A dry run returns the same number."""
        if fresh.version() >= (3, 0):
            pytest.skip("Airflow 3 has no SubDAGs")
        root = "example_subdag_operator"
        native_api.call("trigger_dag", dag_id=root, run_id="r", logical_date="2026-11-01")
        parts = {part: f"{root}{part}" for part in ("", ".section-1", ".section-2")}
        for part in parts.values():
            for ti in native_api.call("list_task_instances", dag_id=part)["task_instances"]:
                set_state(part, "r", ti["task_id"], "success")
        start_runs()
        result = self.clear(dag_id=f"{root}{dag_id}", run_id="r", dry_run=True, **arguments)
        assert self.clear(dag_id=f"{root}{dag_id}", run_id="r", **arguments) == {**result, "dry_run": False}
        cleared = {part: sum(state is None for state in states("r", parts[part]).values()) for part in parts}
        assert {part: count for part, count in cleared.items() if count} == expected
        assert result["total_entries"] == sum(expected.values())

    def test_a_dag_of_an_external_task_marker_requires_permission(
        self, runs: Any, site: Any, mocker: Any, airflow: Any
    ) -> None:
        """It is cleared, too."""
        if airflow.version() >= (3, 1):
            pytest.skip("from Airflow 3.1 on clearing does not follow markers")
        parent, child = "example_external_task_marker_parent", "example_external_task_marker_child"
        for dag_id in (parent, child):
            native_api.call("trigger_dag", dag_id=dag_id, run_id="r", logical_date="2026-11-01")
            for ti in native_api.call("list_task_instances", dag_id=dag_id)["task_instances"]:
                set_state(dag_id, "r", ti["task_id"], "success")
        if airflow.version() >= (3, 0):
            with pytest.raises(errors.Refused, match="marker"):
                self.clear(dag_id=parent, run_id="r", dry_run=True)
        start_runs()
        touched = {ti["dag_id"] for ti in self.clear(dag_id=parent, run_id="r", dry_run=True)["task_instances"]}
        assert touched == {parent, child}
        mocker.patch(f"{USER}.may", lambda self, access, dag_id=None: dag_id == parent)
        response = site.typed("clear_tasks", login="user", dag_id=parent, run_id="r", dry_run=False)
        assert response.status == 403
        # The caller may not know that there is one.
        assert child not in response.text
        left = states("r", child)
        assert left.pop("run") == "queued"
        assert set(left.values()) == {"success"}
