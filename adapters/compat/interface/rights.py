"""Users and their rights."""

from __future__ import annotations

from abc import ABC, abstractmethod
from importlib import import_module
from typing import TYPE_CHECKING, Any, Callable, Dict, Iterable, Optional, Set

from sqlalchemy import select

from native_api import settings
from native_api.permissions import NON_USER_NAMES, Access, Caller, Resource

if TYPE_CHECKING:
    from flask import Request

    from native_api.adapters.compat.objects import User as AirflowUser


class User(Caller):
    """A user of Airflow, whose rights the auth manager decides."""

    def __init__(self, rights: Rights, user: Any) -> None:
        self._rights = rights
        self._user = user
        self.user_id = rights.id_of(user)
        self.identity = f"user {rights.identifier_of(user)}"
        name = rights.name_of(user)
        self.name = f"{name} ({self.identity})" if name in NON_USER_NAMES else name

    def may(self, access: Access, identifier: Optional[str] = None) -> bool:
        if access.resource.effect is not None:
            return self.is_administrator()
        return self._rights.may(self._user, access, identifier)

    def dag_ids(self, access: Access) -> Optional[Set[str]]:
        readable = self._rights.dag_ids(self._user)
        if access.resource is Resource.DAG or self.may(access):
            return readable
        # The right may be given for single DAGs, as FAB's "DAG Run:" permissions of 2.10 and later.
        dag_ids = self._rights.all_dag_ids() if readable is None else readable
        return {dag_id for dag_id in dag_ids if self.may(access, dag_id)}

    def dag_ids_among(self, accesses: Iterable[Access], dag_ids: Set[str]) -> Set[str]:
        for access in accesses:
            dag_ids = self._rights.dag_ids_among(self._user, access, dag_ids)
        return dag_ids

    def may_new(self, access: Access, bundle: Optional[str]) -> bool:
        return self._rights.may_new(self._user, access, bundle)

    def is_administrator(self) -> bool:
        return self._rights.is_administrator(self._user)

    def names(self, resource: Resource) -> Optional[Set[str]]:
        if resource.effect is not None:
            return None if self.is_administrator() else set()
        names = self._rights.names(self._user, resource)
        return set() if names is None and not self.may(Access(resource, "GET")) else names

    def bundles(self) -> Optional[Set[str]]:
        return self._rights.bundles(self._user)


#: A dag_id that no DAG has.
NO_DAG = "no DAG has this id"


#: The DagAccessEntity of each resource.
_ENTITIES = {
    Resource.DAG: None,
    Resource.DAG_RUN: "RUN",
    Resource.DAG_CODE: "CODE",
    Resource.TASK: "TASK",
    Resource.TASK_INSTANCE: "TASK_INSTANCE",
    Resource.TASK_LOG: "TASK_LOGS",
    Resource.XCOM: "XCOM",
}


