"""Runs that have ended, for a test to change."""

from __future__ import annotations

from typing import Any

import pytest

import native_api
from tests.support.dag_runs import set_run_state, set_state


@pytest.fixture
def runs(fresh: Any) -> Any:
    """Make three runs of one DAG, whose tasks have ended in each way, and a mapped one."""
    for day in (1, 2, 3):
        native_api.call("trigger_dag", dag_id="wire_dag", run_id=f"r{day}", logical_date=f"2026-11-0{day}")
        set_run_state("wire_dag", f"r{day}", "failed")
        set_state("wire_dag", f"r{day}", "extract", "success")
        set_state("wire_dag", f"r{day}", "transform", "failed")
        set_state("wire_dag", f"r{day}", "load", "upstream_failed")
    native_api.call("trigger_dag", dag_id="mapped", run_id="m", logical_date="2026-11-01")
