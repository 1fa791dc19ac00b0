"""The routes of the blueprint, and the Flask app that has it on Airflow 3."""

from __future__ import annotations

import re
from typing import Any, Callable, Optional

from flask import Blueprint, Flask, Response, g, request, session
from flask.blueprints import BlueprintSetupState
from flask.globals import request_ctx
from flask.sessions import NullSession
from werkzeug.exceptions import HTTPException
from werkzeug.routing import Rule

from native_api import credentials, settings
from native_api.errors import BadRequest, MethodNotAllowed, NativeApiError, PageNotFound
from native_api.http import PREFIX, console, health, legacy, typed
from native_api.http.openapi import document
from native_api.http.responses import in_shape, json_response


def blueprint() -> Blueprint:
    """Return the blueprint with all routes, whose rules are full paths."""
    routes = Blueprint("native_api", __name__)
    routes.record_once(_exempt_from_csrf)
    routes.after_request(_save_no_session)
    _add(routes, f"{PREFIX}/v1/<name>/", typed.call, "call")
    _add(routes, f"{PREFIX}/openapi.json", _openapi, "openapi")
    _add(routes, f"{PREFIX}/health", health.health, "health")
    _add(routes, f"{PREFIX}/", console.page, "console")
    _add(routes, f"{PREFIX}/docs/", console.docs, "docs")
    _add(routes, f"{PREFIX}/static/<digest>/<name>", console.asset, "console_asset")
    _add(routes, f"{PREFIX}/console.json", console.offers, "console_offers")
    _add(routes, f"{PREFIX}/console/command", console.command, "console_command")
    _add_rest(routes, PREFIX, typed.problem)
    prefix = settings.get("legacy_prefix")
    if prefix:
        _add(routes, f"{prefix}/api/", legacy.call, "legacy")
        _add(routes, f"{prefix}/", console.page, "console_at_legacy_prefix")
        _add_rest(routes, prefix, legacy.error)
    return routes


def _add(routes: Blueprint, rule: str, view: Callable[..., Response], endpoint: str) -> None:
    """
    Add a route for every HTTP method, with and without a trailing slash.

    A route of Flask's has a list of methods, and Flask returns an HTML page for all others.
    """

    def add(state: BlueprintSetupState) -> None:
        name = f"{state.name}.{endpoint}"
        state.app.url_map.add(Rule(rule, endpoint=name, strict_slashes=False, merge_slashes=False))
        state.app.view_functions[name] = view

    routes.record(add)


def _add_rest(routes: Blueprint, prefix: str, shape: Callable[[NativeApiError], Response]) -> None:
    """Add a route for all other paths below *prefix*, which returns 404 in the format of the API."""

    @in_shape(shape)
    def nothing(rest: str) -> Response:
        credentials.identify(request)
        raise PageNotFound(f"{prefix}/{rest}")

    _add(routes, f"{prefix}/<path:rest>", nothing, f"nothing_at_{prefix.strip('/')}")
    routes.before_app_request(_refusal(prefix, shape))


def _refusal(prefix: str, shape: Callable[[NativeApiError], Response]) -> Callable[[], Optional[Response]]:
    """
    Return what refuses the requests below *prefix* that have no route, in the format of the API.

    Flask would redirect a path with doubled slashes to an address with the ``Host`` header of the request, and return
    HTML if that header is not valid.
    """

    @in_shape(shape)
    def refuse() -> Response:
        if isinstance(request.routing_exception, HTTPException) and request.routing_exception.code == 400:
            raise BadRequest("The Host header is not a valid host name.")
        credentials.identify(request)
        raise PageNotFound(request.path)

    def refuse_without_route() -> Optional[Response]:
        path = re.sub("/{2,}", "/", request.path)
        is_below = path == prefix or path.startswith(f"{prefix}/")
        return _save_no_session(refuse()) if is_below and request.routing_exception is not None else None

    return refuse_without_route


@in_shape(typed.problem)
def _openapi() -> Response:
    credentials.identify(request)
    typed.require_json_accepted()
    if request.method not in ("GET", "HEAD"):
        raise MethodNotAllowed("openapi.json", "GET")
    return json_response(document(request.script_root))


def _exempt_from_csrf(state: Any) -> None:
    # Airflow 2 requires its CSRF token for every POST; credentials.require_intent only if a browser can have sent the
    # credential automatically.
    csrf = state.app.extensions.get("csrf")
    if csrf is not None:
        csrf.exempt(state.blueprint)


def _save_no_session(response: Response) -> Response:
    """Do not save the login session: Airflow 2 would write its row at each request, which its own API avoids, too."""
    if not g.get("native_api_keeps_session") and not isinstance(session, NullSession):
        request_ctx.session = NullSession()  # type: ignore[misc]
    return response


def app() -> Flask:
    """Return a Flask app with only the blueprint, for Airflow 3, whose web server is not Flask."""
    small = Flask("native_api")
    small.register_blueprint(blueprint())
    return small