class Rights(ABC):
    """Users and their rights."""

    #: Whether the CSRF token of a request can be a field of its form.
    proof_is_in_form: bool

    # Authentication

    @abstractmethod
    def by_authorization(self, request: Request) -> Caller:
        """
        Return the user that the ``Authorization`` header authenticates.

        :raises Unauthorized: it authenticates nobody.
        """

    @abstractmethod
    def by_session(self, request: Request) -> Caller:
        """
        Return the user of the login session.

        :raises Unauthorized: there is no session.
        """

    @abstractmethod
    def adds_authorization(self, request: Request) -> bool:
        """Return whether Airflow added the ``Authorization`` header, as Simple auth manager does for all admins."""

    @abstractmethod
    def require_same_site(self, request: Request) -> None:
        """
        Require that a page of another site cannot have sent a request.

        :raises CrossSiteRequest: neither ``Sec-Fetch-Site`` nor ``Origin`` says that it comes from Airflow's own pages.
        """

    @abstractmethod
    def login_url(self, request: Request, way_back: str) -> Optional[str]:
        """Return the URL of Airflow's login page, which redirects to *way_back*; None if the user is logged in."""

    @abstractmethod
    def csrf_token(self) -> Optional[str]:
        """Return what a page of Airflow's sends to prove that it is one, None where the browser says so."""

    @abstractmethod
    def keep_no_session(self) -> None:
        """Do not store a session for this request; Airflow 3 never does."""

    # Authorization

    def is_administrator(self, user: AirflowUser) -> bool:
        """Return whether the user is an administrator."""
        has_the_role = self._administers(user)
        # By id: with some auth managers users choose their own display names.
        return self.identifier_of(user) in settings.get("administrators") if has_the_role is None else has_the_role

    def _administers(self, user: Any) -> Optional[bool]:
        """Return whether the user has the role Admin; None if the roles of the auth manager are unknown."""
        # No auth manager has a method for this.
        if self._is_manager("FabAuthManager"):
            return "Admin" in {role.name for role in user.roles}
        if self._is_manager("SimpleAuthManager"):
            return str(user.role or "").upper() == "ADMIN"
        return None

    def _is_manager(self, *names: str) -> bool:
        """Return whether the auth manager is of one of these classes."""
        return not {kind.__name__ for kind in type(self._auth_manager()).__mro__}.isdisjoint(names)

    def may(self, user: Any, access: Access, identifier: Optional[str]) -> bool:
        """Return whether a user has access to the object with that identifier, or to all if it is None."""
        if not access.resource.of_a_dag:
            return self._may_thing(user, access, identifier)
        return self._may_dag(user, access, identifier, **self._team_of_dag(identifier))

    def _may_dag(self, user: AirflowUser, access: Access, dag_id: Optional[str], **team: object) -> bool:
        manager, details = self._auth_manager(), self._resource_details()
        name = _ENTITIES[access.resource]
        entity = getattr(details.DagAccessEntity, name) if name else None
        dag = details.DagDetails(id=dag_id, **team)
        return bool(
            self._asked(manager.is_authorized_dag, method=access.method, access_entity=entity, details=dag, user=user)
        )

    @abstractmethod
    def dag_ids_among(self, user: AirflowUser, access: Access, dag_ids: Set[str]) -> Set[str]:
        """Return those dag_ids to which a user has access."""

    @abstractmethod
    def may_new(self, user: AirflowUser, access: Access, bundle: Optional[str]) -> bool:
        """
        Return whether the user has the right on a DAG of the bundle that nobody has heard of.

        It is asked for by an id that no DAG has: asked about none, FAB is content with the right on a single one, and
        AWS's and Keycloak's managers with that to list them.
        """

    def _may_thing(self, user: AirflowUser, access: Access, identifier: Optional[str]) -> bool:
        """Return whether the user has the right on a resource without DAG; its class and field have the same names."""
        if access.resource is Resource.IMPORT_ERROR:
            view = self._resource_details().AccessView.IMPORT_ERRORS
            return bool(self._asked(self._auth_manager().is_authorized_view, access_view=view, user=user))
        noun, argument = access.resource.noun, access.resource.argument
        details = getattr(self._resource_details(), f"{noun.title()}Details")
        about = details(**{argument: identifier}, **self._team_of_thing(access.resource, identifier))
        question = getattr(self._auth_manager(), f"is_authorized_{noun}")
        return bool(self._asked(question, method=access.method, details=about, user=user))

    @abstractmethod
    def dag_ids(self, user: Any) -> Optional[Set[str]]:
        """Return the dag_ids that a user can read; None means all."""

    def all_dag_ids(self) -> Set[str]:
        """Return all dag_ids."""
        from airflow.models.dag import DagModel
        from airflow.utils.session import create_session

        with create_session() as session:
            return set(session.scalars(select(DagModel.dag_id)))

    def names(self, user: AirflowUser, resource: Resource) -> Optional[Set[str]]:
        """Return what names the things that the user may read; None where the right is on all of them or none."""
        # FAB and Simple know teams at most; AWS's and Keycloak's managers may give the right on a single thing, and
        # have Airflow's lists ask for it since 3.2.
        question = getattr(self._auth_manager(), f"get_authorized_{resource.noun}s", None)
        gives_single_ones = self.multi_team() or not self._is_manager("FabAuthManager", "SimpleAuthManager")
        if resource is Resource.IMPORT_ERROR or question is None or not gives_single_ones:
            return None
        return set(self._asked(question, user=user, method="GET"))

    def bundles(self, user: Any) -> Optional[Set[str]]:
        """Return the names of the bundles of the user's teams and of no team; None outside multi-team mode."""
        if not self.multi_team():
            return None
        from airflow.models.dagbundle import DagBundleModel
        from airflow.models.team import Team
        from airflow.utils.session import create_session

        with create_session() as session:
            teams = dict(session.execute(select(DagBundleModel.name, Team.name).outerjoin(DagBundleModel.teams)).all())
        question, details = self._auth_manager().is_authorized_dag, self._resource_details().DagDetails
        own = {
            team: bool(self._asked(question, method="GET", details=details(team_name=team), user=user))
            for team in set(teams.values())
        }
        return {name for name, team in teams.items() if own[team]}

    @abstractmethod
    def multi_team(self) -> bool:
        """Return whether multi-team mode is on."""

    def team_of(self, row: Any) -> Dict[str, Any]:
        """Return the argument team_name for Airflow's functions; they do not accept it outside multi-team mode."""
        name = getattr(row, "team_name", None)
        return {"team_name": name} if name and self.multi_team() else {}

    @abstractmethod
    def name_of(self, user: AirflowUser) -> str:
        """Return the display name of a user."""

    def identifier_of(self, user: AirflowUser) -> Optional[str]:
        """Return the unique id of a user in the auth manager; None for an anonymous user."""
        identifier = user.get_id()
        return None if identifier is None else str(identifier)

    @abstractmethod
    def id_of(self, user: AirflowUser) -> Any:
        """Return the id of a user as Airflow's notes store it."""

    # Airflow

    @abstractmethod
    def _auth_manager(self) -> Any: ...

    @abstractmethod
    def _asked(self, question: Callable[..., object], **about: object) -> Any: ...

    @abstractmethod
    def _resource_details(self) -> Any: ...

    def _team_of_dag(self, dag_id: Optional[str]) -> Dict[str, object]:
        if dag_id is None or not self.multi_team():
            return {}
        from airflow.models.dag import DagModel

        return {"team_name": DagModel.get_team_name(dag_id)}

    def _team_of_thing(self, resource: Resource, identifier: Optional[str]) -> Dict[str, object]:
        if identifier is None or not self.multi_team():
            return {}
        model = getattr(import_module(f"airflow.models.{resource.noun}"), resource.noun.title())
        return {"team_name": model.get_team_name(identifier)}
