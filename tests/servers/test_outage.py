"""Airflow's database goes away, and comes back."""

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
    """Take the database away, and put something in its place that no database can be opened in."""
    away = deployment.database.with_name("away.db")
    deployment.database.rename(away)
    deployment.database.mkdir()
    try:
        yield
    finally:
        deployment.database.rmdir()
        away.rename(deployment.database)


def asks_first(who: str) -> bool:
    """Return whether Airflow's own middleware, which FAB has for the public role, asks the database before us."""
    return HAS_FAB and AIRFLOW >= (3, 0) and who != "user"


@reads_and_writes
@pytest.mark.parametrize("who", ["user", "token", "anybody"])
def test_an_outage_is_told_and_survived(public_server: Server, who: str, call: Call) -> None:
    """While the database is away a call is 503 and says when to try again; when it is back, calls go well."""
    if asks_first(who):
        pytest.skip("FAB's middleware for the public role fails before the request comes to us")
    page = public_server.anonymous.also({"Sec-Fetch-Site": "same-origin"})
    client = {"user": public_server.user("admin"), "token": public_server.holder(), "anybody": page}[who]
    expected = call(client).status
    with outage(public_server.deployment):
        answer = call(client)
        if expected == 200 or answer.status == 503:
            assert "database" in answer.refusal(503)
            assert int(answer.headers["Retry-After"]) > 0
        else:
            answer.refusal(403)
    eventually(lambda: call(client).status == expected, f"calls answer {expected} again")
