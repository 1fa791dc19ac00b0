"""Airflow's own web application in this process, with one interface for both generations of Airflow."""

from __future__ import annotations

import base64
import json as json_module
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Dict, Iterator, Mapping, Optional
from urllib.parse import urlencode

from tests.support import airflow_under_test, declared_errors

ROLES = {"admin": "Admin", "op": "Op", "user": "User", "viewer": "Viewer"}


@dataclass(frozen=True)
class Response:
    """A response."""

    status: int
    headers: Mapping[str, str]
    text: str

    @property
    def json(self) -> Any:
        return json_module.loads(self.text)


class Site:
    """The web application; *login* is the user whose credentials a request has, None sends none."""

    def send(self, method: str, url: str, headers: Dict[str, str], body: Optional[bytes]) -> Response:
        raise NotImplementedError

    def credentials(self, login: str) -> Dict[str, str]:
        raise NotImplementedError

    def request(
        self,
        method: str,
        path: str,
        *,
        login: Optional[str] = "token",
        query: Any = (),
        form: Any = None,
        json: Any = None,
        body: Optional[bytes] = None,
        headers: Optional[Mapping[str, str]] = None,
    ) -> Response:
        """Send a request; *query* and *form* are mappings or pairs, and a query that is text is sent verbatim."""
        sent = dict(headers or {})
        if login is not None:
            sent.update(self.credentials(login) if login != "token" else {"rest-api-plugin-http-token": TOKEN})
        if json is not None:
            body, kind = json_module.dumps(json).encode(), "application/json"
        elif form is not None:
            body, kind = urlencode(form, doseq=True).encode(), "application/x-www-form-urlencoded"
        else:
            kind = None
        if kind:
            sent.setdefault("Content-Type", kind)
        text = query if isinstance(query, str) else urlencode(query, doseq=True)
        response = self.send(method, f"{path}?{text}" if text else path, sent, body)
        declared_errors.note_response(path, response.status, response.text)
        return response

    def typed(self, operation: str, login: Optional[str] = "token", **arguments: Any) -> Response:
        """Call an operation with the typed API."""
        from native_api import registry
        from native_api.effects import Effect

        if registry.get(operation).effect is Effect.READ:
            return self.request("GET", f"/native_api/v1/{operation}", login=login, query=arguments)
        return self.request("POST", f"/native_api/v1/{operation}", login=login, json=arguments)

    def legacy(self, api: str, login: Optional[str] = "token", **arguments: Any) -> Response:
        """Call a name with the legacy API, as clients do: GET with a query string."""
        return self.request("GET", "/admin/rest_api/api", login=login, query={"api": api, **arguments})


TOKEN = airflow_under_test.TOKEN


class FlaskSite(Site):
    """Airflow 2."""

    def __init__(self, app: Any) -> None:
        self.app = app

    def send(self, method: str, url: str, headers: Dict[str, str], body: Optional[bytes]) -> Response:
        sent = {name: value.encode().decode("latin-1") for name, value in headers.items()}
        response = self.app.test_client(use_cookies=False).open(url, method=method, headers=sent, data=body)
        return Response(response.status_code, dict(response.headers), response.get_data(as_text=True))

    def credentials(self, login: str) -> Dict[str, str]:
        return {"Authorization": "Basic " + base64.b64encode(f"{login}:{login}".encode()).decode()}


class StarletteSite(Site):
    """Airflow 3."""

    def __init__(self, client: Any, tokens: Mapping[str, str]) -> None:
        self.client = client
        self.tokens = tokens

    def send(self, method: str, url: str, headers: Dict[str, str], body: Optional[bytes]) -> Response:
        self.client.cookies.clear()
        sent = [(name.encode(), value.encode()) for name, value in headers.items()]
        response = self.client.request(method, url, headers=sent, content=body, follow_redirects=False)
        return Response(response.status_code, dict(response.headers), response.text)

    def credentials(self, login: str) -> Dict[str, str]:
        return {"Authorization": f"Bearer {self.tokens[login]}"}


@contextmanager
def open_site() -> Iterator[Site]:
    """Start the web application of the Airflow under test, with a user of each role."""
    if airflow_under_test.version() < (3, 0):
        yield _flask_site()
        return
    from airflow.api_fastapi.app import create_app, get_auth_manager
    from starlette.testclient import TestClient

    if airflow_under_test.has_fab():
        _create_users()
    with TestClient(create_app("core"), raise_server_exceptions=False) as client:
        manager = get_auth_manager()
        yield StarletteSite(client, {name: manager.generate_jwt(_user(manager, name)) for name in ROLES})


def _flask_site() -> Site:
    from airflow.www.app import create_app
    from werkzeug.security import generate_password_hash

    app = create_app()
    with app.app_context():
        manager = app.appbuilder.sm
        for name, role in ROLES.items():
            # Hashed as FAB does it, a password takes a tenth of a second, at every request.
            hashed = generate_password_hash(name, "pbkdf2:sha256:1")
            manager.add_user(name, name, name, f"{name}@example.com", manager.find_role(role), hashed_password=hashed)
    return FlaskSite(app)


def _create_users() -> None:
    for name, role in ROLES.items():
        words = ["-u", name, "-p", name, "-r", role, "-f", name, "-l", name, "-e", f"{name}@example.com"]
        airflow_under_test.command("users", "create", *words)


def _user(manager: Any, name: str) -> Any:
    if airflow_under_test.has_fab():
        from airflow.providers.fab.auth_manager.models import User
        from sqlalchemy import select

        with airflow_under_test.session() as opened:
            return opened.scalars(select(User).where(User.username == name)).one()
    from airflow.api_fastapi.auth.managers.simple.user import SimpleAuthManagerUser

    return SimpleAuthManagerUser(username=name, role=name)
