"""The database of Airflow becomes unavailable, and available again."""

from __future__ import annotations

from contextlib import contextmanager
from typing import Iterator

import pytest

from tests.servers.calls import Call, reads_and_writes
from tests.servers.deployment import Deployment, Server
from tests.servers.processes import eventually
from tests.support.versions import AIRFLOW, HAS_FAB, on

pytestmark = [on("2.11", "3.3"), pytest.mark.slow]


@contextmanager
def outage(deployment: Deployment) -> Iterator[None]:
    """Replace the database by a file that is not a database."""
    away = deployment.database.with_name("away.db")
    deployment.database.rename(away)
    deployment.database.mkdir()
    try:
        yield
    finally:
        deployment.database.rmdir()
        away.rename(deployment.database)


def asks_first(who: str) -> bool:
    """Return whether Airflow's own middleware for FAB's public role queries the database first."""
    return HAS_FAB and AIRFLOW >= (3, 0) and who != "user"


@reads_and_writes
@pytest.mark.parametrize("who", ["user", "token", "anybody"])
def test_calls_are_503_during_an_outage_and_succeed_after_it(public_server: Server, who: str, call: Call) -> None:
    """With Retry-After."""
    if asks_first(who):
        pytest.skip("FAB's middleware for the public role fails before the request comes to us")
    page = public_server.anonymous.also({"Sec-Fetch-Site": "same-origin"})
    client = {"user": public_server.user("admin"), "token": public_server.holder(), "anybody": page}[who]
    expected = call(client).status
    with outage(public_server.deployment):
        response = call(client)
        if expected == 200 or response.status == 503:
            assert "database" in response.refusal(503)
            assert int(response.headers["Retry-After"]) > 0
        else:
            response.refusal(403)
    eventually(lambda: call(client).status == expected, f"calls return {expected} again")
