"""list_dags, pause_dag, unpause_dag."""

from __future__ import annotations

import os
from typing import Any, List

import pytest

import native_api
from native_api import errors
from tests.support import airflow_under_test
from tests.support.dag_files import set_import_error
from tests.support.problems import assert_problem
from tests.support.queries import statements

DAGS = airflow_under_test.DAGS


def ids(**arguments: Any) -> List[str]:
    return [dag["dag_id"] for dag in native_api.call("list_dags", **arguments)["dags"]]


@pytest.fixture
def import_error(fresh: Any) -> Any:
    set_import_error("failing")
    yield
    set_import_error("")


class TestList:
    def test_a_dag_has_the_fields_of_its_row(self, fresh: Any) -> None:
        (dag,) = native_api.call("list_dags", dag_id_pattern="wire_dag")["dags"]
        assert dag["fileloc"] == str(DAGS / "wire_dag.py")
        assert dag["owners"] == ["ada"]
        assert dag["tags"] == ["etl", "wire"]
        assert dag["is_paused"] is True
        assert dag["is_active"] is True
        assert dag["has_import_errors"] is False
        assert dag["next_dagrun"].endswith("+00:00")

    def test_dags_can_have_unicode_ids_and_tags(self, fresh: Any) -> None:
        (dag,) = native_api.call("list_dags", tags=["ümläut"])["dags"]
        assert (dag["dag_id"], dag["description"]) == ("unicodé_dåg", "Grüße, 世界")

    def test_the_pages_contain_every_dag_once_and_in_order(self, fresh: Any) -> None:
        whole = ids(limit=1000)
        total = native_api.call("list_dags", limit=1)["total_entries"]
        pages = [dag_id for offset in range(0, total, 7) for dag_id in ids(limit=7, offset=offset)]
        assert pages == whole == sorted(whole)
        assert len(whole) == total

    def test_order_by_can_be_descending(self, fresh: Any) -> None:
        assert ids(order_by="-dag_id", limit=1000) == sorted(ids(limit=1000), reverse=True)

    @pytest.mark.parametrize(
        "arguments, expected",
        [
            pytest.param({"tags": ["shapes"]}, ["grouped", "mapped"], id="one tag"),
            pytest.param({"tags": ["shapes", "etl"]}, ["grouped", "mapped", "wire_dag"], id="any of the tags"),
            pytest.param({"owner": "bob"}, ["templated"], id="first of two owners"),
            pytest.param({"owner": "ada"}, ["templated", "wire_dag"], id="owner, alone or last"),
            pytest.param({"owner": "ad"}, [], id="part of an owner"),
            pytest.param({"owner": "%"}, [], id="no pattern in an owner"),
            pytest.param({"dag_id_pattern": "wire"}, ["wire_dag"], id="part of the id"),
            pytest.param({"dag_id_pattern": "w_re%g"}, ["wire_dag"], id="pattern of the id"),
            pytest.param({"fileloc": str(DAGS / "wire_dag.py")}, ["wire_dag"], id="file"),
            pytest.param({"fileloc": "/nowhere.py"}, [], id="no such file"),
            pytest.param({"subdir": str(DAGS / "wire_dag.py")}, ["wire_dag"], id="subdir is a file"),
            pytest.param({"subdir": "DAGS_FOLDER/wire_dag.py"}, ["wire_dag"], id="the word DAGS_FOLDER"),
            pytest.param({"subdir": "wire_dag.py"}, ["wire_dag"], id="relative to the DAGs folder"),
            pytest.param({"subdir": str(DAGS), "tags": ["wire"]}, ["wire_dag"], id="subdir is the folder"),
            pytest.param({"subdir": str(DAGS / "wire")}, [], id="subdir is no prefix of names"),
        ],
    )
    def test_a_filter_selects_dags(self, fresh: Any, arguments: Any, expected: List[str]) -> None:
        assert ids(**arguments) == expected

    def test_paused_selects_by_the_pause_state(self, fresh: Any) -> None:
        native_api.call("unpause_dag", dag_id="wire_dag")
        assert ids(paused=False) == ["wire_dag"]
        assert "wire_dag" not in ids(paused=True, limit=1000)

    def test_has_import_errors_selects_by_import_errors(self, import_error: Any) -> None:
        assert ids(has_import_errors=True) == ["failing"]
        assert "failing" not in ids(has_import_errors=False, limit=1000)

    def test_a_stale_dag_is_not_found(self, fresh: Any, stale: str) -> None:
        assert stale not in ids(limit=1000)
        with pytest.raises(errors.DagNotFound):
            native_api.call("pause_dag", dag_id=stale)

    @pytest.mark.parametrize("subdir", ["/etc", "..", "DAGS_FOLDER/../..", "/"])
    def test_a_subdir_outside_of_the_dag_folders_is_forbidden(self, fresh: Any, subdir: str) -> None:
        with pytest.raises(errors.OutsideFolders):
            native_api.call("list_dags", subdir=subdir)

    def test_a_symlink_out_of_the_dag_folders_is_forbidden(self, fresh: Any) -> None:
        link = DAGS / "leads_outside"
        os.symlink("/etc", link)
        try:
            with pytest.raises(errors.OutsideFolders):
                native_api.call("list_dags", subdir="leads_outside")
        finally:
            link.unlink()

    @pytest.mark.parametrize(
        "arguments, field",
        [
            ({"limit": 0}, "limit"),
            ({"limit": "x"}, "limit"),
            ({"offset": -1}, "offset"),
            ({"order_by": "fileloc; drop table dag"}, "order_by"),
            ({"paused": "maybe"}, "paused"),
        ],
    )
    def test_an_invalid_argument_is_an_error(self, fresh: Any, arguments: Any, field: str) -> None:
        with pytest.raises(errors.Invalid) as caught:
            native_api.call("list_dags", **arguments)
        assert list(caught.value.errors) == [field]

    def test_page_limit_and_page_limit_maximum_apply(self, fresh: Any, monkeypatch: Any) -> None:
        monkeypatch.setenv("AIRFLOW__NATIVE_API__PAGE_LIMIT", "3")
        monkeypatch.setenv("AIRFLOW__NATIVE_API__PAGE_LIMIT_MAXIMUM", "5")
        assert (len(ids()), len(ids(limit=4)), len(ids(limit=5))) == (3, 4, 5)
        with pytest.raises(errors.Invalid, match=r"at most 5, .*page_limit_maximum"):
            ids(limit=6)

    def test_a_limit_above_the_maximum_is_invalid(self, web: Any) -> None:
        """The error has the maximum. A list of the old protocol is complete."""
        response = web.typed("list_dags", limit=99999)
        assert_problem(response, 422)
        assert "1000" in response.json["errors"]["limit"][0]

    def test_a_list_of_the_old_protocol_is_complete(self, web: Any, monkeypatch: Any) -> None:
        monkeypatch.setenv("AIRFLOW__NATIVE_API__PAGE_LIMIT_MAXIMUM", "2")
        assert len(web.legacy("list_dags").json["result"]["dags"]) > 2

    def test_the_number_of_queries_is_fixed(self, fresh: Any) -> None:
        """The rows, their tags and, unless the page has all, their number are read; no DAG is deserialized."""
        counts = []
        for limit in (1, 1000):
            with statements() as seen:
                native_api.call("list_dags", limit=limit)
            counts.append(len(seen))
            assert not any("serialized_dag" in statement for statement in seen)
        assert counts == [3, 2]

    def test_tags_can_be_repeated_in_a_query_string(self, web: Any) -> None:
        response = web.request("GET", "/native_api/v1/list_dags", query="tags=shapes&tags=etl&paused=on")
        assert [dag["dag_id"] for dag in response.json["dags"]] == ["grouped", "mapped", "wire_dag"]


