"""The servers under test, each started once, when the first test needs it."""

from __future__ import annotations

import threading
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import ContextManager, Dict, Iterator, Sequence, Tuple

import pytest

from tests.servers.deployment import EXECUTE, TOKEN, Deployment, Server, prepared, serving
from tests.support.versions import HAS_FAB

BASIC = "airflow.api.auth.backend.basic_auth"
SESSION = "airflow.api.auth.backend.session"
BACKENDS = "AIRFLOW__API__AUTH_BACKENDS"
STATIC_TOKEN = "AIRFLOW__REST_API_PLUGIN__REST_API_PLUGIN_EXPECTED_HTTP_TOKEN"


@pytest.fixture(scope="package")
def deployment(tmp_path_factory: pytest.TempPathFactory) -> Deployment:
    """An Airflow with DAGs and users and without processes, which others copy."""
    return prepared(tmp_path_factory.mktemp("airflow") / "prepared")


@pytest.fixture(scope="package")
def servers(deployment: Deployment, request: pytest.FixtureRequest) -> Iterator[Dict[str, Server]]:
    """The web servers that the tests need, by their fixtures; they start simultaneously."""
    wanted = {name for item in request.session.items if not _is_skipped(item) for name in _fixtures_of(item)}
    configured = {name: configure(deployment) for name, configure in CONFIGURED.items() if name in wanted}
    ended = threading.Event()
    with ThreadPoolExecutor(len(CONFIGURED)) as threads, _set_in_the_end(ended):
        started = {name: Future() for name in configured}
        for name, args in configured.items():
            threads.submit(_serve, serving(*args), started[name], ended)
        yield {name: future.result() for name, future in started.items()}


@contextmanager
def _set_in_the_end(event: threading.Event) -> Iterator[None]:
    try:
        yield
    finally:
        event.set()


def _serve(server: ContextManager[Server], started: Future[Server], ended: threading.Event) -> None:
    """Start a server and stop it at the end; each in a thread, since both take seconds."""
    try:
        with server as running:
            started.set_result(running)
            ended.wait()
    except BaseException as exc:
        if started.done():
            raise
        started.set_exception(exc)


def _is_skipped(item: pytest.Item) -> bool:
    return any(mark.name == "skip" or (mark.name == "skipif" and mark.args[0]) for mark in item.iter_markers())


def _fixtures_of(item: pytest.Item) -> Sequence[str]:
    names: Sequence[str] = getattr(item, "fixturenames", ())
    return names


@pytest.fixture(scope="package")
def server(servers: Dict[str, Server]) -> Server:
    """
    An Airflow with a usual configuration and a static token. No DAG code runs on these servers but on
    ``working_server``: each warm process takes seconds to import Airflow.
    """
    return servers["server"]


@pytest.fixture(scope="package")
def working_server(servers: Dict[str, Server]) -> Server:
    """The same, with jobs; files can be deployed to it."""
    return servers["working_server"]


@pytest.fixture(scope="package")
def server_below_base(servers: Dict[str, Server]) -> Server:
    """
    An Airflow with a base path, and with the opposite configuration otherwise. Its static token can only read, gunicorn
    accepts headers with underscores, and our limit of a body is larger than Airflow's own.
    """
    return servers["server_below_base"]


@pytest.fixture(scope="package")
def public_server(servers: Dict[str, Server]) -> Server:
    """A public Airflow: with FAB's public role, or with simple_auth_manager_all_admins."""
    return servers["public_server"]


def _usual(deployment: Deployment) -> Tuple[Deployment, str]:
    options = {BACKENDS: f"{BASIC},{SESSION}", STATIC_TOKEN: TOKEN, EXECUTE: "False"}
    return deployment.copy(deployment.home.with_name("usual"), **options), ""


def _working(deployment: Deployment) -> Tuple[Deployment, str]:
    options = {
        BACKENDS: f"{BASIC},{SESSION}",
        STATIC_TOKEN: TOKEN,
        "AIRFLOW__NATIVE_API__ALLOW_DEPLOY": "True",
        # Airflow 2's scheduler looks for a DAG's new version every 10 seconds otherwise.
        "AIRFLOW__CORE__MIN_SERIALIZED_DAG_FETCH_INTERVAL": "0",
    }
    return deployment.copy(deployment.home.with_name("working"), **options), ""


def _below_base(deployment: Deployment) -> Tuple[Deployment, str]:
    options = {
        BACKENDS: BASIC,
        STATIC_TOKEN: TOKEN,
        EXECUTE: "False",
        "AIRFLOW__NATIVE_API__TOKEN_EFFECTS": "read",
        "AIRFLOW__NATIVE_API__BODY_BYTES": "10000000",
        "GUNICORN_CMD_ARGS": "--header-map dangerous",
    }
    return deployment.copy(deployment.home.with_name("below_base"), **options), "/base"


def _public(deployment: Deployment) -> Tuple[Deployment, str]:
    options = {BACKENDS: f"{BASIC},{SESSION}", STATIC_TOKEN: TOKEN, EXECUTE: "False"}
    if HAS_FAB:
        options["AIRFLOW__FAB__AUTH_ROLE_PUBLIC"] = "Viewer"
    else:
        options["AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_ALL_ADMINS"] = "True"
    copy = deployment.copy(deployment.home.with_name("public"), **options)
    # Where Airflow 2 reads the public role.
    (copy.home / "webserver_config.py").write_text("AUTH_ROLE_PUBLIC = 'Viewer'\nWTF_CSRF_ENABLED = True\n")
    return copy, ""


CONFIGURED = {
    "server": _usual,
    "working_server": _working,
    "server_below_base": _below_base,
    "public_server": _public,
}
