"""The cluster, started once."""

from __future__ import annotations

from typing import Any, Dict, Iterator

import pytest

from tests.cluster.calls import FROM_DATE, TO_DATE, started
from tests.cluster.cluster import Cluster, running
from tests.servers.client import Client


@pytest.fixture(scope="session")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """The hosts."""
    with running(tmp_path_factory.mktemp("cluster")) as started:
        yield started


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item: Any) -> Iterator[None]:
    """Show the end of the hosts' output with a failure."""
    outcome = yield
    report = outcome.get_result()  # type: ignore[attr-defined]
    if report.failed and "cluster" in item.funcargs:
        report.sections.append(("Output of the hosts", item.funcargs["cluster"].tails()))


@pytest.fixture(scope="session")
def client(cluster: Cluster) -> Client:
    """A client of the load balancer."""
    return cluster.client


@pytest.fixture(scope="session")
def hanging(client: Client) -> str:
    """A job that hangs until its timeout, during the other tests."""
    return started(client, "hang")


@pytest.fixture(scope="session")
def backfill(client: Client) -> Dict[str, Any]:
    """A backfill that is being executed during the other tests."""
    client.write("unpause_dag", dag_id="daily").result()
    accepted: Dict[str, Any] = client.write(
        "backfill_dag", dag_id="daily", from_date=FROM_DATE, to_date=TO_DATE
    ).result(202)
    return accepted


@pytest.fixture(scope="session")
def run_id(client: Client) -> str:
    """A triggered run that is being executed during the other tests."""
    run: str = client.write("trigger_dag", dag_id="queues").result(201)["run_id"]
    return run
