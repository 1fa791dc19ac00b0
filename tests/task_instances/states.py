"""The states of the runs and of their task instances."""

from __future__ import annotations

from typing import Any, Dict, List, Optional

import native_api

#: The states that each run of wire_dag begins with.
AS_MADE = {"extract": "success", "transform": "failed", "load": "upstream_failed", "run": "failed"}


def states(run_id: str, dag_id: str = "wire_dag") -> Dict[str, Optional[str]]:
    """Return the states of a run's task instances, and of the run."""
    found = native_api.call("list_task_instances", dag_id=dag_id, run_id=run_id)["task_instances"]
    named = {ti["task_id"] if ti["map_index"] < 0 else str(ti["map_index"]): ti["state"] for ti in found}
    return {**named, "run": native_api.call("dag_state", dag_id=dag_id, run_id=run_id)["state"]}


def names(response: Any) -> List[str]:
    return [f"{ti['run_id']}.{ti['task_id']}" for ti in response["task_instances"]]
