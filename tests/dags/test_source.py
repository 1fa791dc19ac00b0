"""dag_source."""

from __future__ import annotations

from typing import Any

import pytest

import native_api
from native_api import errors
from native_api.dispatch import call
from native_api.permissions import Caller
from tests.support import airflow_under_test

WIRE_DAG = airflow_under_test.DAGS / "wire_dag.py"
HAS_VERSIONS = airflow_under_test.version() >= (3, 0)


def source(**arguments: Any) -> Any:
    return native_api.call("dag_source", **{"dag_id": "wire_dag", **arguments})


def test_it_returns_the_stored_code(fresh: Any) -> None:
    response = source()
    assert response["source"] == WIRE_DAG.read_text(encoding="utf-8")
    assert (response["dag_id"], response["fileloc"]) == ("wire_dag", str(WIRE_DAG))
    assert response["last_updated"].endswith("+00:00")
    assert response["version_number"] == (1 if HAS_VERSIONS else None)


def test_the_file_is_not_read(fresh: Any, mocker: Any) -> None:
    """Code that Airflow has not stored yet is not returned, and the file can be missing."""
    opened = mocker.patch("builtins.open", side_effect=AssertionError)
    assert "wire_dag" in source()["source"]
    assert not opened.called


@pytest.mark.skipif(not HAS_VERSIONS, reason="Airflow 2 keeps no versions of a DAG")
class TestVersions:
    @pytest.fixture
    def second(self, fresh: Any) -> Any:
        """Store a second version of the DAG."""
        from airflow.models.dag_version import DagVersion
        from airflow.models.dagcode import DagCode

        with fresh.session() as session:
            version = DagVersion(dag_id="wire_dag", version_number=2, bundle_name="dags-folder")
            session.add(version)
            session.add(DagCode(version, str(WIRE_DAG), "# the second"))
        yield
        with fresh.session() as session:
            session.delete(session.get(DagVersion, version.id))

    def test_the_default_version_is_the_newest(self, second: Any) -> None:
        assert (source()["version_number"], source()["source"]) == (2, "# the second")
        first = source(version_number=1)
        assert (first["version_number"], first["source"]) == (1, WIRE_DAG.read_text(encoding="utf-8"))

    def test_an_unknown_version_is_not_found(self, second: Any) -> None:
        with pytest.raises(errors.CodeNotStored, match="in the version 3"):
            source(version_number=3)


@pytest.mark.skipif(HAS_VERSIONS, reason="Airflow 3 keeps versions of a DAG")
def test_airflow_2_refuses_a_version_with_advice(fresh: Any) -> None:
    with pytest.raises(errors.NotSupported, match="leave version_number out"):
        source(version_number=1)


def test_a_dag_without_stored_code_is_not_found(fresh: Any) -> None:
    from airflow.models.dag import DagModel
    from sqlalchemy import update

    fresh.copy_dag(fresh.COPY)
    with fresh.session() as session:
        elsewhere = update(DagModel).where(DagModel.dag_id == fresh.COPY).values(fileloc="/elsewhere.py")
        session.execute(elsewhere.execution_options(synchronize_session=False))
    with pytest.raises(errors.CodeNotStored, match=f"no code of the DAG '{fresh.COPY}'"):
        source(dag_id=fresh.COPY)


@pytest.mark.parametrize("version", [0, -1, 1.5, "x", 2**31])
def test_an_invalid_version_is_an_error(fresh: Any, version: Any) -> None:
    with pytest.raises(errors.Invalid):
        source(version_number=version)


def test_an_unknown_dag_is_not_found(fresh: Any) -> None:
    with pytest.raises(errors.DagNotFound):
        source(dag_id="nope")


class Reader(Caller):
    """A caller with all permissions on some DAGs."""

    name = "reader"

    def __init__(self, *dag_ids: str) -> None:
        self._dag_ids = set(dag_ids)

    def may(self, access: Any, identifier: Any = None) -> bool:
        return identifier in self._dag_ids

    def dag_ids(self, access: Any) -> Any:
        return self._dag_ids


def test_permission_on_all_dags_of_the_file_is_required(fresh: Any) -> None:
    """The error does not name the other DAGs."""
    wire = call("dag_source", {"dag_id": "wire_dag"}, caller=Reader("wire_dag"))
    assert "wire_dag" in wire.result["source"]
    with pytest.raises(errors.Forbidden, match="read all DAGs of the file") as refused:
        call("dag_source", {"dag_id": "mapped"}, caller=Reader("mapped"))
    assert "grouped" not in str(refused.value)
