"""The options, and the effect of an invalid value."""

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
def test_an_option_has_a_description_and_a_valid_default(option: settings.Option) -> None:
    assert option.help.endswith(".")
    option.read(option.default)


def test_the_defaults_apply(airflow: Any, monkeypatch: Any) -> None:
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


def test_state_dir_contains_the_other_folders_by_default(airflow: Any, monkeypatch: Any) -> None:
    """Unless they are configured."""
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
def test_an_invalid_value_disables_the_plugin_and_not_airflow(
    airflow: Any, monkeypatch: Any, caplog: Any, name: str, value: str
) -> None:
    """The log names the option."""
    from native_api.plugin import NativeApiPlugin

    monkeypatch.setenv(f"AIRFLOW__NATIVE_API__{name.upper()}", value)
    with caplog.at_level(logging.ERROR):
        plugin = NativeApiPlugin()
        assert plugin.flask_blueprints == plugin.fastapi_apps == []
    assert f"[native_api] {name} = {value}" in caplog.text
    with pytest.raises(settings.InvalidOption):
        settings.get(name)


def test_body_seconds_is_at_most_20_on_airflow_2(airflow: Any, monkeypatch: Any) -> None:
    monkeypatch.setenv("AIRFLOW__NATIVE_API__BODY_SECONDS", "300")
    assert settings.get("body_seconds") == (20 if airflow.version() < (3, 0) else 300)


def test_legacy_prefix_moves_or_disables_the_old_protocol(airflow: Any, monkeypatch: Any) -> None:
    from native_api.http.app import app

    def rules() -> Any:
        return {rule.rule for rule in app().url_map.iter_rules()}

    monkeypatch.setenv("AIRFLOW__NATIVE_API__LEGACY_PREFIX", "/old/")
    assert "/old/api/" in rules()
    monkeypatch.setenv("AIRFLOW__NATIVE_API__LEGACY_PREFIX", "")
    assert not [rule for rule in rules() if rule.endswith("/api/")]


def test_seconds_can_be_fractions(airflow: Any, monkeypatch: Any) -> None:
    """Those of jobs."""
    for name in ("job_seconds", "job_seconds_max", "job_queue_seconds"):
        monkeypatch.setenv(f"AIRFLOW__NATIVE_API__{name.upper()}", "0.5")
        assert settings.get(name) == 0.5
        monkeypatch.setenv(f"AIRFLOW__NATIVE_API__{name.upper()}", "7")
        assert repr(settings.get(name)) == "7"
        monkeypatch.setenv(f"AIRFLOW__NATIVE_API__{name.upper()}", "0")
        with pytest.raises(settings.InvalidOption, match="more than 0"):
            settings.get(name)
