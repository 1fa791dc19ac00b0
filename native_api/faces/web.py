"""Where the faces are mounted: the routes of the one blueprint, and the small app that carries it on Airflow 3."""

from __future__ import annotations

from typing import Any, Callable

from flask import Blueprint, Flask, Response, request

from native_api import credentials, settings
from native_api.errors import NativeApiError, PageNotFound
from native_api.faces import legacy, reading, typed
from native_api.faces.boundary import in_shape, json_response
from native_api.faces.openapi import document

PREFIX = "/native_api"
ALL_METHODS = ["GET", "POST", "PUT", "PATCH", "DELETE"]


def blueprint() -> Blueprint:
    """Return the blueprint with every route, named by its full path on both generations of Airflow."""
    routes = Blueprint("native_api", __name__)
    routes.record_once(_exempt_from_csrf)
    routes.add_url_rule(f"{PREFIX}/v1/<name>", view_func=typed.call, methods=ALL_METHODS, endpoint="call")
    routes.add_url_rule(f"{PREFIX}/openapi.json", view_func=_openapi, endpoint="openapi")
    _add_rest(routes, PREFIX, typed.problem)
    prefix = settings.get("legacy_prefix")
    if prefix:
        routes.add_url_rule(f"{prefix}/api", view_func=legacy.call, methods=ALL_METHODS, endpoint="legacy")
        _add_rest(routes, prefix, legacy.error)
    return routes


def _add_rest(routes: Blueprint, prefix: str, shape: Callable[[NativeApiError], Response]) -> None:
    """Answer 404, in the face's own shape, for whatever else lies below *prefix*."""

    @in_shape(shape)
    def nothing(rest: str = "") -> Response:
        credentials.identify(request)
        raise PageNotFound(f"{prefix}/{rest}")

    for rule in (f"{prefix}/", f"{prefix}/<path:rest>"):
        routes.add_url_rule(rule, view_func=nothing, methods=ALL_METHODS, endpoint=f"nothing_at_{prefix.strip('/')}")


@in_shape(typed.problem)
def _openapi() -> Response:
    credentials.identify(request)
    return json_response(document(request.script_root))


def _exempt_from_csrf(state: Any) -> None:
    # Airflow 2 checks its token on every POST. We check it where a browser may have sent the credential by itself,
    # and let programs through (credentials.require_intent).
    csrf = state.app.extensions.get("csrf")
    if csrf is not None:
        csrf.exempt(state.blueprint)


def app() -> Flask:
    """Return an app with nothing but the blueprint, for an Airflow whose own web app is no Flask app."""
    small = Flask("native_api")
    small.config["MAX_CONTENT_LENGTH"] = max(settings.get("body_bytes"), reading.largest_upload())
    small.config["MAX_FORM_MEMORY_SIZE"] = settings.get("body_bytes")
    small.register_blueprint(blueprint())
    return small


def below(prefix: str, wsgi_app: Callable[..., Any]) -> Callable[..., Any]:
    """Return *wsgi_app* with the full path: a mount moves its prefix from the path to the script name."""

    def full_path(environ: Any, start_response: Any) -> Any:
        environ["SCRIPT_NAME"] = environ.get("SCRIPT_NAME", "")[: -len(prefix)]
        environ["PATH_INFO"] = prefix + environ.get("PATH_INFO", "")
        # What an ASGI server gives ends by itself: without this a body that comes in chunks counts as none.
        environ["wsgi.input_terminated"] = True
        return wsgi_app(environ, start_response)

    return full_path
