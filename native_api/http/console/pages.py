"""The pages of the console and their assets. They contain no data, which the pages request with the user's rights."""

from __future__ import annotations

import hashlib
from functools import lru_cache
from html import escape
from pathlib import Path
from string import Template
from typing import Dict
from urllib.parse import quote

from flask import Response, request

from native_api import credentials
from native_api.adapters.compat import airflow, web_server
from native_api.errors import MethodNotAllowed, PageNotFound, Unauthorized
from native_api.http.responses import in_shape
from native_api.http.typed import problem

_FOLDER = Path(__file__).parent / "static"
_TYPES = {
    ".css": "text/css; charset=utf-8",
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}

#: Airflow 3 shows the page in a frame. Nothing is inline, and nothing is loaded from another host.
CONTENT_SECURITY_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'self'"
)
#: RapiDoc needs inline styles.
_POLICY_OF_DOCS = CONTENT_SECURITY_POLICY.replace("style-src 'self'", "style-src 'self' 'unsafe-inline'")

NO_SESSIONS = (
    "You are logged in to Airflow, but its API does not accept login sessions. Add airflow.api.auth.backend.session to "
    "[api] auth_backends in Airflow's configuration to use the console."
)


@in_shape(problem)
def page() -> Response:
    """Return the console, or to a browser without a session a page that leads to Airflow's login page."""
    return _for_users("console.html", CONTENT_SECURITY_POLICY)


@in_shape(problem)
def docs() -> Response:
    """Return the API reference, or to a browser without a session a page that leads to Airflow's login page."""
    return _for_users("docs.html", _POLICY_OF_DOCS)


def _for_users(name: str, policy: str) -> Response:
    _require_read(name)
    if not _is_opened_by_a_browser():
        credentials.identify(request)
        return _html(name, policy)
    login = airflow().rights.login_url(request, f"{request.script_root}{request.path}")
    try:
        credentials.identify(request)
    except Unauthorized:
        if web_server.has_session_in_pages():
            return _html(name, policy)
        if login is None:
            return _html("notice.html", CONTENT_SECURITY_POLICY, status=403, text=NO_SESSIONS)
        # A redirect would lose the form that a link opens, which is in the fragment of its URL.
        return _html("login.html", CONTENT_SECURITY_POLICY, login=login)
    return _html(name, policy)


@in_shape(problem)
def asset(digest: str, name: str) -> Response:
    """
    Return an asset, which browsers can cache: its URL changes with the content of the assets.

    :param digest: that of :func:`digest_of_assets`.
    :param name: the file name.
    """
    _require_read(name)
    if name not in _assets() or name.endswith(".html"):
        raise PageNotFound(request.path)
    response = Response(_assets()[name], content_type=_TYPES[Path(name).suffix])
    # The URL of another version is from a page that was loaded before an upgrade.
    response.headers["Cache-Control"] = (
        "public, max-age=31536000, immutable" if digest == digest_of_assets() else "no-store"
    )
    response.headers["X-Content-Type-Options"] = "nosniff"
    return response


@lru_cache(maxsize=None)
def digest_of_assets() -> str:
    """Return a checksum of all assets."""
    whole = hashlib.sha256()
    for name, content in sorted(_assets().items()):
        whole.update(f"{name} {len(content)} ".encode() + content)
    return whole.hexdigest()[:16]


@lru_cache(maxsize=None)
def _assets() -> Dict[str, bytes]:
    return {path.name: path.read_bytes() for path in _FOLDER.iterdir() if path.suffix in _TYPES}


def _require_read(name: str) -> None:
    if request.method not in ("GET", "HEAD"):
        raise MethodNotAllowed(name, "GET")


def _is_opened_by_a_browser() -> bool:
    """Return whether a browser opens the page; other clients get an error instead of the login page."""
    return "text/html" in request.headers.get("Accept", "") and "Authorization" not in request.headers


def _html(name: str, policy: str, status: int = 200, **texts: str) -> Response:
    base = f"{quote(request.script_root)}/native_api"
    values = {
        "base": base,
        "assets": f"{base}/static/{digest_of_assets()}",
        "session": "storage" if web_server.has_session_in_pages() else "cookie",
        **texts,
    }
    text = Template(_assets()[name].decode()).substitute({key: escape(value) for key, value in values.items()})
    response = Response(text, status=status, content_type=_TYPES[".html"])
    response.headers["Cache-Control"] = "no-store"
    response.headers["Content-Security-Policy"] = policy
    response.headers["Referrer-Policy"] = "same-origin"
    response.headers["X-Content-Type-Options"] = "nosniff"
    return response
