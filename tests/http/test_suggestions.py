"""Advice in errors: the name that was probably meant, the file of a DAG, an argument that helps."""

from __future__ import annotations

import difflib
import shutil
from typing import Any, Iterator

import pytest

import native_api
from native_api import errors
from native_api.suggestions import nearest
from tests.support.airflow_under_test import BROKEN, DAGS, copy_dag, session, store_import_error
from tests.support.auth_managers import USER
from tests.support.problems import assert_envelope, assert_problem


class TestSimilarNames:
    @pytest.mark.parametrize("asked", ["dags_list", "list-dags", "listDags", "list_dag", "LIST_DAGS"])
    def test_an_unknown_operation_gets_the_nearest_name(self, web: Any, asked: str) -> None:
        response = web.request("GET", f"/native_api/v1/{asked}")
        assert_problem(response, 404)
        assert response.json["nearest"] == "list_dags"
        assert "did you mean 'list_dags'?" in response.json["detail"]
        with pytest.raises(errors.OperationNotFound, match="list_dags"):
            native_api.call(asked)

    def test_a_name_without_similarity_gets_none(self, web: Any) -> None:
        response = web.request("GET", "/native_api/v1/xyzzy")
        assert "nearest" not in response.json
        assert "did you mean" not in response.json["detail"]

    def test_an_unknown_argument_of_a_body_gets_the_nearest_name(self, web: Any) -> None:
        response = web.typed("pause_dag", **{"dag-id": "wire_dag"})
        assert_problem(response, 422)
        assert response.json["errors"]["dag-id"] == ["Unknown field; did you mean 'dag_id'?"]

    def test_at_most_100_unknown_arguments_are_named(self, web: Any) -> None:
        """A body can have a million arguments; they cost no more than to read them."""
        unknown = {f"k{number}": number for number in range(5000)}
        response = web.typed("pause_dag", dag_id="wire_dag", **unknown)
        assert_problem(response, 422)
        assert 1 < len(response.json["errors"]) <= 100
        assert set(response.json["errors"]) <= set(unknown)

    def test_an_unknown_argument_of_a_query_is_named_if_another_is_missing(self, web: Any) -> None:
        response = web.typed("dag_state", dag_id="wire_dag", **{"execution-date": "2026-11-01", "other": "x"})
        assert_problem(response, 422)
        assert response.json["errors"]["execution-date"] == ["Unknown field; did you mean 'execution_date'?"]
        assert "other" not in response.json["errors"]

    def test_an_unknown_argument_of_the_old_protocol_gets_the_nearest_name(self, web: Any) -> None:
        warning = web.legacy("list_tasks", dag_id="wire_dag", tres="on").json["warning"]
        assert warning.endswith("; did you mean 'tree'?")

    def test_an_unknown_legacy_name_gets_the_nearest_name(self, web: Any) -> None:
        response = web.legacy("list_dag")
        assert_envelope(response, 400)
        assert response.json["output"] == "API 'list_dag' was not found; did you mean 'list_dags'?"

    @pytest.mark.parametrize(
        "operation, arguments, field, meant",
        [
            ("list_dags", {"order_by": "dagid"}, "order_by", "dag_id"),
            ("set_dag_run_state", {"dag_id": "d", "run_id": "r", "state": "sucess"}, "state", "success"),
            ("list_dag_runs", {"state": ["sucess"]}, "state", "success"),
        ],
    )
    def test_an_unknown_value_gets_the_nearest_one(
        self, fresh: Any, operation: str, arguments: Any, field: str, meant: str
    ) -> None:
        with pytest.raises(errors.Invalid) as caught:
            native_api.call(operation, **arguments)
        (sentence,) = caught.value.errors[field]
        assert sentence.endswith(f"did you mean '{meant}'?")

    def test_the_words_to_compare_are_limited_in_length_and_number(self, web: Any, mocker: Any) -> None:
        compared = mocker.spy(difflib, "get_close_matches")
        assert nearest("list_dags" * 100_000, ["list_dags"]) is None
        assert compared.call_count == 0
        unknown = {f"dag_{number}": "x" for number in range(1000)}
        with pytest.raises(errors.Invalid):
            native_api.call("pause_dag", **unknown)
        assert compared.call_count <= 50


class TestADagThatIsNotFound:
    """Its file can have an import error, which the error names to callers who can read it."""

    @pytest.fixture(autouse=True)
    def files(self, web: Any) -> Iterator[None]:
        folder = DAGS / BROKEN
        folder.mkdir()
        (folder / "new.py").write_text("from airflow import DAG\n\nDAG('brand_new')\nraise RuntimeError\n")
        self.new = store_import_error("new.py")
        yield
        shutil.rmtree(folder)

    def test_the_file_of_a_new_dag_is_named(self, web: Any) -> None:
        response = web.typed("trigger_dag", dag_id="brand_new")
        assert_problem(response, 404)
        assert (response.json["code"], response.json["import_error"]) == ("dag_not_found", self.new)
        assert self.new in response.json["detail"]
        assert web.typed("refresh_dag", dag_id="brand_new").json["import_error"] == self.new
        assert self.new in web.legacy("trigger_dag", dag_id="brand_new").json["output"]

    def test_the_file_of_a_stale_dag_is_named(self, web: Any) -> None:
        from airflow.models.dag import DagModel
        from sqlalchemy import delete, update

        copy_dag("was")
        gone = store_import_error("was.py", "was")
        try:
            with session() as opened:
                values = {"is_stale": True} if hasattr(DagModel, "is_stale") else {"is_active": False}
                was = update(DagModel).where(DagModel.dag_id == "was").values(**values)
                opened.execute(was.execution_options(synchronize_session=False))
            assert web.typed("list_tasks", dag_id="was").json["import_error"] == gone
        finally:
            with session() as opened:
                was = delete(DagModel).where(DagModel.dag_id == "was")
                opened.execute(was.execution_options(synchronize_session=False))

    def test_an_unrelated_import_error_is_not_named(self, web: Any) -> None:
        response = web.typed("list_tasks", dag_id="brand_newer")
        assert response.json["detail"] == "The DAG ID 'brand_newer' does not exist"

    def test_a_caller_without_permission_does_not_get_the_file(self, web: Any, mocker: Any) -> None:
        may = web.typed("list_tasks", login="viewer", dag_id="brand_new")
        assert may.json["import_error"] == self.new
        mocker.patch(f"{USER}.dag_ids", return_value={"wire_dag"})
        response = web.typed("list_tasks", login="viewer", dag_id="brand_new")
        assert "import_error" not in response.json
        assert "new.py" not in response.text


def test_the_error_of_trigger_dag_names_the_file_with_import_errors(web: Any) -> None:
    from airflow.models.dag import DagModel
    from sqlalchemy import delete, update

    copy_dag("loaded_once")
    try:
        with session() as opened:
            broken = update(DagModel).where(DagModel.dag_id == "loaded_once").values(has_import_errors=True)
            opened.execute(broken.execution_options(synchronize_session=False))
        response = web.typed("trigger_dag", dag_id="loaded_once")
        assert_problem(response, 409)
        assert response.json["fileloc"].endswith("wire_dag.py")
        assert response.json["fileloc"] in response.json["detail"]
    finally:
        with session() as opened:
            was = delete(DagModel).where(DagModel.dag_id == "loaded_once")
            opened.execute(was.execution_options(synchronize_session=False))


def test_the_error_of_an_existing_file_names_force() -> None:
    assert "force replaces it" in str(errors.DagFileExists("a.py", "host"))
