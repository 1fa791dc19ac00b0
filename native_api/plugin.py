"""
The Airflow plugin: a Flask blueprint on Airflow 2, FastAPI applications on Airflow 3.

Airflow imports this module in every process, but reads the lists of the plugin in the web server only. So everything
else is imported when they are read.
"""

from __future__ import annotations

import logging
from functools import cached_property
from importlib import import_module
from typing import Any, Dict, List

from airflow.plugins_manager import AirflowPlugin

log = logging.getLogger(__name__)


class NativeApiPlugin(AirflowPlugin):
    """The plugin, which Airflow finds by its entry point."""

    name = "native_api"

    @classmethod
    def on_load(cls, *args: object, **kwargs: object) -> None:
        """Log a warning if this version of Airflow is not supported."""
        from native_api.adapters.compat import refusal

        sentence = refusal()
        if sentence:
            log.warning(sentence)

    @cached_property
    def flask_blueprints(self) -> List[object]:  # type: ignore[override]
        """Airflow 2: the blueprint. Empty on Airflow 3, where FAB would mount it a second time below its own prefix."""
        from native_api.adapters.compat import web_server

        return [] if _is_disabled() or web_server.mounts_fastapi() else _blueprints()

    @cached_property
    def fastapi_apps(self) -> List[Dict[str, object]]:  # type: ignore[override]
        """Airflow 3: a Flask app with the blueprint, mounted at each prefix, which the first request creates."""
        from native_api.adapters.compat import web_server

        return _apps() if web_server.mounts_fastapi() and not _is_disabled() else []

    @cached_property
    def appbuilder_menu_items(self) -> List[Dict[str, object]]:  # type: ignore[override]
        """Airflow 2, and 3.0 with FAB: the link to the console in the menu."""
        from native_api.adapters.compat import web_server

        return [_menu_item(web_server.mounts_fastapi())] if web_server.shows_links() and not _is_disabled() else []

    @cached_property
    def fastapi_root_middlewares(self) -> List[Dict[str, object]]:  # type: ignore[override]
        """
        Airflow 3.0 without FAB: a function that adds the link to the menu after the start of the web server.

        If a plugin has a link before, Airflow creates a Flask app of FAB for it, and does not start without FAB.
        """
        from native_api.adapters.compat import web_server

        if not web_server.shows_late_links() or _is_disabled():
            return []
        menu_items = {"menu_items": self.appbuilder_menu_items}
        return [{"name": "native_api", "middleware": _add_menu_item, "kwargs": menu_items}]

    @cached_property
    def external_views(self) -> List[Dict[str, Any]]:  # type: ignore[override]
        """Airflow 3.1 and later: the console, which the menu opens in a frame."""
        from native_api.adapters.compat import web_server

        return [_VIEW] if web_server.shows_views() and not _is_disabled() else []


_TITLE = "Native API"
#: Airflow's pages resolve the URL relative to their base URL.
_VIEW = {"name": _TITLE, "href": "native_api/", "url_route": "native_api", "destination": "nav", "category": "admin"}


def _add_menu_item(app: object, menu_items: List[Dict[str, object]]) -> object:
    """Add the link to the menu and return *app*: a middleware that does nothing in a request."""
    menu_items[:] = [_menu_item(True)]
    return app


def _menu_item(of_react: bool) -> Dict[str, object]:
    """Return the menu item; its link is relative to the base URL on Airflow 3, and an endpoint on Airflow 2."""
    href = "native_api/" if of_react else "native_api.console"
    return {"name": _TITLE, "href": href, "category": "Admin"}


def _is_disabled() -> bool:
    """Return whether this version of Airflow is not supported, or an option is invalid, which is logged."""
    from native_api import settings
    from native_api.adapters.compat import refusal

    if refusal():
        return True
    invalid_options = settings.invalid_options()
    for message in invalid_options:
        log.error("airflow-native-api is disabled: %s", message)
    return bool(invalid_options)


def _blueprints() -> List[object]:
    from native_api.http.app import blueprint
    from native_api.http.asynchronous import warm_with_server

    warm_with_server()
    return [blueprint()]


def _apps() -> List[Dict[str, object]]:
    from native_api import settings
    from native_api.adapters.compat import web_server
    from native_api.http import PREFIX
    from native_api.http.asynchronous import warm_with_server
    from native_api.http.first_request import CreatedByFirstRequest

    warm_with_server()
    if web_server.forks_workers():
        # gunicorn's workers share what was imported before they are forked.
        import_module("native_api.http.app")
    prefixes = [prefix for prefix in (PREFIX, settings.get("legacy_prefix")) if prefix]
    apps = CreatedByFirstRequest(lambda: _created(prefixes))
    return [{"name": f"native_api at {prefix}", "url_prefix": prefix, "app": apps.at(prefix)} for prefix in prefixes]


def _created(prefixes: List[str]) -> Dict[str, Any]:
    """Return an ASGI app for each prefix."""
    from native_api import settings
    from native_api.http.app import app
    from native_api.http.bridge import RunInThreads
    from native_api.http.disconnects import WatchDisconnects
    from native_api.http.request_body import BodyQuota, ReceiveBodyFirst

    small, room = app(), BodyQuota()
    # Requests that wait for a job must leave threads for others.
    threads = 10 + settings.get("job_slots") + settings.get("job_queue")
    return {
        prefix: WatchDisconnects(ReceiveBodyFirst(RunInThreads(small, prefix, threads), room)) for prefix in prefixes
    }
