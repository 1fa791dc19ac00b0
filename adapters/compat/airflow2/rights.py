"""Users and their rights in Airflow 2: the configured API backends, the login session, FAB."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Callable, List, Optional, Set

from native_api.adapters.compat.interface.rights import NO_DAG, Rights, User
from native_api.errors import CrossSiteRequest, Unauthorized
from native_api.permissions import Access, Caller, Resource

if TYPE_CHECKING:
    from flask import Request, Response

    from native_api.adapters.compat.objects import User as AirflowUser


SIGN_IN = "No credentials were sent: the ways to send them are those of [api] auth_backends."


INVALID = "The credentials that were sent are not valid, or [api] auth_backends takes none of their kind."


class Rights2(Rights):
    """Airflow 2.9 to 2.11."""

    proof_is_in_form = True

    # Authentication

    def by_authorization(self, request: Request) -> Caller:
        # Only the header counts, not a login cookie beside it.
        _forget_login()
        if not request.headers["Authorization"].isascii():
            # The basic backend raises an exception for it.
            raise Unauthorized(INVALID)
        challenge = self._ask([backend for backend in self._backends() if not _is_session(backend)])
        user = self._current_user()
        if _is_nobody(user):
            raise Unauthorized(INVALID, challenge)
        return User(self, user)

    def by_session(self, request: Request) -> Caller:
        backends = [backend for backend in self._backends() if _is_session(backend)]
        if not backends:
            _forget_login()
        self._ask(backends)
        user = self._current_user()
        # With FAB everybody has the public role, which has no permissions unless the operator made Airflow public.
        if _is_nobody(user) and not getattr(user, "perms", None):
            raise Unauthorized(SIGN_IN, self._ask(self._backends()))
        return User(self, user)

    def adds_authorization(self, request: Request) -> bool:
        return False

    def require_same_site(self, request: Request) -> None:
        from flask import current_app
        from flask_wtf.csrf import CSRFError

        try:
            current_app.extensions["csrf"].protect()
        except CSRFError as exc:
            raise CrossSiteRequest(
                "A browser can have sent this credential automatically, so a change requires a POST with Airflow's "
                f"CSRF token, as csrf_token in the form or in the header X-CSRFToken: {exc.description}"
            ) from exc

    def login_url(self, request: Request, way_back: str) -> Optional[str]:
        # The login page redirects users that are logged in.
        return str(self._auth_manager().get_url_login(next_url=way_back)) if _is_nobody(self._current_user()) else None

    def csrf_token(self) -> Optional[str]:
        from flask_wtf.csrf import generate_csrf

        return str(generate_csrf())

    def keep_no_session(self) -> None:
        # The basic backend logs the user in, and each call would add a row to the session table; Airflow exempts
        # only its own API (airflow.www.session). Until the end of the request the session is needed, since it has the
        # CSRF token.
        from flask import after_this_request
        from flask.globals import request_ctx
        from flask.sessions import NullSession

        @after_this_request
        def forget(response: Response) -> Response:
            request_ctx.session = NullSession()  # type: ignore[misc]
            return response

    def _ask(self, backends: List[Any]) -> Optional[str]:
        """Authenticate with the backends, and return the challenge of the first that failed, or None."""
        from flask import Response

        challenge = None
        for backend in backends:
            response = backend.requires_authentication(Response)()
            if response.status_code == HTTPStatus.OK:
                return None
            challenge = challenge or response.headers.get("WWW-Authenticate")
        return challenge

    def _backends(self) -> List[object]:
        from flask import current_app

        backends: List[object] = getattr(current_app, "api_auth", [])
        return backends

    # Authorization

    def may(self, user: Any, access: Access, identifier: Optional[str]) -> bool:
        if access.resource.of_a_dag and identifier and "." in identifier and not _is_known(identifier):
            # FAB looks up the root DAG of such an id and fails if there is none: only permission on all DAGs counts.
            return self.may(user, Access(Resource.DAG, "GET" if access.method == "GET" else "PUT"), None)
        return super().may(user, access, identifier)

    def dag_ids_among(self, user: AirflowUser, access: Access, dag_ids: Set[str]) -> Set[str]:
        return {dag_id for dag_id in dag_ids if self.may(user, access, dag_id)}

    def may_new(self, user: AirflowUser, access: Access, bundle: Optional[str]) -> bool:
        return self.may(user, access, NO_DAG)

    def dag_ids(self, user: Any) -> Optional[Set[str]]:
        # Without a dag_id, AWS's manager decides whether DAGs can be listed.
        if self._is_manager("FabAuthManager") and self.may(user, Access(Resource.DAG, "GET"), None):
            return None
        return set(self._auth_manager().get_permitted_dag_ids(methods=["GET"], user=user))

    def multi_team(self) -> bool:
        return False

    def name_of(self, user: Any) -> str:
        if _is_nobody(user):
            return "anonymous"
        return str(getattr(user, "username", None) or user.get_name())

    def id_of(self, user: AirflowUser) -> Any:
        return None if _is_nobody(user) else getattr(user, "id", None)

    # Airflow

    def _auth_manager(self) -> Any:
        from airflow.www.extensions.init_auth_manager import get_auth_manager

        return get_auth_manager()

    def _asked(self, question: Callable[..., object], **about: object) -> Any:
        return question(**about)

    def _resource_details(self) -> Any:
        from airflow.auth.managers.models import resource_details

        return resource_details

    def _current_user(self) -> Any:
        return self._auth_manager().get_user()


class Rights28(Rights2):
    """Airflow 2.8, whose login URL names the way back otherwise than the login page reads it."""

    def login_url(self, request: Request, way_back: str) -> Optional[str]:
        url = super().login_url(request, way_back)
        return None if url is None else url.replace("?next_url=", "?next=", 1)


class Rights27(Rights2):
    """Airflow 2.7, whose auth manager does not decide on rights: FAB's security manager does."""

    def may(self, user: Any, access: Access, identifier: Optional[str]) -> bool:
        action = {"GET": "can_read", "POST": "can_create", "PUT": "can_edit", "DELETE": "can_delete"}[access.method]
        manager = self._security_manager()
        if access.resource is Resource.IMPORT_ERROR:
            return bool(manager.has_access(action, "ImportError", user))
        if not access.resource.of_a_dag:
            return bool(manager.has_access(action, f"{access.resource.noun.title()}s", user))
        dag_action = (
            action if access.resource is Resource.DAG else ("can_read" if access.method == "GET" else "can_edit")
        )
        parts = {
            Resource.DAG: [],
            Resource.DAG_RUN: ["DAG Runs"],
            Resource.DAG_CODE: ["DAG Code"],
            Resource.TASK: ["Task Instances"],
            Resource.TASK_INSTANCE: ["DAG Runs", "Task Instances"],
            Resource.TASK_LOG: ["Task Logs"],
            Resource.XCOM: ["DAG Runs", "Task Instances", "XComs"],
        }[access.resource]
        return self._has_access_to_dag(user, dag_action, identifier) and all(
            manager.has_access(action, part, user) for part in parts
        )

    def dag_ids(self, user: Any) -> Optional[Set[str]]:
        if self.may(user, Access(Resource.DAG, "GET"), None):
            return None
        return set(self._security_manager().get_readable_dag_ids(user))

    def _has_access_to_dag(self, user: AirflowUser, action: str, dag_id: Optional[str]) -> bool:
        manager = self._security_manager()
        if manager.has_access(action, "DAGs", user):
            return True
        if dag_id is None:
            return False
        from airflow.security.permissions import resource_name_for_dag

        root = manager._get_root_dag_id(dag_id) if "." not in dag_id or _is_known(dag_id) else dag_id
        return bool(manager.has_access(action, resource_name_for_dag(root), user))

    def _security_manager(self) -> Any:
        from flask import current_app

        return current_app.appbuilder.sm  # type: ignore[attr-defined]

    def _current_user(self) -> Any:
        from flask import g
        from flask_login import current_user

        # The Kerberos backend stores its user in g.
        if current_user.is_anonymous and getattr(g, "user", None) is not None:
            return g.user
        return current_user


def _forget_login() -> None:
    """Make the request's user nobody, whatever cookie came with it."""
    from flask import current_app

    current_app.login_manager._update_request_context_with_user()  # type: ignore[attr-defined]


def _is_nobody(user: AirflowUser) -> bool:
    return user is None or bool(getattr(user, "is_anonymous", False))


def _is_session(backend: Any) -> bool:
    return str(backend.__name__).endswith(".session")


def _is_known(dag_id: str) -> bool:
    from airflow.models.dag import DagModel

    return DagModel.get_dagmodel(dag_id) is not None
