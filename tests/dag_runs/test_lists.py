"""list_dag_runs, list_task_instances, rendered_fields."""

from __future__ import annotations

from typing import Any, List

import pytest

import native_api
from native_api import errors
from tests.support.airflow_under_test import store_rendered_fields
from tests.support.auth_managers import USER
from tests.support.dag_runs import set_run_state, set_state
from tests.support.queries import statements


@pytest.fixture
def runs(fresh: Any) -> Any:
    """Create three runs of one DAG and one of another."""
    for day in (1, 2, 3):
        native_api.call("trigger_dag", dag_id="wire_dag", run_id=f"r{day}", logical_date=f"2026-11-0{day}", note="why")
    native_api.call("trigger_dag", dag_id="mapped", run_id="m", logical_date="2026-11-02")
    set_run_state("wire_dag", "r1", "success")
    set_state("wire_dag", "r1", "extract", "success")
    set_state("wire_dag", "r2", "extract", "failed")


def run_ids(**arguments: Any) -> List[str]:
    return [run["run_id"] for run in native_api.call("list_dag_runs", **arguments)["dag_runs"]]


def instances(**arguments: Any) -> List[str]:
    found = native_api.call("list_task_instances", **arguments)["task_instances"]
    return [f"{ti['run_id']}.{ti['task_id']}.{ti['map_index']}" for ti in found]


class TestRuns:
    @pytest.mark.parametrize(
        "arguments, expected",
        [
            pytest.param({}, ["r1", "r2", "r3", "m"], id="all, the oldest first"),
            pytest.param({"dag_id": "wire_dag"}, ["r1", "r2", "r3"], id="of a DAG"),
            pytest.param({"order_by": "-logical_date", "limit": 1}, ["r3"], id="the latest date"),
            pytest.param({"limit": 2, "offset": 1}, ["r2", "r3"], id="a page"),
            pytest.param({"state": ["success"]}, ["r1"], id="a state"),
            pytest.param({"state": ["success", "queued"], "dag_id": "wire_dag"}, ["r1", "r2", "r3"], id="states"),
            pytest.param({"state": ["running"]}, [], id="another state"),
            pytest.param({"run_type": ["manual"]}, ["r1", "r2", "r3", "m"], id="a type"),
            pytest.param({"run_type": ["scheduled"]}, [], id="another type"),
            pytest.param({"logical_date_gte": "2026-11-02"}, ["r2", "r3", "m"], id="from a date"),
            pytest.param({"logical_date_lte": "2026-11-01"}, ["r1"], id="to a date"),
            pytest.param({"logical_date_gte": "2026-11-02", "logical_date_lte": "2026-11-02"}, ["r2", "m"], id="a day"),
            pytest.param({"subdir": "wire_dag.py", "dag_id": "wire_dag", "limit": 1}, ["r1"], id="subdir"),
            pytest.param({"subdir": "wire_dag.py"}, ["r1", "r2", "r3"], id="a file, all its DAGs"),
            pytest.param({"subdir": "DAGS_FOLDER"}, ["r1", "r2", "r3", "m"], id="a folder, all its DAGs"),
            pytest.param({"subdir": "no_such_folder"}, [], id="a folder without DAGs"),
        ],
    )
    def test_a_filter_selects_runs(self, runs: Any, arguments: Any, expected: List[str]) -> None:
        assert run_ids(**arguments) == expected

    def test_a_run_has_the_fields_of_dag_state(self, runs: Any) -> None:
        listed = native_api.call("list_dag_runs", dag_id="wire_dag", limit=1)
        assert listed["dag_runs"] == [native_api.call("dag_state", dag_id="wire_dag", run_id="r1")]
        assert listed["total_entries"] == 3

    def test_the_number_of_queries_is_fixed(self, runs: Any) -> None:
        """Notes are read with the runs, and a page that has all of them is not counted."""
        counts = []
        for limit in (1, 100):
            with statements() as seen:
                native_api.call("list_dag_runs", limit=limit)
            counts.append(len(seen))
        assert counts == [2, 1]

    @pytest.mark.parametrize("arguments", [{"state": ["nope"]}, {"run_type": ["nope"]}, {"order_by": "conf"}])
    def test_an_invalid_argument_is_an_error(self, runs: Any, arguments: Any) -> None:
        with pytest.raises(errors.Invalid):
            run_ids(**arguments)

    def test_an_unknown_dag_is_not_found(self, runs: Any) -> None:
        with pytest.raises(errors.DagNotFound):
            run_ids(dag_id="nope")

    @pytest.mark.parametrize("dag_id", [{}, {"dag_id": "wire_dag"}], ids=["all", "one"])
    @pytest.mark.parametrize("operation", ["list_dag_runs", "list_task_instances"])
    def test_a_subdir_outside_of_the_dag_folders_is_forbidden(self, runs: Any, operation: str, dag_id: Any) -> None:
        with pytest.raises(errors.OutsideFolders):
            native_api.call(operation, subdir="/etc", **dag_id)

    def test_a_run_without_a_date_is_listed_and_in_no_range_of_dates(self, runs: Any, airflow: Any) -> None:
        """Airflow 3 has such runs."""
        if airflow.version() < (3, 0):
            pytest.skip("every run has a date on Airflow 2")
        from airflow.models.dagrun import DagRun
        from sqlalchemy import update

        with airflow.session() as session:
            session.execute(update(DagRun).where(DagRun.run_id == "r2").values(logical_date=None))
        assert run_ids(dag_id="wire_dag") == ["r1", "r2", "r3"]
        assert run_ids(dag_id="wire_dag", logical_date_gte="2000-01-01") == ["r1", "r3"]
        state = native_api.call("task_state", dag_id="wire_dag", run_id="r2", task_id="extract")
        assert state["logical_date"] is state["execution_date"] is None

    def test_a_caller_sees_runs_and_task_instances_of_readable_dags_only(
        self, runs: Any, site: Any, mocker: Any
    ) -> None:
        mocker.patch(f"{USER}.may", lambda self, access, dag_id=None: dag_id == "mapped")
        mocker.patch(f"{USER}.dag_ids", lambda self, access: {"mapped"})
        response = site.typed("list_dag_runs", login="viewer").json
        assert ([run["run_id"] for run in response["dag_runs"]], response["total_entries"]) == (["m"], 1)
        response = site.typed("list_task_instances", login="viewer").json
        assert {ti["dag_id"] for ti in response["task_instances"]} == {"mapped"}
        assert response["total_entries"] == 3
        assert site.typed("list_dag_runs", login="viewer", dag_id="wire_dag").status == 403


