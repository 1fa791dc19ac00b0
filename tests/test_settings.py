"""The options, and what a bad value does."""

from __future__ import annotations

import logging
import os
from pathlib import Path
from typing import Any

import pytest

from native_api import settings
from native_api.adapters import sandbox
from native_api.adapters.deployments import history
from native_api.effects import Effect


@pytest.mark.parametrize("option", [pytest.param(option, id=name) for name, option in settings.OPTIONS.items()])
def test_an_option_is_declared_in_full(option: settings.Option) -> None:
    assert option.help.endswith(".")
    option.read(option.default)


def test_defaults(airflow: Any, monkeypatch: Any) -> None:
    monkeypatch.delenv("AIRFLOW__REST_API_PLUGIN__REST_API_PLUGIN_EXPECTED_HTTP_TOKEN")
    for option in ("TOKEN_EFFECTS", "ALLOW_DEPLOY", "ALLOW_DAEMONS"):
        monkeypatch.delenv(f"AIRFLOW__NATIVE_API__{option}")
    assert settings.get("rest_api_plugin_expected_http_token") == ""
    assert settings.get("token_effects") == {Effect.READ, Effect.WRITE, Effect.EXECUTE}
    assert [settings.get(f"allow_{what}") for what in ("execute", "deploy", "daemons")] == [True, False, False]
    assert settings.get("administrators") == set()
    assert settings.get("legacy_prefix") == "/admin/rest_api"
    assert settings.get("files_dir") == f"{os.environ['AIRFLOW_HOME']}/native_api/files"
    assert (settings.get("page_limit"), settings.get("page_limit_maximum")) == (100, 1000)


def test_the_state_can_be_elsewhere(airflow: Any, monkeypatch: Any) -> None:
    """The folders of files and daemons are in state_dir, unless they are configured themselves."""
    monkeypatch.setenv("AIRFLOW__NATIVE_API__STATE_DIR", "/srv/state")
    assert [settings.get(f"{what}_dir") for what in ("files", "daemons")] == ["/srv/state/files", "/srv/state/daemons"]
    assert sandbox.jobs_folder() == Path("/srv/state/jobs")
    assert history.root() == Path("/srv/state/deployments")
    monkeypatch.setenv("AIRFLOW__NATIVE_API__FILES_DIR", "$AIRFLOW_HOME/files")
    assert settings.get("files_dir") == f"{os.environ['AIRFLOW_HOME']}/files"


@pytest.mark.parametrize(
    "name, value",
    [
        ("page_limit", "0"),
        ("page_limit", "x"),
        ("token_effects", "read,fly"),
        ("legacy_prefix", "no/slash"),
        ("files_dir", "not/whole"),
        ("files_dir", "/"),
        ("allow_daemons", "perhaps"),
    ],
)
def test_a_bad_value_leaves_airflow_running(airflow: Any, monkeypatch: Any, caplog: Any, name: str, value: str) -> None:
    """The plugin stays switched off and says which option it is."""
    from native_api.plugin import NativeApiPlugin

    monkeypatch.setenv(f"AIRFLOW__NATIVE_API__{name.upper()}", value)
    with caplog.at_level(logging.ERROR):
        plugin = NativeApiPlugin()
        assert plugin.flask_blueprints == plugin.fastapi_apps == []
    assert f"[native_api] {name} = {value}" in caplog.text
    with pytest.raises(settings.InvalidOption):
        settings.get(name)


def test_a_body_leaves_a_web_worker_of_airflow_2_time_for_its_job(airflow: Any, monkeypatch: Any) -> None:
    monkeypatch.setenv("AIRFLOW__NATIVE_API__BODY_SECONDS", "300")
    assert settings.get("body_seconds") == (20 if airflow.version() < (3, 0) else 300)


def test_the_legacy_face_can_be_moved_or_switched_off(airflow: Any, monkeypatch: Any) -> None:
    from native_api.http.app import app

    def rules() -> Any:
        return {rule.rule for rule in app().url_map.iter_rules()}

    monkeypatch.setenv("AIRFLOW__NATIVE_API__LEGACY_PREFIX", "/old/")
    assert "/old/api/" in rules()
    monkeypatch.setenv("AIRFLOW__NATIVE_API__LEGACY_PREFIX", "")
    assert not [rule for rule in rules() if rule.endswith("/api/")]


def test_seconds_may_be_less_than_one(airflow: Any, monkeypatch: Any) -> None:
    """Those of jobs; whole ones are shown as such."""
    for name in ("job_seconds", "job_seconds_max", "job_queue_seconds"):
        monkeypatch.setenv(f"AIRFLOW__NATIVE_API__{name.upper()}", "0.5")
        assert settings.get(name) == 0.5
        monkeypatch.setenv(f"AIRFLOW__NATIVE_API__{name.upper()}", "7")
        assert repr(settings.get(name)) == "7"
        monkeypatch.setenv(f"AIRFLOW__NATIVE_API__{name.upper()}", "0")
        with pytest.raises(settings.InvalidOption, match="more than 0"):
            settings.get(name)
