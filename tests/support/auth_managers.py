"""An auth manager like those of AWS and Keycloak, with permissions on single resources, and one to list them."""

from __future__ import annotations

from typing import Any, Callable, Optional

from tests.support import airflow_under_test

#: Says whether the user has the right: method, id, team.
#: The class whose methods say what a user of Airflow is allowed to do, for ``mocker.patch``.
USER = "native_api.adapters.compat.interface.rights.User"

Decide = Callable[[str, Optional[str], Optional[str]], bool]


def with_rights_on(*names: str) -> Decide:
    """Allow everything on these, and the permission to list all."""
    return lambda method, name, team: name in names or (name is None and method == "GET")


def stand_in(mocker: Any, decide: Decide) -> None:
    """Let the auth manager decide so about DAGs and their resources, for users of any role."""
    mocker.patch("native_api.adapters.compat.interface.rights.Rights._is_manager", return_value=False)
    if airflow_under_test.version() < (2, 8):
        # FAB's security manager decides there, and there are no other managers.
        rights = "native_api.adapters.compat.airflow2.rights.Rights27"
        mocker.patch(f"{rights}.may", lambda self, user, access, identifier: decide(access.method, identifier, None))
        mocker.patch(f"{rights}.dag_ids", lambda self, user: _known(lambda dag_id: decide("GET", dag_id, None)))
        return
    if airflow_under_test.version() < (3, 0):
        from airflow.www.extensions.init_auth_manager import get_auth_manager
    else:
        from airflow.api_fastapi.app import get_auth_manager
    manager = type(get_auth_manager())

    def is_authorized_dag(
        self: Any, *, method: str, user: Any = None, access_entity: Any = None, details: Any = None
    ) -> bool:
        return decide(method, getattr(details, "id", None), getattr(details, "team_name", None))

    mocker.patch.object(manager, "is_authorized_dag", is_authorized_dag)
    if airflow_under_test.version() < (3, 0):
        permitted = lambda self, *, methods, user: _known(lambda dag_id: decide(methods[0], dag_id, None))  # noqa: E731
        mocker.patch.object(manager, "get_permitted_dag_ids", permitted)
    else:
        from airflow.api_fastapi.auth.managers.base_auth_manager import BaseAuthManager

        for name in ("get_authorized_dag_ids", "filter_authorized_dag_ids"):
            mocker.patch.object(manager, name, getattr(BaseAuthManager, name))


def _known(allowed: Callable[[str], bool]) -> Any:
    from airflow.models.dag import DagModel
    from sqlalchemy import select

    with airflow_under_test.session() as session:
        return {dag_id for dag_id in session.scalars(select(DagModel.dag_id)) if allowed(dag_id)}
