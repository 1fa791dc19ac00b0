"""How Airflow loads and mounts the plugin, and its cost in other processes."""

from __future__ import annotations

import json
import logging
import subprocess
import sys
from typing import Any

import pytest

from tests.support.versions import AIRFLOW

LOADS = """
import json, sys
from airflow import plugins_manager
before = set(sys.modules)
from native_api.plugin import NativeApiPlugin
NativeApiPlugin().on_load()
own = set(sys.modules) - before
load = getattr(plugins_manager, "ensure_plugins_loaded", None) or plugins_manager._get_plugins
load()
ours = {name for name in sys.modules if name.split(".")[0] == "native_api"}
print(json.dumps([sorted(own), sorted(ours)]))
"""


def test_other_processes_import_little(airflow: Any) -> None:
    """A scheduler or a task loads a few small modules, and not Flask."""
    loaded = subprocess.run([sys.executable, "-W", "ignore", "-c", LOADS], capture_output=True, text=True, check=True)
    own, ours = json.loads(loaded.stdout.splitlines()[-1])
    compat = ["native_api.adapters", "native_api.adapters.compat", "native_api.adapters.compat.installed"]
    assert own == ours == ["native_api", *compat, "native_api.plugin", "native_api.version"]


def test_it_is_mounted_once_on_each_generation(airflow: Any) -> None:
    from native_api.plugin import NativeApiPlugin

    plugin = NativeApiPlugin()
    if airflow.version() < (3, 0):
        assert [blueprint.name for blueprint in plugin.flask_blueprints] == ["native_api"]
        assert plugin.fastapi_apps == []
    else:
        assert plugin.flask_blueprints == []
        assert [app["url_prefix"] for app in plugin.fastapi_apps] == ["/native_api", "/admin/rest_api"]


def test_the_menu_has_one_entry(airflow: Any) -> None:
    """A link on Airflow 2 and 3.0, a view on later versions."""
    from native_api.plugin import NativeApiPlugin

    plugin = NativeApiPlugin()
    links = [(item["name"], item["href"]) for item in plugin.appbuilder_menu_items]
    views = [(view["name"], view["href"]) for view in plugin.external_views]
    if airflow.version() < (3, 0):
        # The name of the route, of which Airflow makes the address below its base URL.
        assert (links, views) == ([("Native API", "native_api.console")], [])
    elif airflow.version() < (3, 1):
        # Without FAB a link would keep Airflow from starting.
        assert (links, views) == ([("Native API", "native_api/")] if airflow.has_fab() else [], [])
    else:
        assert (links, views) == ([], [("Native API", "native_api/")])


def test_the_late_entry_of_airflow_3_0(airflow: Any) -> None:
    """Without FAB the link comes with the first request: by a middleware that leaves the app as it is."""
    from native_api.plugin import NativeApiPlugin

    plugin = NativeApiPlugin()
    is_late = (3, 0) <= airflow.version() < (3, 1) and not airflow.has_fab()
    assert len(plugin.fastapi_root_middlewares) == is_late
    for late in plugin.fastapi_root_middlewares:
        app = object()
        assert late["middleware"](app, **late["kwargs"]) is app
        assert [(item["name"], item["href"]) for item in plugin.appbuilder_menu_items] == [
            ("Native API", "native_api/")
        ]


@pytest.mark.skipif(not (3, 0) <= AIRFLOW < (3, 1), reason="Only 3.0 makes its menu of them on a FastAPI app")
def test_airflow_3_0_lists_the_entry(web: Any) -> None:
    """Which its menu is made of."""
    response = web.request("GET", "/api/v2/plugins", login="admin")
    (ours,) = [plugin for plugin in response.json["plugins"] if plugin["name"] == "native_api"]
    assert [item["name"] for item in ours["appbuilder_menu_items"]] == ["Native API"]


def test_an_airflow_that_is_too_old_logs_a_warning(airflow: Any, mocker: Any, caplog: Any) -> None:
    """Airflow runs without the plugin."""
    mocker.patch("airflow.__version__", "2.6.3")
    from native_api.plugin import NativeApiPlugin

    with caplog.at_level(logging.WARNING):
        plugin = NativeApiPlugin()
        plugin.on_load()
        assert plugin.flask_blueprints == plugin.fastapi_apps == []
        assert plugin.appbuilder_menu_items == plugin.external_views == []
    assert [record.getMessage() for record in caplog.records if record.name.startswith("native_api")] == [
        "airflow-native-api needs Apache Airflow 2.7 or newer and found 2.6; it is disabled."
    ]


@pytest.mark.parametrize(
    "version, generation, place",
    [("3.5.0", "airflow3", 0), ("4.0.0", "airflow3", 0), ("2.12.0", "airflow2", 0), ("2.7.0rc1", "airflow2", -1)],
)
def test_an_unknown_newer_airflow_gets_the_newest_implementation(
    airflow: Any, mocker: Any, version: str, generation: str, place: int
) -> None:
    """That of its generation."""
    from native_api.adapters import compat
    from native_api.adapters.compat import airflow2, airflow3

    mocker.patch("airflow.__version__", version)
    known = {"airflow2": airflow2.VERSIONS, "airflow3": airflow3.VERSIONS}[generation]
    assert known == tuple(sorted(known, key=lambda row: row.since, reverse=True))
    compat.airflow.cache_clear()
    try:
        assert type(compat.airflow()) is known[place].airflow
    finally:
        compat.airflow.cache_clear()


def test_adapters_are_imported_by_one_name_only(airflow: Any) -> None:
    """The registry refuses a second registration, as by a copy with another name."""
    from native_api import registry

    existing = registry.get("version")
    with pytest.raises(ValueError, match="registered twice"):
        registry.operation(
            request=type(existing.request),
            result=type(existing.result),
            access=None,
            effect=existing.effect,
            tag=existing.tag,
        )(existing.function)