class TestTaskInstances:
    @pytest.mark.parametrize(
        "arguments, expected",
        [
            pytest.param(
                {"run_id": "r1"}, ["r1.extract.-1", "r1.load.-1", "r1.transform.-1"], id="of a run, by the task's id"
            ),
            pytest.param({"dag_id": "mapped"}, ["m.double.0", "m.double.1", "m.double.2"], id="mapped"),
            pytest.param({"subdir": "shapes.py"}, ["m.double.0", "m.double.1", "m.double.2"], id="a file"),
            pytest.param({"task_id": "extract", "order_by": "-logical_date", "limit": 1}, ["r3.extract.-1"], id="task"),
            pytest.param({"state": ["failed", "success"]}, ["r1.extract.-1", "r2.extract.-1"], id="states"),
            pytest.param({"state": ["none"], "task_id": "extract"}, ["r3.extract.-1"], id="no state"),
            pytest.param(
                {"state": ["none", "failed"], "task_id": "extract"}, ["r2.extract.-1", "r3.extract.-1"], id="both"
            ),
            pytest.param({"logical_date_lte": "2026-11-01", "task_id": "load"}, ["r1.load.-1"], id="to a date"),
        ],
    )
    def test_a_filter_selects_task_instances(self, runs: Any, arguments: Any, expected: List[str]) -> None:
        assert instances(**arguments) == expected

    def test_a_task_instance_has_the_fields_of_task_state(self, runs: Any) -> None:
        listed = native_api.call("list_task_instances", dag_id="wire_dag", run_id="r1", limit=1)
        assert listed["task_instances"] == [
            native_api.call("task_state", dag_id="wire_dag", run_id="r1", task_id="extract")
        ]
        assert listed["total_entries"] == 3

    def test_the_number_of_queries_is_fixed(self, runs: Any) -> None:
        with statements() as seen:
            assert len(instances()) == 12
        assert len(seen) == 1

    def test_an_invalid_argument_is_an_error(self, runs: Any) -> None:
        with pytest.raises(errors.Invalid):
            instances(state=["nope"])


class TestRenderedFields:
    def test_it_returns_the_stored_fields(self, runs: Any) -> None:
        """conf and other objects are included; sensitive values are masked."""
        store_rendered_fields("wire_dag", "r1", "extract", {"bash_command": "echo 1", "env": {"password": "hunter2"}})
        response = native_api.call("rendered_fields", dag_id="wire_dag", run_id="r1", task_id="extract")
        assert response["rendered_fields"] == {"bash_command": "echo 1", "env": {"password": "***"}}
        by_date = native_api.call("rendered_fields", dag_id="wire_dag", logical_date="2026-11-01", task_id="extract")
        assert by_date == response

    def test_a_task_that_has_not_run_is_404(self, runs: Any) -> None:
        with pytest.raises(errors.NothingRendered):
            native_api.call("rendered_fields", dag_id="wire_dag", run_id="r2", task_id="extract")
