"""Jobs do not get the secrets of the web server."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any, Iterator

import pytest

from native_api.adapters.compat import airflow as seam
from native_api.adapters.sandbox import environment
from tests.support import airflow_under_test, jobs_under_test
from tests.support.versions import by_default_on

pytestmark = by_default_on("2.7", "2.11", "3.0", "3.3")

TOKEN = "the-static-token-of-a-test"
#: Set for the web server; DAG code needs none of them.
OURS = {
    "AIRFLOW__NATIVE_API__REST_API_PLUGIN_EXPECTED_HTTP_TOKEN": TOKEN,
    "AIRFLOW__NATIVE_API__REST_API_PLUGIN_EXPECTED_HTTP_TOKEN_CMD": "echo the-command-of-the-token",
    "AIRFLOW__REST_API_PLUGIN__REST_API_PLUGIN_EXPECTED_HTTP_TOKEN": "the-token-of-the-peer",
    "AIRFLOW__API_AUTH__JWT_SECRET": "the-secret-of-tokens" * 4,
    "AIRFLOW__API_AUTH__JWT_SECRET_SECRET": "a-path-in-a-secrets-backend",
    "AIRFLOW__API__SECRET_KEY": "the-key-of-sessions-3",
    "AIRFLOW__WEBSERVER__SECRET_KEY": "the-key-of-sessions-2",
    "AIRFLOW__WEBSERVER__SECRET_KEY_CMD": "echo the-command-of-the-key",
    "AIRFLOW__CORE__INTERNAL_API_SECRET_KEY": "the-key-of-the-internal-api",
    "AIRFLOW__KEYCLOAK_AUTH_MANAGER__CLIENT_SECRET": "the-secret-of-keycloak",
    "AIRFLOW__CELERY__FLOWER_BASIC_AUTH": "flower:the-password-of-flower",
    "_AIRFLOW_WWW_USER_PASSWORD": "the-password-of-the-first-user",
    "OAUTH_CLIENT_SECRET": "the-secret-of-webserver-config",
}
#: A secret that jobs need, since variables and connections are encrypted with it.
KEPT = "AIRFLOW__CORE__FERNET_KEY"


@pytest.fixture(scope="module")
def secrets(airflow: Any) -> Iterator[None]:
    """Start a warm process whose environment has all these secrets."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in OURS.items():
            patch.setenv(name, value)
        patch.setenv("AIRFLOW__NATIVE_API__JOB_ENVIRONMENT_WITHOUT", "NOTHING_ELSE, OAUTH_*_SECRET")
        with jobs_under_test.another_server():
            yield


def test_no_secret_of_the_web_server_is_in_the_environment_of_a_job(fresh: Any, secrets: None) -> None:
    """Neither in os.environ nor in the environment that the process was executed with, in whatever spelling."""
    own, *executed = jobs_under_test.run("environments").result
    for found in (own, *executed):
        assert [value for value in OURS.values() if value in found.values()] == []
        assert found["AIRFLOW_HOME"] == str(airflow_under_test.HOME)
        assert found[KEPT] == os.environ[KEPT]
    assert "_AIRFLOW_WWW_USER_PASSWORD" not in own
    assert "OAUTH_CLIENT_SECRET" not in own


def test_the_secret_options_have_other_values_in_a_job(fresh: Any, secrets: None) -> None:
    """Neither airflow.cfg, a command nor a secrets backend is read for them; signing keys are random."""
    for (section, key), is_random in seam().user_code.secrets_of_web_server.items():
        value = jobs_under_test.run("configured", {"section": section, "key": key}).result
        assert (bool(value), value in OURS.values()) == (is_random, False), key
    for section in ("native_api", "rest_api_plugin"):
        asked = {"section": section, "key": "rest_api_plugin_expected_http_token"}
        assert jobs_under_test.run("configured", asked).result == ""


def test_a_secret_that_a_job_reads_from_a_file_is_masked(fresh: Any, secrets: None, tmp_path: Path) -> None:
    """In its log and in its result; so are secrets that it needs."""
    file = tmp_path / "airflow.cfg"
    there = [*OURS.values(), os.environ[KEPT]]
    file.write_text("\n".join(there))
    finished = jobs_under_test.run("show", {"path": str(file)})
    for result in (finished.log, json.dumps(finished.result)):
        assert [value for value in there if value in result] == []
        assert "***" in result


def test_jobs_start_though_the_command_of_a_secret_option_fails(airflow: Any, monkeypatch: Any) -> None:
    monkeypatch.delenv("AIRFLOW__CORE__FERNET_KEY")
    monkeypatch.setenv("AIRFLOW__CORE__FERNET_KEY_CMD", "false")
    monkeypatch.setenv("AIRFLOW__NATIVE_API__REST_API_PLUGIN_EXPECTED_HTTP_TOKEN", TOKEN)
    assert TOKEN in environment.texts_to_mask()
