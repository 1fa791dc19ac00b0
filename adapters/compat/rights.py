"""Users and their rights in Airflow 3: the auth manager, a JWT, the ``_token`` cookie."""

from __future__ import annotations

import asyncio
import contextvars
import functools
from importlib import import_module
from typing import TYPE_CHECKING, Any, Callable, Dict, Iterable, Optional, Set, Tuple
from urllib.parse import urlsplit

from native_api import settings
from native_api.errors import CrossSiteRequest, Unauthorized
from native_api.permissions import NAMES_OF_NO_USER, Access, Caller, Resource

if TYPE_CHECKING:
    from flask import Request

SIGN_IN = "No credentials were sent: send 'Authorization: Bearer <token>'; POST /auth/token gives a token."
NO_BEARER = "Airflow 3 takes 'Authorization: Bearer <token>' and no other scheme; POST /auth/token gives a token."
INVALID = "The token that was sent is not valid, or has expired; POST /auth/token gives another."


#: The scheme, the host and the port of a URL.
Origin = Tuple[str, str, Optional[int]]


def _origin(url: str) -> Optional[Origin]:
    """Return the origin of a URL, None where it has none."""
    try:
        parts = urlsplit(url)
        port = parts.port or {"http": 80, "https": 443}.get(parts.scheme)
    except ValueError:
        return None
    return (parts.scheme, parts.hostname, port) if parts.hostname else None


class User(Caller):
    """A user of Airflow, whose rights the auth manager decides."""

    def __init__(self, rights: Rights, user: Any) -> None:
        self._rights = rights
        self._user = user
        self.user_id = rights.id_of(user)
        self.identity = f"user {rights.identifier_of(user)}"
        name = rights.name_of(user)
        self.name = f"{name} ({self.identity})" if name in NAMES_OF_NO_USER else name

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


#: What no DAG has for its id.
NO_DAG = "no DAG has this id"

#: What the auth managers call the parts of a DAG.
_ENTITIES = {
    Resource.DAG: None,
    Resource.DAG_RUN: "RUN",
    Resource.DAG_CODE: "CODE",
    Resource.TASK: "TASK",
    Resource.TASK_INSTANCE: "TASK_INSTANCE",
    Resource.TASK_LOG: "TASK_LOGS",
    Resource.XCOM: "XCOM",
}


