"""Users and their rights in Airflow 3: the auth manager, a JWT, the ``_token`` cookie."""

from __future__ import annotations

import asyncio
import contextvars
import functools
import threading
from typing import TYPE_CHECKING, Any, Callable, Dict, Optional, Set, Tuple
from urllib.parse import urlencode, urlsplit

from sqlalchemy import select

from native_api.adapters.compat.interface.rights import NO_DAG, Rights, User
from native_api.errors import CrossSiteRequest, Unauthorized
from native_api.permissions import Access, Caller, Resource

if TYPE_CHECKING:
    from flask import Request

    from native_api.adapters.compat.objects import User as AirflowUser


SIGN_IN = "No credentials were sent: send 'Authorization: Bearer <token>'; POST /auth/token gives a token."


NO_BEARER = "Airflow 3 takes 'Authorization: Bearer <token>' and no other scheme; POST /auth/token gives a token."


INVALID = "The token that was sent is not valid, or has expired; POST /auth/token gives another."


#: The event loop of each thread that handles requests: to create one takes longer than to check a token.
_LOOPS = threading.local()


#: The scheme, the host and the port of a URL.
Origin = Tuple[str, str, Optional[int]]


class Rights3(Rights):
    """Airflow 3."""

    proof_is_in_form = False

    # Authentication

    def by_authorization(self, request: Request) -> Caller:
        scheme, _, token = request.headers["Authorization"].split(",")[0].strip().partition(" ")
        if scheme.lower() != "bearer":
            raise Unauthorized(NO_BEARER, "Bearer")
        return self._user_of(token.strip())

    def by_session(self, request: Request) -> Caller:
        from airflow.api_fastapi.auth.managers.base_auth_manager import COOKIE_NAME_JWT_TOKEN

        token = request.cookies.get(COOKIE_NAME_JWT_TOKEN)
        if token:
            return self._user_of(token)
        public = self._public_user()
        if public is None:
            raise Unauthorized(SIGN_IN, "Bearer")
        return User(self, public)

    def adds_authorization(self, request: Request) -> bool:
        from airflow.configuration import conf

        # The header that the client sent comes first; Airflow appends its own.
        return (
            self._auth_manager().__class__.__name__ == "SimpleAuthManager"
            and conf.getboolean("core", "simple_auth_manager_all_admins", fallback=False)
            and "," not in request.headers.get("Authorization", "")
        )

    def require_same_site(self, request: Request) -> None:
        fetch_site = request.headers.get("Sec-Fetch-Site", "same-origin")
        # A browser that sends one header with a POST sends both; "same-origin" compares with the requested host.
        origin = request.headers.get("Origin", request.host_url if "Sec-Fetch-Site" in request.headers else "")
        if fetch_site == "same-origin" and _origin(origin) == self._own_origin(request):
            return
        raise CrossSiteRequest(
            "A browser can have sent this credential automatically, so a change requires a POST with a Sec-Fetch-Site "
            "or Origin header of Airflow's own pages. Programs send an Authorization header instead."
        )

    def login_url(self, request: Request, way_back: str) -> Optional[str]:
        return f"{request.script_root}/auth/login?{urlencode({'next': way_back})}"

    def csrf_token(self) -> Optional[str]:
        return None

    def keep_no_session(self) -> None:
        """Keep this request from leaving a session behind; Airflow 3 leaves none."""

    def dag_ids_among(self, user: AirflowUser, access: Access, dag_ids: Set[str]) -> Set[str]:
        allowed: Set[str] = set()
        for team, of_team in self._by_team(dag_ids).items():
            about = {} if team is None else {"team_name": team}
            if access.resource is Resource.DAG:
                # AWS's manager decides for many at once.
                question = self._auth_manager().filter_authorized_dag_ids
                allowed |= self._asked(question, dag_ids=of_team, user=user, method=access.method, **about)
            else:
                allowed |= {dag_id for dag_id in of_team if self._may_dag(user, access, dag_id, **about)}
        return allowed

    def may_new(self, user: AirflowUser, access: Access, bundle: Optional[str]) -> bool:
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

        statement = select(Team.name).join(DagBundleModel.teams.of_type(Team)).where(DagBundleModel.name == name)
        with create_session() as session:
            stored = set(session.scalars(statement))
        # The DAG processor updates the table from the configuration when it starts.
        configured = DagBundlesManager()._bundle_config[name].team_name
        return stored | ({configured} if configured or not stored else set())

    def dag_ids(self, user: Any) -> Optional[Set[str]]:
        if self._one_right_is_on_all() and self._may_dag(user, Access(Resource.DAG, "GET"), NO_DAG):
            return None
        # Without a dag_id, FAB on Airflow 3 authorizes users that can read any single DAG.
        return set(self._asked(self._auth_manager().get_authorized_dag_ids, user=user, method="GET"))

    def _one_right_is_on_all(self) -> bool:
        """
        Return whether the right on a DAG that does not exist is the right on every DAG.

        FAB and Simple decide so without teams. A subclass can decide otherwise.
        """
        name = type(self._auth_manager()).__name__
        return name in ("FabAuthManager", "SimpleAuthManager") and self._is_manager(name) and not self.multi_team()

    def multi_team(self) -> bool:
        # Teams came with 3.2 (AIP-67).
        from airflow.configuration import conf

        return bool(conf.getboolean("core", "multi_team", fallback=False))

    def name_of(self, user: Any) -> str:
        return str(user.get_name())

    def id_of(self, user: AirflowUser) -> Any:
        return user.get_id()

    # Airflow

    def _auth_manager(self) -> Any:
        from airflow.api_fastapi.app import get_auth_manager

        return get_auth_manager()

    def _asked(self, question: Callable[..., object], **about: object) -> Any:
        # FAB uses Flask's current application if there is one, which here is the plugin's.
        return contextvars.Context().run(functools.partial(question, **about))

    def _resource_details(self) -> Any:
        from airflow.api_fastapi.auth.managers.models import resource_details

        return resource_details

    def _user_of(self, token: str) -> Caller:
        from jwt.exceptions import InvalidTokenError

        try:
            user = self._asked(
                lambda: _event_loop().run_until_complete(self._auth_manager().get_user_from_token(token))
            )
        except InvalidTokenError as exc:
            raise Unauthorized(INVALID, 'Bearer error="invalid_token"') from exc
        if user is None:
            # For a deleted user, version 2 of the FAB provider returns None; version 3 rejects the token.
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


def _event_loop() -> asyncio.AbstractEventLoop:
    """Return the event loop of this thread, in which Airflow's coroutines run."""
    if not hasattr(_LOOPS, "loop"):
        _LOOPS.loop = asyncio.new_event_loop()
    loop: asyncio.AbstractEventLoop = _LOOPS.loop
    return loop


def _origin(url: str) -> Optional[Origin]:
    """Return the origin of a URL, None where it has none."""
    try:
        parts = urlsplit(url)
        port = parts.port or {"http": 80, "https": 443}.get(parts.scheme)
    except ValueError:
        return None
    return (parts.scheme, parts.hostname, port) if parts.hostname else None
