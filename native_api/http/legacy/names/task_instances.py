"""task_state, task_failed_deps."""

from __future__ import annotations

from typing import Any, Mapping

from native_api.errors import DagRunNotFound, TaskInstanceNotFound
from native_api.http.legacy.names.dag_runs import one_run
from native_api.http.legacy.protocol import Arguments, Plan, legacy_name


@legacy_name(
    "task_state",
    "execution_date logical_date run_id map_index subdir",
    required="dag_id task_id",
    operation="task_state",
)
def task_state(arguments: Arguments) -> Plan:
    """Return the state of a task instance; the text is None if there is no run, no task instance or no state."""
    values = {**arguments.given("dag_id", "task_id", "map_index", "subdir"), **one_run(arguments)}
    return Plan("task_state", values, _state, {DagRunNotFound: "None\n", TaskInstanceNotFound: "None\n"})


@legacy_name(
    "task_failed_deps",
    "execution_date logical_date run_id map_index subdir",
    required="dag_id task_id",
    operation="task_failed_deps",
)
def task_failed_deps(arguments: Arguments) -> Plan:
    """Return the unmet dependencies of a task instance, one per line."""
    values = {**arguments.given("dag_id", "task_id", "map_index", "subdir"), **one_run(arguments)}
    return Plan("task_failed_deps", values, _dependencies)


def _dependencies(result: Mapping[str, Any]) -> str:
    if not result["dependencies"]:
        return "Task instance dependencies are all met.\n"
    lines = [f"{dependency['name']}: {dependency['reason']}\n" for dependency in result["dependencies"]]
    return "Task instance dependencies not met:\n" + "".join(lines)


def _state(result: Mapping[str, Any]) -> str:
    return f"{result['state']}\n"
