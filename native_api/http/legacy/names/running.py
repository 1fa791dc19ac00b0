"""run."""

from __future__ import annotations

from socket import getfqdn
from typing import Any, Dict, List, Mapping, Optional

from native_api.http.legacy.names.dag_runs import one_run
from native_api.http.legacy.protocol import Arguments, Plan, legacy_name

FLAGS = (
    "mark_success",
    "force",
    "local",
    "ignore_all_dependencies",
    "ignore_dependencies",
    "ignore_depends_on_past",
    "ship_dag",
)
TEXTS = ("map_index", "pool", "pickle", "cfg_path", "subdir")

#: How many lines of the end of a failed task's log its standard error has.
TAIL = 20

#: The states of a task that its run did not bring to a good end.
FAILED = ("failed", "up_for_retry", "upstream_failed")


@legacy_name(
    "run",
    f"execution_date logical_date run_id async {' '.join((*TEXTS, *FLAGS))}",
    required="dag_id task_id",
    operation="run_task",
)
def run(arguments: Arguments) -> Plan:
    """One task instance for real: a line that says which, and its log."""
    wanted: Dict[str, Any] = {**arguments.given("dag_id", "task_id", *TEXTS), **one_run(arguments)}
    wanted.update({name: True for name in (*FLAGS, "async") if arguments.flag(name)})
    return Plan("run_task", wanted, _text, failure=_failure)


def _text(result: Mapping[str, Any]) -> str:
    named = f"{result['dag_id']}.{result['task_id']} {result['logical_date'] or result['run_id']}"
    line = f"Running <TaskInstance: {named} [{result['previous_state']}]> on host {result['hostname'] or getfqdn()}\n"
    return line + (result["log"] or "")


def _failure(result: Mapping[str, Any]) -> Optional[str]:
    if result["how"] != "sandbox" or result["state"] not in FAILED:
        return None
    end: List[str] = (result["log"] or "").splitlines(keepends=True)[-TAIL:]
    return f"The task {result['task_id']} of the DAG {result['dag_id']} ended as {result['state']}\n" + "".join(end)
