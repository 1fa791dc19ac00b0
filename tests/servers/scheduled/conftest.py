"""An Airflow with all that runs tasks: started once for what needs it."""

from __future__ import annotations

from typing import Iterator

import pytest

from tests.servers.deployment import Server, running
from tests.support.versions import AIRFLOW


@pytest.fixture(scope="package")
def scheduled(working_server: Server) -> Iterator[Server]:
    commands = ("scheduler", "dag-processor") if AIRFLOW >= (3, 0) else ("scheduler",)
    with running(working_server.deployment, *commands):
        yield working_server
