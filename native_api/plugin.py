"""
How Airflow mounts us: a Flask blueprint on Airflow 2, FastAPI sub-applications on Airflow 3.

Airflow loads this module in every process. It reads the lists below in the web server only, so nothing else is
imported before that.
"""

from __future__ import annotations

import logging
from functools import cached_property
from typing import Any, Dict, List

from airflow.plugins_manager import AirflowPlugin

log = logging.getLogger(__name__)


class NativeApiPlugin(AirflowPlugin):
    """The plugin that Airflow finds by its entry point."""

    name = "native_api"

    @classmethod
    def on_load(cls, *args: Any, **kwargs: Any) -> None:
        """Say so where this Airflow cannot be served, and leave it running."""
        from native_api.adapters.compat import refusal

        sentence = refusal()
        if sentence:
            log.warning(sentence)

    @cached_property
    def flask_blueprints(self) -> List[Any]:  # type: ignore[override]
        """Airflow 2: the blueprint. On Airflow 3 FAB would mount it a second time, below its own prefix."""
        from native_api.adapters.compat import web_server

        return [] if _is_off() or web_server.mounts_fastapi() else _blueprints()

    @cached_property
    def fastapi_apps(self) -> List[Dict[str, Any]]:  # type: ignore[override]
        """Airflow 3: the blueprint in a small Flask app, mounted once for each prefix."""
        from native_api.adapters.compat import web_server

        return _apps() if web_server.mounts_fastapi() and not _is_off() else []

    @cached_property
    def appbuilder_menu_items(self) -> List[Dict[str, Any]]:  # type: ignore[override]
        """Airflow 2, and 3.0 with FAB: the console in the menu."""
        from native_api.adapters.compat import web_server

        return [_menu_item(web_server.mounts_fastapi())] if web_server.shows_links() and not _is_off() else []

    @cached_property
    def external_views(self) -> List[Dict[str, Any]]:  # type: ignore[override]
        """Airflow 3.1 and later: the console as a view, which the menu opens in a frame."""
        from native_api.adapters.compat import web_server

        return [_VIEW] if web_server.shows_views() and not _is_off() else []


_TITLE = "Native API"
#: Airflow's pages resolve the address against their base URL.
_VIEW = {"name": _TITLE, "href": "native_api/", "url_route": "native_api", "destination": "nav", "category": "admin"}


def _menu_item(of_react: bool) -> Dict[str, Any]:
    """Return the menu's link: an address below the base URL on Airflow 3, and on 2 the name of the route."""
    href = "native_api/" if of_react else "native_api.console"
    return {"name": _TITLE, "href": href, "category": "Admin"}


def _is_off() -> bool:
    """Return whether this Airflow cannot be served, or the configuration cannot be read."""
    from native_api import settings
    from native_api.adapters.compat import refusal

    if refusal():
        return True
    complaints = settings.complaints()
    for complaint in complaints:
        log.error("airflow-native-api stays switched off: %s", complaint)
    return bool(complaints)


def _blueprints() -> List[Any]:
    from native_api.http.app import blueprint

    return [blueprint()]


def _apps() -> List[Dict[str, Any]]:
    from a2wsgi import WSGIMiddleware

    from native_api import settings
    from native_api.http.app import PREFIX, app, below
    from native_api.http.disconnects import Watched
    from native_api.http.request_body import BodiesFirst, Room

    small, room = app(), Room()
    # Requests that wait for a job must not keep others from being answered.
    threads = 10 + settings.get("job_slots") + settings.get("job_queue")
    return [
        {
            "name": f"native_api at {prefix}",
            "url_prefix": prefix,
            "app": Watched(BodiesFirst(WSGIMiddleware(below(prefix, small), workers=threads), room)),
        }
        for prefix in (PREFIX, settings.get("legacy_prefix"))
        if prefix
    ]
