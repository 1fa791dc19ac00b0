"""list_import_errors."""

from __future__ import annotations

from typing import Any, Iterator

import pytest

import native_api
from native_api import errors, registry
from native_api.adapters.compat import airflow
from tests.support.airflow_under_test import BROKEN, copy_dag, session, store_import_error, version
from tests.support.auth_managers import USER
from tests.support.queries import statements


def listed(**arguments: Any) -> Any:
    return native_api.call("list_import_errors", **{"filename_pattern": BROKEN, **arguments})["import_errors"]


def named(response: Any) -> Any:
    """Return the stack traces by file name."""
    found = response.json["import_errors"]
    assert response.json["total_entries"] == len(found)
    return {error["filename"].rsplit("/", 1)[-1]: error["stack_trace"] for error in found}


def test_it_returns_the_stored_import_errors(web: Any) -> None:
    filename = store_import_error("a.py")
    (error,) = listed()
    assert isinstance(error.pop("import_error_id"), int)
    assert isinstance(error.pop("bundle_name"), str if version() >= (3, 0) else type(None))
    assert error == {
        "timestamp": "2026-11-01T00:00:00+00:00",
        "filename": filename,
        "stack_trace": "Traceback of a.py",
    }


def test_it_has_pages_an_order_and_a_pattern(fresh: Any) -> None:
    for name in ("b.py", "a.py", "c_1.py"):
        store_import_error(name)

    def names(**arguments: Any) -> Any:
        return [error["filename"].rsplit("/", 1)[-1] for error in listed(**arguments)]

    assert names() == ["b.py", "a.py", "c_1.py"]
    assert names(order_by="-filename", limit=2) == ["c_1.py", "b.py"]
    assert names(order_by="filename", offset=1) == ["b.py", "c_1.py"]
    assert names(filename_pattern=f"{BROKEN}/c_1") == ["c_1.py"]


@pytest.mark.skipif(version() < (3, 0), reason="Bundles came with Airflow 3.0.")
def test_bundle_selects_import_errors(fresh: Any) -> None:
    store_import_error("a.py")
    (error,) = listed()
    assert listed(bundle=error["bundle_name"]) == [error]
    assert listed(bundle="another") == []
    words = registry.get("list_import_errors").command({"bundle": "another"})
    assert words == ["dags", "list-import-errors", "--bundle-name", "another"]


@pytest.mark.skipif(version() >= (3, 0), reason="Airflow 3 has bundles.")
def test_bundle_is_invalid_on_airflow_2(fresh: Any) -> None:
    with pytest.raises(errors.Invalid) as caught:
        listed(bundle="dags-folder")
    assert list(caught.value.errors) == ["bundle"]


@pytest.mark.skipif(version() < (2, 8), reason="The auth manager has no is_authorized_* before 2.8.")
def test_it_requires_airflows_permission_on_import_errors(web: Any, mocker: Any) -> None:
    manager = type(airflow().rights._auth_manager())
    asked = mocker.patch.object(manager, "is_authorized_view", side_effect=lambda **about: allowed)
    for allowed in (True, False):
        response = web.typed("list_import_errors", login="viewer")
        assert {call.kwargs["access_view"].name for call in asked.call_args_list} == {"IMPORT_ERRORS"}
        assert response.status == (200 if allowed else 403)
    assert response.json["permission"] == "read the import errors"


class TestReadersOfSomeDags:
    @pytest.fixture(autouse=True)
    def files(self, web: Any, mocker: Any) -> Iterator[None]:
        """Create files with one readable DAG, with another DAG, too, with only that, and with none."""
        for dag_id in ("own", "shared", "others_too", "others"):
            copy_dag(dag_id)
        store_import_error("own.py", "own")
        store_import_error("shared.py", "shared")
        store_import_error("others.py", "others")
        store_import_error("none.py")
        _move("others_too", "shared")
        self.allowed = {"own", "shared"}
        mocker.patch(f"{USER}.dag_ids", lambda user, access: self.allowed)
        yield
        from airflow.models.dag import DagModel
        from sqlalchemy import delete

        with session() as opened:
            own = delete(DagModel).where(DagModel.dag_id.in_(["own", "shared", "others_too", "others"]))
            opened.execute(own.execution_options(synchronize_session=False))

    def test_they_see_import_errors_of_readable_dags_only(self, web: Any) -> None:
        """No stack trace if another DAG is in the file, and no file without DAGs."""
        response = web.typed("list_import_errors", login="viewer", filename_pattern=BROKEN)
        assert named(response) == {"own.py": "Traceback of own.py", "shared.py": None}

    def test_readers_of_all_dags_see_all_import_errors(self, web: Any) -> None:
        self.allowed = {dag["dag_id"] for dag in native_api.call("list_dags", limit=1000)["dags"]}
        with session() as opened:
            from airflow.models.dag import DagModel
            from sqlalchemy import select

            self.allowed |= set(opened.scalars(select(DagModel.dag_id)))
        response = web.typed("list_import_errors", login="viewer", filename_pattern=BROKEN)
        assert named(response) == {name: f"Traceback of {name}" for name in NAMES}
        assert [error["filename"].rsplit("/", 1)[-1] for error in listed()] == NAMES

    def test_the_number_of_queries_is_fixed(self, web: Any) -> None:
        def count() -> int:
            with statements() as seen:
                web.typed("list_import_errors", login="viewer", filename_pattern=BROKEN)
            return len([statement for statement in seen if "FROM import_error" in statement])

        few = count()
        for number in range(20):
            store_import_error(f"more{number}.py")
        self.allowed |= {"others", "others_too"}
        assert (few, count()) == (1, 1)


NAMES = ["own.py", "shared.py", "others.py", "none.py"]


def _move(dag_id: str, other: str) -> None:
    """Move a DAG to the file of another one."""
    from airflow.models.dag import DagModel
    from sqlalchemy import select, update

    names = ("relative_fileloc", "bundle_name", "fileloc") if version() >= (3, 0) else ("fileloc",)
    with session() as opened:
        place = opened.execute(
            select(*(getattr(DagModel, name) for name in names)).where(DagModel.dag_id == other)
        ).one()
        moved = update(DagModel).where(DagModel.dag_id == dag_id).values(**dict(zip(names, place)))
        opened.execute(moved.execution_options(synchronize_session=False))
