"""The servers under test, each started once, when the first test asks for it."""

from __future__ import annotations

from typing import Iterator

import pytest

from tests.servers.deployment import TOKEN, Deployment, Server, prepared, running, serving
from tests.servers.versions import AIRFLOW, HAS_FAB

BASIC = "airflow.api.auth.backend.basic_auth"
SESSION = "airflow.api.auth.backend.session"
BACKENDS = "AIRFLOW__API__AUTH_BACKENDS"
STATIC_TOKEN = "AIRFLOW__REST_API_PLUGIN__REST_API_PLUGIN_EXPECTED_HTTP_TOKEN"


@pytest.fixture(scope="session")
def deployment(tmp_path_factory: pytest.TempPathFactory) -> Deployment:
    """An Airflow with DAGs and users and without processes, for the others to copy."""
    return prepared(tmp_path_factory.mktemp("airflow") / "prepared")


@pytest.fixture(scope="session")
def server(deployment: Deployment) -> Iterator[Server]:
    """An Airflow as it is usually set up, with a static token."""
    options = {BACKENDS: f"{BASIC},{SESSION}", STATIC_TOKEN: TOKEN}
    with serving(deployment.copy(deployment.home.with_name("usual"), **options)) as started:
        yield started


@pytest.fixture(scope="module")
def scheduled(server: Server) -> Iterator[Server]:
    """The usual Airflow, with all that runs tasks."""
    commands = ("scheduler", "dag-processor") if AIRFLOW >= (3, 0) else ("scheduler",)
    with running(server.deployment, *commands):
        yield server


@pytest.fixture(scope="session")
def server_below_base(deployment: Deployment) -> Iterator[Server]:
    """
    An Airflow below a base path, and the other way in all else.

    Its static token only reads, gunicorn lets headers with underscores through, and our limit of
    a body is larger than Airflow's own.
    """
    options = {
        BACKENDS: BASIC,
        STATIC_TOKEN: TOKEN,
        "AIRFLOW__NATIVE_API__TOKEN_EFFECTS": "read",
        "AIRFLOW__NATIVE_API__BODY_BYTES": "10000000",
        "GUNICORN_CMD_ARGS": "--header-map dangerous",
    }
    with serving(deployment.copy(deployment.home.with_name("below_base"), **options), "/base") as started:
        yield started


@pytest.fixture(scope="session")
def public_server(deployment: Deployment) -> Iterator[Server]:
    """An Airflow that its deployer made public: by FAB's public role, or by Simple's all-admins mode."""
    options = {BACKENDS: f"{BASIC},{SESSION}", STATIC_TOKEN: TOKEN}
    if HAS_FAB:
        options["AIRFLOW__FAB__AUTH_ROLE_PUBLIC"] = "Viewer"
    else:
        options["AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_ALL_ADMINS"] = "True"
    copy = deployment.copy(deployment.home.with_name("public"), **options)
    # Where Airflow 2 reads the public role.
    (copy.home / "webserver_config.py").write_text("AUTH_ROLE_PUBLIC = 'Viewer'\nWTF_CSRF_ENABLED = True\n")
    with serving(copy) as started:
        yield started
