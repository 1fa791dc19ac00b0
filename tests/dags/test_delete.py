"""delete_dag, delete_dag_run."""

from __future__ import annotations

from typing import Any

import pytest

import native_api
from native_api import errors
from tests.support import airflow_under_test
from tests.support.dag_runs import set_run_state, set_state
from tests.support.problems import assert_problem
from tests.task_instances.states import states


class TestDelete:
    def test_delete_dag_run_deletes_the_run_and_its_task_instances(self, runs: Any) -> None:
        assert native_api.call("delete_dag_run", dag_id="wire_dag", run_id="r2") == {
            "dag_id": "wire_dag",
            "run_id": "r2",
        }
        left = native_api.call("list_task_instances", dag_id="wire_dag")["task_instances"]
        assert {ti["run_id"] for ti in left} == {"r1", "r3"}
        with pytest.raises(errors.DagRunNotFound):
            native_api.call("delete_dag_run", dag_id="wire_dag", run_id="r2")

    def test_a_running_run_is_409(self, runs: Any, web: Any) -> None:
        """In any other state it is deleted."""
        set_run_state("wire_dag", "r2", "running")
        set_state("wire_dag", "r2", "transform", "running")
        before = states("r2")
        response = web.typed("delete_dag_run", dag_id="wire_dag", run_id="r2")
        assert_problem(response, 409)
        assert (response.json["dag_id"], response.json["run_id"]) == ("wire_dag", "r2")
        assert states("r2") == before
        for run_id, state in (("r1", "queued"), ("r2", "failed"), ("r3", "success")):
            set_run_state("wire_dag", run_id, state)
            native_api.call("delete_dag_run", dag_id="wire_dag", run_id=run_id)
        assert native_api.call("list_dag_runs", dag_id="wire_dag")["dag_runs"] == []

    def test_a_dag_that_is_still_defined_is_409(self, runs: Any) -> None:
        """Nothing is deleted."""
        with pytest.raises(errors.DagIsDefined) as caught:
            native_api.call("delete_dag", dag_id="wire_dag")
        assert caught.value.problem()["status"] == 409
        assert len(native_api.call("list_dag_runs", dag_id="wire_dag")["dag_runs"]) == 3

    @pytest.mark.parametrize("forced", [True, False])
    def test_delete_dag_deletes_all_rows_but_the_audit_log(self, fresh: Any, forced: bool, tmp_path: Any) -> None:
        """force is not required if the file is gone."""
        from airflow.models.dag import DagModel
        from sqlalchemy import update

        airflow_under_test.copy_dag(airflow_under_test.COPY)
        if not forced:
            with fresh.session() as session:
                session.execute(
                    update(DagModel)
                    .where(DagModel.dag_id == airflow_under_test.COPY)
                    .values(fileloc=str(tmp_path / "gone.py"))
                    .execution_options(synchronize_session=False)
                )
        response = native_api.call("delete_dag", dag_id=airflow_under_test.COPY, **({"force": True} if forced else {}))
        assert response["deleted_rows"] >= 1
        with pytest.raises(errors.DagNotFound):
            native_api.call("delete_dag", dag_id=airflow_under_test.COPY)
        assert [row.event for row in fresh.audit_rows()] == ["native_api.delete_dag"]
