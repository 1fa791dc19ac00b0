"""Which DAGs a list has: the auth manager is asked for their ids only if the caller may not read all."""

from __future__ import annotations

from typing import Any, Set

import pytest

from tests.support import airflow_under_test

pytestmark = pytest.mark.skipif(airflow_under_test.version() < (3, 0), reason="Airflow 2 has another auth manager.")


@pytest.fixture
def manager(web: Any) -> Any:
    from airflow.api_fastapi.app import get_auth_manager

    return get_auth_manager()


def listed(web: Any, login: str) -> Set[str]:
    return {dag["dag_id"] for dag in web.typed("list_dags", login=login, dag_id_pattern="wire_%").json["dags"]}


@pytest.mark.parametrize("operation", ["list_dags", "list_dag_runs", "list_task_instances", "list_import_errors"])
def test_who_can_read_all_dags_needs_no_ids(web: Any, manager: Any, mocker: Any, operation: str) -> None:
    """With 10,000 DAGs the ids take most of the time."""
    asked = mocker.spy(type(manager), "get_authorized_dag_ids")
    assert web.typed(operation, login="viewer").status == 200
    assert not asked.called


def test_an_auth_manager_that_extends_airflows_decides_for_each_dag(web: Any, manager: Any, monkeypatch: Any) -> None:
    """Although it allows what it is asked about all DAGs."""

    class Closed(type(manager)):  # type: ignore[misc]
        def is_authorized_dag(self, *, details: Any = None, **about: Any) -> bool:
            return getattr(details, "id", None) != "wire_dag" and super().is_authorized_dag(details=details, **about)

        def get_authorized_dag_ids(self, **about: Any) -> Set[str]:
            return super().get_authorized_dag_ids(**about) - {"wire_dag"}

    assert "wire_dag" in listed(web, "viewer")
    monkeypatch.setattr(manager, "__class__", Closed)
    assert "wire_dag" not in listed(web, "viewer")
