"""Requests do not change the login session of Airflow 2."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support import airflow_under_test

pytestmark = pytest.mark.skipif(airflow_under_test.version() >= (3, 0), reason="Airflow 3 stores no session")


def stored_sessions() -> Any:
    from sqlalchemy import text

    with airflow_under_test.session() as session:
        return [tuple(row) for row in session.execute(text("SELECT * FROM session ORDER BY id"))]


@pytest.fixture
def browser(web: Any) -> Any:
    """Return a client that is logged in as viewer, with a session in the database."""
    client = web.app.test_client()
    with web.app.app_context():
        user_id = web.app.appbuilder.sm.find_user("viewer").get_id()
    with client.session_transaction() as session:
        session.update({"_user_id": user_id, "_fresh": True})
    return client


@pytest.mark.parametrize("path", ["/native_api/v1/version", "/native_api/v1/none", "/admin/rest_api/api?api=version"])
def test_the_session_is_not_written(browser: Any, path: str) -> None:
    """As with Airflow's own REST API; a dashboard that polls does not prolong a login."""
    before = stored_sessions()
    assert before
    response = browser.get(path)
    assert response.status_code == (404 if path.endswith("none") else 200)
    assert "Set-Cookie" not in response.headers
    assert stored_sessions() == before


def test_the_console_says_where_the_api_takes_no_session(browser: Any, web: Any, monkeypatch: Any) -> None:
    """Airflow's login page would lead a user who is logged in back to it, again and again."""
    backends = [backend for backend in web.app.api_auth if not backend.__name__.endswith(".session")]
    monkeypatch.setattr(web.app, "api_auth", backends)
    response = browser.get("/native_api/", headers={"Accept": "text/html"})
    assert (response.status_code, response.mimetype) == (403, "text/html")
    assert "Add airflow.api.auth.backend.session to [api] auth_backends" in response.text
    assert "login.js" not in response.text and "console.js" not in response.text
