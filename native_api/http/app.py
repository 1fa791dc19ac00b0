"""Where the faces are mounted: the routes of the one blueprint, and the small app that carries it on Airflow 3."""

from __future__ import annotations

from typing import Any, Callable

from flask import Blueprint, Flask, Response, g, request, session
from flask.blueprints import BlueprintSetupState
from flask.globals import request_ctx
from flask.sessions import NullSession
from werkzeug.routing import Rule

from native_api import credentials, settings
from native_api.errors import MethodNotAllowed, NativeApiError, PageNotFound
from native_api.http import console, health, legacy, request_body, typed
from native_api.http.openapi import document
from native_api.http.responses import in_shape, json_response

PREFIX = "/native_api"


def blueprint() -> Blueprint:
    """Return the blueprint with every route, named by its full path on both generations of Airflow."""
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
    Have *view* answer every method, those that no standard knows included; a slash at the end makes no difference.

    Flask's own rules are of the methods that they name, and all others get a page of Flask's.
    """

    def add(state: BlueprintSetupState) -> None:
        name = f"{state.name}.{endpoint}"
        state.app.url_map.add(Rule(rule, endpoint=name, strict_slashes=False))
        state.app.view_functions[name] = view

    routes.record(add)


def _add_rest(routes: Blueprint, prefix: str, shape: Callable[[NativeApiError], Response]) -> None:
    """Return 404, in the shape of the API, for every other path below *prefix*."""

    @in_shape(shape)
    def nothing(rest: str) -> Response:
        credentials.identify(request)
        raise PageNotFound(f"{prefix}/{rest}")

    _add(routes, f"{prefix}/<path:rest>", nothing, f"nothing_at_{prefix.strip('/')}")


@in_shape(typed.problem)
def _openapi() -> Response:
    credentials.identify(request)
    typed.require_json_accepted()
    if request.method not in ("GET", "HEAD"):
        raise MethodNotAllowed("openapi.json", "GET")
    return json_response(document(request.script_root))


def _exempt_from_csrf(state: Any) -> None:
    # Airflow 2 checks its token on every POST. We check it where a browser may have sent the credential by itself,
    # and let programs through (credentials.require_intent).
    csrf = state.app.extensions.get("csrf")
    if csrf is not None:
        csrf.exempt(state.blueprint)


def _save_no_session(response: Response) -> Response:
    """Leave the login session as it is: Airflow 2 would write its row at each request, which it spares its own API."""
    if not g.get("native_api_keeps_session") and not isinstance(session, NullSession):
        request_ctx.session = NullSession()  # type: ignore[misc]
    return response


def app() -> Flask:
    """Return an app with nothing but the blueprint, for an Airflow whose own web app is no Flask app."""
    small = Flask("native_api")
    small.register_blueprint(blueprint())
    return small


def below(prefix: str, wsgi_app: Callable[..., Any]) -> Callable[..., Any]:
    """Return *wsgi_app* with the full path: a mount moves its prefix from the path to the script name."""

    def full_path(environ: Any, start_response: Any) -> Any:
        environ.update(request_body.environment(environ["asgi.scope"]))
        environ["SCRIPT_NAME"] = environ.get("SCRIPT_NAME", "")[: -len(prefix)]
        environ["PATH_INFO"] = prefix + environ.get("PATH_INFO", "")
        return wsgi_app(environ, start_response)

    return full_path
