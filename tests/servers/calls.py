"""Calls that tests make with every API."""

from __future__ import annotations

from typing import Callable

import pytest

from tests.servers.client import LEGACY, Client, Response

Call = Callable[[Client], Response]

READS = (
    pytest.param(lambda client: client.read("list_dags"), id="typed read"),
    pytest.param(lambda client: client.legacy("list_dags"), id="legacy read"),
)
#: By GET, as most clients of the old protocol do.
WRITES = (
    pytest.param(lambda client: client.write("pause_dag", dag_id="others"), id="typed write"),
    pytest.param(lambda client: client.legacy("pause", dag_id="others"), id="legacy write"),
)
POSTED_WRITES = (
    pytest.param(lambda client: client.write("pause_dag", dag_id="others"), id="typed write"),
    pytest.param(lambda client: client.post("/native_api/v1/pause_dag", form={"dag_id": "others"}), id="typed form"),
    pytest.param(lambda client: client.post(LEGACY, form={"api": "pause", "dag_id": "others"}), id="legacy form"),
    pytest.param(lambda client: client.post(LEGACY, api="pause", dag_id="others"), id="legacy POST without a body"),
)

reads = pytest.mark.parametrize("call", READS)
writes = pytest.mark.parametrize("call", WRITES)
posted_writes = pytest.mark.parametrize("call", POSTED_WRITES)
reads_and_writes = pytest.mark.parametrize("call", READS + WRITES)
