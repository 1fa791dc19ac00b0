"""An Airflow with Celery, Redis and Kerberos, whose web server starts the daemons."""

from __future__ import annotations

from pathlib import Path
from typing import Iterator, List

import psutil
import pytest

from tests.daemons.services import KeyDistributionCentre, kerberos, redis
from tests.servers.deployment import TOKEN, Deployment, Server, prepared, serving
from tests.servers.processes import free_port

SECRET = "a-secret-that-is-long-enough-for-all-algorithms-of-jwt-and-for-hs512-too"


@pytest.fixture(scope="session")
def centre(tmp_path_factory: pytest.TempPathFactory) -> Iterator[KeyDistributionCentre]:
    """The key distribution centre."""
    with kerberos(tmp_path_factory.mktemp("kerberos")) as running:
        yield running


@pytest.fixture(scope="session")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of Redis."""
    with redis(tmp_path_factory.mktemp("redis")) as url:
        yield url


@pytest.fixture(scope="session")
def deployment(
    tmp_path_factory: pytest.TempPathFactory, centre: KeyDistributionCentre, broker: str
) -> Iterator[Deployment]:
    """The Airflow; all of its processes are killed at the end, whoever has started them."""
    home = tmp_path_factory.mktemp("airflow") / "home"
    deployment = prepared(home)
    deployment.options.update(
        {
            "AIRFLOW__CORE__EXECUTOR": "CeleryExecutor",
            # Airflow 2 refuses SQLite beside Celery otherwise.
            "_AIRFLOW__SKIP_DATABASE_EXECUTOR_COMPATIBILITY_CHECK": "1",
            "AIRFLOW__CELERY__BROKER_URL": broker,
            "AIRFLOW__CELERY__RESULT_BACKEND": broker,
            "AIRFLOW__LOGGING__WORKER_LOG_SERVER_PORT": str(free_port()),
            "AIRFLOW__WEBSERVER__SECRET_KEY": SECRET,
            "AIRFLOW__API__SECRET_KEY": SECRET,
            "AIRFLOW__API__AUTH_BACKENDS": "airflow.api.auth.backend.basic_auth",
            "AIRFLOW__KERBEROS__CCACHE": str(home / "ccache"),
            "AIRFLOW__KERBEROS__REINIT_FREQUENCY": "3600",
            # The centre is on loopback, which is not among the addresses that a ticket else is for.
            "AIRFLOW__KERBEROS__INCLUDE_IP": "False",
            "AIRFLOW__REST_API_PLUGIN__REST_API_PLUGIN_EXPECTED_HTTP_TOKEN": TOKEN,
            "AIRFLOW__NATIVE_API__ALLOW_DAEMONS": "True",
            **centre.environment,
        }
    )
    yield deployment
    for process in running_on(home):
        process.kill()


@pytest.fixture(scope="session")
def server(deployment: Deployment) -> Iterator[Server]:
    """The web server."""
    with serving(deployment) as started:
        yield started


def running_on(home: Path) -> List[psutil.Process]:
    """Return all processes of the Airflow with that home."""
    found = []
    for process in psutil.process_iter():
        try:
            if process.environ().get("AIRFLOW_HOME") == str(home) and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
        except (psutil.AccessDenied, psutil.NoSuchProcess):
            continue
    return found