class Rights:
    """The newest Airflow, 3.3."""

    #: Whether what proves that a page of Airflow sent a request may be in its form.
    proof_is_in_form = False

    # Who is calling

    def by_authorization(self, request: Request) -> Caller:
        """
        Return the user whom the ``Authorization`` header names.

        :raises Unauthorized: it names nobody.
        """
        scheme, _, token = request.headers["Authorization"].split(",")[0].strip().partition(" ")
        if scheme.lower() != "bearer":
            raise Unauthorized(NO_BEARER, "Bearer")
        return self._user_of(token.strip())

    def by_session(self, request: Request) -> Caller:
        """
        Return the user of the browser's session.

        :raises Unauthorized: there is no session.
        """
        from airflow.api_fastapi.auth.managers.base_auth_manager import COOKIE_NAME_JWT_TOKEN

        token = request.cookies.get(COOKIE_NAME_JWT_TOKEN)
        if token:
            return self._user_of(token)
        public = self._public_user()
        if public is None:
            raise Unauthorized(SIGN_IN, "Bearer")
        return User(self, public)

    def adds_authorization(self, request: Request) -> bool:
        """Return whether Airflow itself put the ``Authorization`` header there: Simple's all-admins mode does."""
        from airflow.configuration import conf

        # The header that the client sent comes first; Airflow appends its own.
        return (
            self._auth_manager().__class__.__name__ == "SimpleAuthManager"
            and conf.getboolean("core", "simple_auth_manager_all_admins", fallback=False)
            and "," not in request.headers.get("Authorization", "")
        )

    def require_same_site(self, request: Request) -> None:
        """
        Raise where the request may have been sent by a page of another site.

        :raises CrossSiteRequest: neither ``Sec-Fetch-Site`` nor ``Origin`` says that it comes from Airflow's own pages.
        """
        fetch_site = request.headers.get("Sec-Fetch-Site", "same-origin")
        # A browser that sends one with a POST sends the other; "same" is the same as the host that it was told.
        origin = request.headers.get("Origin", request.host_url if "Sec-Fetch-Site" in request.headers else "")
        if fetch_site == "same-origin" and _origin(origin) == self._own_origin(request):
            return
        raise CrossSiteRequest(
            "Changing something with a credential that browsers send by themselves needs a POST whose Sec-Fetch-Site "
            "or Origin header says that it comes from Airflow's own pages; programs send an Authorization header."
        )

    def keep_no_session(self) -> None:
        """Keep this request from leaving a session behind; Airflow 3 leaves none."""

    # What they may do

    def is_administrator(self, user: Any) -> bool:
        """Return whether the user is an administrator."""
        has_the_role = self._administers(user)
        # By id: with some auth managers people choose the names that they are shown by.
        return self.identifier_of(user) in settings.get("administrators") if has_the_role is None else has_the_role

    def _administers(self, user: Any) -> Optional[bool]:
        """Return whether the user has the role Admin; None where the auth manager's roles are unknown."""
        # No auth manager says who its administrators are.
        if self._is_manager("FabAuthManager"):
            return "Admin" in {role.name for role in user.roles}
        if self._is_manager("SimpleAuthManager"):
            return str(user.role or "").upper() == "ADMIN"
        return None

    def _is_manager(self, *names: str) -> bool:
        """Return whether the auth manager is of one of these classes."""
        return not {kind.__name__ for kind in type(self._auth_manager()).__mro__}.isdisjoint(names)

    def may(self, user: Any, access: Access, identifier: Optional[str]) -> bool:
        """Return whether the user has the right, on the thing with that identifier or on every one."""
        if not access.resource.of_a_dag:
            return self._may_thing(user, access, identifier)
        return self._may_dag(user, access, identifier, **self._team_of_dag(identifier))

    def _may_dag(self, user: Any, access: Access, dag_id: Optional[str], **team: Any) -> bool:
        manager, details = self._auth_manager(), self._resource_details()
        name = _ENTITIES[access.resource]
        entity = getattr(details.DagAccessEntity, name) if name else None
        dag = details.DagDetails(id=dag_id, **team)
        return bool(
            self._asked(manager.is_authorized_dag, method=access.method, access_entity=entity, details=dag, user=user)
        )

    def dag_ids_among(self, user: Any, access: Access, dag_ids: Set[str]) -> Set[str]:
        """Return those of the DAGs on which the user has the right."""
        allowed: Set[str] = set()
        for team, of_team in self._by_team(dag_ids).items():
            about = {} if team is None else {"team_name": team}
            if access.resource is Resource.DAG:
                # AWS answers many at once.
                question = self._auth_manager().filter_authorized_dag_ids
                allowed |= self._asked(question, dag_ids=of_team, user=user, method=access.method, **about)
            else:
                allowed |= {dag_id for dag_id in of_team if self._may_dag(user, access, dag_id, **about)}
        return allowed

    def may_new(self, user: Any, access: Access, bundle: Optional[str]) -> bool:
        """
        Return whether the user has the right on a DAG of the bundle that nobody has heard of.

        It is asked for by an id that no DAG has: asked about none, FAB is content with the right on a single one, and
        AWS's and Keycloak's managers with that to list them.
        """
        teams = self._teams_of_bundle(bundle)
        return all(self._may_dag(user, access, NO_DAG, **({"team_name": team} if team else {})) for team in teams)

    def _by_team(self, dag_ids: Set[str]) -> Dict[Optional[str], Set[str]]:
        """Return the DAGs by the team that they belong to; None for those of no team."""
        if not self.multi_team():
            return {None: dag_ids}
        from airflow.models.dag import DagModel

        teams = DagModel.get_dag_id_to_team_name_mapping(list(dag_ids))
        grouped: Dict[Optional[str], Set[str]] = {}
        for dag_id in dag_ids:
            grouped.setdefault(teams.get(dag_id), set()).add(dag_id)
        return grouped

    def _teams_of_bundle(self, name: Optional[str]) -> Set[Optional[str]]:
        """Return the team that a bundle belongs to, or is configured to; None for no team."""
        if name is None or not self.multi_team():
            return {None}
        from airflow.dag_processing.bundles.manager import DagBundlesManager
        from airflow.models.dagbundle import DagBundleModel
        from airflow.models.team import Team
        from airflow.utils.session import create_session
        from sqlalchemy import select

        statement = select(Team.name).join(DagBundleModel.teams.of_type(Team)).where(DagBundleModel.name == name)
        with create_session() as session:
            stored = set(session.scalars(statement))
        # The table follows the configuration when the DAG processor starts.
        configured = DagBundlesManager()._bundle_config[name].team_name
        return stored | ({configured} if configured or not stored else set())

    def _may_thing(self, user: Any, access: Access, identifier: Optional[str]) -> bool:
        """Return whether the user has the right on a thing of no DAG, whose class and field have the names of ours."""
        if access.resource is Resource.IMPORT_ERROR:
            view = self._resource_details().AccessView.IMPORT_ERRORS
            return bool(self._asked(self._auth_manager().is_authorized_view, access_view=view, user=user))
        noun, argument = access.resource.noun, access.resource.argument
        details = getattr(self._resource_details(), f"{noun.title()}Details")
        about = details(**{argument: identifier}, **self._team_of_thing(access.resource, identifier))
        question = getattr(self._auth_manager(), f"is_authorized_{noun}")
        return bool(self._asked(question, method=access.method, details=about, user=user))

    def dag_ids(self, user: Any) -> Optional[Set[str]]:
        """Return the ids of the DAGs that the user may read; None stands for all."""
        # Asked about no DAG in particular, Airflow 3's FAB says yes to whoever may read a single one.
        return set(self._asked(self._auth_manager().get_authorized_dag_ids, user=user, method="GET"))

    def all_dag_ids(self) -> Set[str]:
        """Return the ids of all DAGs."""
        from airflow.models.dag import DagModel
        from airflow.utils.session import create_session
        from sqlalchemy import select

        with create_session() as session:
            return set(session.scalars(select(DagModel.dag_id)))

    def names(self, user: Any, resource: Resource) -> Optional[Set[str]]:
        """Return what names the things that the user may read; None where the right is on all of them or none."""
        # FAB and Simple know teams at most; AWS's and Keycloak's managers may give the right on a single thing, and
        # have Airflow's lists ask for it since 3.2.
        question = getattr(self._auth_manager(), f"get_authorized_{resource.noun}s", None)
        gives_single_ones = self.multi_team() or not self._is_manager("FabAuthManager", "SimpleAuthManager")
        if resource is Resource.IMPORT_ERROR or question is None or not gives_single_ones:
            return None
        return set(self._asked(question, user=user, method="GET"))

    def bundles(self, user: Any) -> Optional[Set[str]]:
        """Return the names of the bundles of the user's teams and of no team; None where there are no teams."""
        if not self.multi_team():
            return None
        from airflow.models.dagbundle import DagBundleModel
        from airflow.models.team import Team
        from airflow.utils.session import create_session
        from sqlalchemy import select

        with create_session() as session:
            teams = dict(session.execute(select(DagBundleModel.name, Team.name).outerjoin(DagBundleModel.teams)).all())
        question, details = self._auth_manager().is_authorized_dag, self._resource_details().DagDetails
        own = {
            team: bool(self._asked(question, method="GET", details=details(team_name=team), user=user))
            for team in set(teams.values())
        }
        return {name for name, team in teams.items() if own[team]}

    def multi_team(self) -> bool:
        """Return whether things may belong to teams."""
        # Teams came with 3.2 (AIP-67).
        from airflow.configuration import conf

        return bool(conf.getboolean("core", "multi_team", fallback=False))

    def team_of(self, row: Any) -> Dict[str, Any]:
        """Return how Airflow's own functions are told a thing's team, which they refuse outside multi-team mode."""
        name = getattr(row, "team_name", None)
        return {"team_name": name} if name and self.multi_team() else {}

    def name_of(self, user: Any) -> str:
        """Return the name that the user is shown by."""
        return str(user.get_name())

    def identifier_of(self, user: Any) -> Optional[str]:
        """Return what tells the user from every other, as the auth manager has it; None where it is nobody."""
        identifier = user.get_id()
        return None if identifier is None else str(identifier)

    def id_of(self, user: Any) -> Any:
        """Return the user's id as Airflow's notes keep it."""
        return user.get_id()

    # Airflow

    def _auth_manager(self) -> Any:
        from airflow.api_fastapi.app import get_auth_manager

        return get_auth_manager()

    def _asked(self, question: Callable[..., Any], **about: Any) -> Any:
        # FAB takes Flask's current application for its own where there is one, and here it is ours.
        return contextvars.Context().run(functools.partial(question, **about))

    def _resource_details(self) -> Any:
        from airflow.api_fastapi.auth.managers.models import resource_details

        return resource_details

    def _user_of(self, token: str) -> Caller:
        from jwt.exceptions import InvalidTokenError

        try:
            user = self._asked(lambda: asyncio.run(self._auth_manager().get_user_from_token(token)))
        except InvalidTokenError as exc:
            raise Unauthorized(INVALID, 'Bearer error="invalid_token"') from exc
        if user is None:
            # FAB's provider 2 gives none where the user was deleted since; provider 3 says that the token is invalid.
            raise Unauthorized(INVALID, 'Bearer error="invalid_token"')
        return User(self, user)

    def _public_user(self) -> Any:
        """Return the user that FAB's public role makes of anybody, where the deployer gave it one."""
        build = getattr(self._auth_manager(), "build_public_user", None)
        return self._asked(build) if build else None

    def _own_origin(self, request: Request) -> Optional[Origin]:
        """
        Return the origin of Airflow's pages: that of its base URL, where it is set.

        The host that the client names is that of another site where this one has made its name mean our address.
        """
        from airflow.configuration import conf

        return _origin(conf.get("api", "base_url", fallback=None) or "") or _origin(request.host_url)

    def _team_of_dag(self, dag_id: Optional[str]) -> Dict[str, Any]:
        if dag_id is None or not self.multi_team():
            return {}
        from airflow.models.dag import DagModel

        return {"team_name": DagModel.get_team_name(dag_id)}

    def _team_of_thing(self, resource: Resource, identifier: Optional[str]) -> Dict[str, Any]:
        if identifier is None or not self.multi_team():
            return {}
        model = getattr(import_module(f"airflow.models.{resource.noun}"), resource.noun.title())
        return {"team_name": model.get_team_name(identifier)}
