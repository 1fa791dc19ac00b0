"""The cluster, started once."""

from __future__ import annotations

from typing import Iterator

import pytest

from tests.cluster.cluster import Cluster, running
from tests.servers.client import Client


@pytest.fixture(scope="session")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """The hosts."""
    with running(tmp_path_factory.mktemp("cluster")) as started:
        yield started


@pytest.fixture(scope="session")
def client(cluster: Cluster) -> Client:
    """A client of the load balancer."""
    return cluster.client
