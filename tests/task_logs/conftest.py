"""A run whose tasks have logs."""

from __future__ import annotations

import shutil
from typing import Any

import pytest

import native_api
from tests.task_logs.one_task import NAMED, RUN


@pytest.fixture
def run(fresh: Any) -> Any:
    """Make a run, and leave no logs of it."""
    native_api.call("trigger_dag", dag_id="wire_dag", run_id=RUN)
    folder = fresh.log_file(**NAMED, try_number=1).parents[1]
    yield fresh
    shutil.rmtree(folder, ignore_errors=True)
