"""dag_details."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import update

import native_api
from native_api import errors
from native_api.adapters.compat import airflow
from native_api.adapters.compat.interface import airflow as interface
from tests.support.airflow_under_test import session, version
from tests.support.problems import assert_problem
from tests.support.queries import statements


def details(dag_id: str = "wire_dag", **arguments: Any) -> Any:
    return native_api.call("dag_details", dag_id=dag_id, **arguments)


def test_it_has_the_fields_of_list_dags(fresh: Any) -> None:
    listed = {dag["dag_id"]: dag for dag in native_api.call("list_dags", limit=1000)["dags"]}
    for dag_id in ("wire_dag", "needs_params", "unicodé_dåg", "team.reports"):
        assert listed[dag_id].items() <= details(dag_id).items()


def test_a_dag_is_deserialized_again_when_airflow_has_serialized_it_anew(
    fresh: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Until then, calls share it; at most _SHARED_DAGS are retained."""
    from airflow.models.serialized_dag import SerializedDagModel

    monkeypatch.setattr(interface, "_SHARED_DAGS", 2)
    with session() as of_test:

        def shared(dag_id: str = "wire_dag") -> Any:
            return airflow().shared_dag(dag_id, of_test)

        first = shared()
        assert shared() is first
        of_test.execute(update(SerializedDagModel).values(dag_hash="another"))
        second = shared()
        assert second is not first
        assert shared("mapped") is shared("mapped")
        assert shared() is second
        shared("needs_params")
        assert shared() is not second
        of_test.rollback()


def test_it_has_the_schedule_and_the_limits(fresh: Any) -> None:
    response = details()
    expected = {
        "dag_display_name": "wire_dag",
        "timetable_summary": "0 0 * * *",
        "timetable_description": "At 00:00",
        "timezone": "UTC",
        "catchup": False,
        "start_date": "2020-01-01T00:00:00+00:00",
        "end_date": None,
        "dag_run_timeout": None,
        "has_task_concurrency_limits": False,
        "params": {},
    }
    assert expected.items() <= response.items()
    assert response["next_dagrun"] == response["next_runs"][0]["logical_date"]
    assert details("mapped")["timetable_summary"] is None


@pytest.mark.skipif(version() < (2, 9), reason="Airflow 2.9 began to store it.")
def test_it_has_the_asset_expression(fresh: Any) -> None:
    dag_id = "asset_consumes_1" if version() >= (3, 0) else "dataset_consumes_1"
    assert "output_1.txt" in str(details(dag_id)["asset_expression"])
    assert details()["asset_expression"] is None


def test_params_have_their_schema(fresh: Any) -> None:
    expected = {"count": {"value": 1, "description": None, "schema": {"type": "integer", "minimum": 1}}}
    assert details("needs_params")["params"] == expected
    required = details("example_params_ui_tutorial")["params"]["required_field"]
    assert (required["schema"]["type"], required["schema"]["title"]) == ("string", "Required text field")
    if version() >= (2, 8):
        assert required["value"] is None, "the example has a default up to 2.7"


def test_params_are_masked_by_their_names(web: Any, mocker: Any) -> None:
    from native_api.adapters.dags import details

    dumped = {"value": {"password": "hunter2", "a": {1}}, "description": "d", "schema": {}}
    assert details._param("x", dumped)["value"] == {"password": "***", "a": "{1}"}
    assert details._param("api_key", dumped)["value"] == "***"


class TestNextRuns:
    @pytest.mark.parametrize("count", [1, 3, 100])
    def test_num_executions_is_their_number(self, fresh: Any, count: int) -> None:
        runs = details(num_executions=count)["next_runs"]
        dates = [run["logical_date"] for run in runs]
        assert len(dates) == count
        assert dates == sorted(dates)
        assert all(run["run_after"] >= run["data_interval_end"] for run in runs)

    def test_a_dag_without_a_schedule_has_none(self, fresh: Any) -> None:
        response = details("mapped", num_executions=3)
        assert (response["next_runs"], response["next_dagrun"]) == ([], None)

    @pytest.mark.parametrize("count", [0, 101, -1, 1.5, "x"])
    def test_an_invalid_number_is_an_error(self, fresh: Any, count: Any) -> None:
        with pytest.raises(errors.Invalid) as caught:
            details(num_executions=count)
        assert list(caught.value.errors) == ["num_executions"]

    def test_the_first_is_next_dagrun(self, fresh: Any) -> None:
        """If next_dagrun is null, as after the last run, there is none."""
        from airflow.models.dag import DagModel
        from sqlalchemy import select, update

        names = (
            "next_dagrun",
            "next_dagrun_data_interval_start",
            "next_dagrun_data_interval_end",
            "next_dagrun_create_after",
        )
        with session() as opened:
            columns = [getattr(DagModel, name) for name in names]
            before = opened.execute(select(*columns).where(DagModel.dag_id == "wire_dag")).one()
            opened.execute(update(DagModel).where(DagModel.dag_id == "wire_dag").values(**dict.fromkeys(names)))
        try:
            assert details(num_executions=3)["next_runs"] == []
        finally:
            with session() as opened:
                again = dict(zip(names, before))
                opened.execute(update(DagModel).where(DagModel.dag_id == "wire_dag").values(**again))


def test_the_dag_must_be_in_subdir(fresh: Any) -> None:
    assert details(subdir="DAGS_FOLDER/wire_dag.py")["dag_id"] == "wire_dag"
    with pytest.raises(errors.DagNotBelow):
        details(subdir="DAGS_FOLDER/shapes.py")


def test_an_unknown_dag_is_404(web: Any) -> None:
    assert_problem(web.typed("dag_details", dag_id="nope"), 404)


def test_no_file_is_parsed_and_the_number_of_queries_is_fixed(fresh: Any, mocker: Any) -> None:
    dagbag = "airflow.dag_processing.dagbag" if version() >= (3, 2) else "airflow.models.dagbag"
    mocker.patch(f"{dagbag}.DagBag.process_file", side_effect=AssertionError("parsed"))
    with statements() as few:
        details("mapped")
    with statements() as many:
        details("wire_dag", num_executions=100)
    assert len(few) == len(many) <= 4