@pytest.fixture
def stale(fresh: Any) -> Any:
    """Return the id of a DAG that is no longer in its file."""
    from airflow.models.dag import DagModel
    from sqlalchemy import update

    def mark(gone: bool) -> None:
        values = {"is_stale": gone} if hasattr(DagModel, "is_stale") else {"is_active": not gone}
        with fresh.session() as session:
            session.execute(
                update(DagModel)
                .where(DagModel.dag_id == "grouped")
                .values(**values)
                .execution_options(synchronize_session=False)
            )

    mark(True)
    yield "grouped"
    mark(False)


class TestPause:
    @pytest.mark.parametrize("operation, is_paused", [("pause_dag", True), ("unpause_dag", False)])
    def test_it_sets_the_pause_state(self, fresh: Any, operation: str, is_paused: bool) -> None:
        """Also if it is set already."""
        for _ in range(2):
            assert native_api.call(operation, dag_id="unicodé_dåg") == {"dag_id": "unicodé_dåg", "is_paused": is_paused}
            assert ids(paused=is_paused, dag_id_pattern="unicod") == ["unicodé_dåg"]

    def test_other_dags_are_unchanged(self, fresh: Any) -> None:
        native_api.call("unpause_dag", dag_id="wire_dag")
        assert ids(paused=False, limit=1000) == ["wire_dag"]

    def test_an_unknown_dag_is_not_found(self, fresh: Any) -> None:
        with pytest.raises(errors.DagNotFound) as caught:
            native_api.call("pause_dag", dag_id="nope")
        assert caught.value.problem()["dag_id"] == "nope"

    def test_the_dag_must_be_in_subdir(self, fresh: Any) -> None:
        assert native_api.call("pause_dag", dag_id="wire_dag", subdir="wire_dag.py")
        with pytest.raises(errors.DagNotBelow):
            native_api.call("pause_dag", dag_id="wire_dag", subdir="shapes.py")

    def test_a_subdag_is_paused_with_its_parent(self, fresh: Any, airflow: Any) -> None:
        """On Airflow 2."""
        if airflow.version() >= (3, 0):
            pytest.skip("SubDAGs went with Airflow 3.0")
        native_api.call("unpause_dag", dag_id="example_subdag_operator")
        unpaused = ids(paused=False, limit=1000)
        assert unpaused == [
            "example_subdag_operator",
            "example_subdag_operator.section-1",
            "example_subdag_operator.section-2",
        ]
