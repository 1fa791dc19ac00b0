"""render, test, run."""

from __future__ import annotations

from socket import getfqdn
from typing import Any, Dict, List, Mapping, Optional

from native_api.http.legacy.names.dag_runs import one_run
from native_api.http.legacy.protocol import Arguments, Plan, legacy_name

INSTANCE = "execution_date logical_date run_id map_index subdir async"

#: The number of lines of the log tail in the standard error of a failed task.
TAIL = 20

RUN_FLAGS = (
    "mark_success",
    "force",
    "local",
    "ignore_all_dependencies",
    "ignore_dependencies",
    "ignore_depends_on_past",
    "ship_dag",
)
RUN_TEXTS = ("map_index", "pool", "pickle", "cfg_path", "subdir")

#: The states of a task instance that has not succeeded.
FAILED = ("failed", "up_for_retry", "upstream_failed")

_RULE = f"# {'-' * 58}\n"


@legacy_name("render", INSTANCE, required="dag_id task_id", operation="render_task")
def render(arguments: Arguments) -> Plan:
    """Render the template fields of a task; the text has each below a heading."""
    return Plan("render_task", {**_task(arguments), **one_run(arguments)}, _fields)


@legacy_name("test", f"{INSTANCE} task_params", required="dag_id task_id", operation="test_task")
def test(arguments: Arguments) -> Plan:
    """Test a task; the text is its log."""
    values = {**_task(arguments), **arguments.given("task_params")}
    if arguments.given("run_id", "execution_date", "logical_date"):
        values.update(one_run(arguments))
    return Plan("test_task", values, lambda result: str(result["log"]), failure=_test_failure)


def _task(arguments: Arguments) -> Dict[str, object]:
    values: Dict[str, object] = dict(arguments.given("dag_id", "task_id", "map_index", "subdir"))
    if arguments.flag("async"):
        values["async"] = True
    return values


def _fields(result: Mapping[str, Any]) -> str:
    return "".join(
        f"{_RULE}# property: {field['name']}\n{_RULE}{field['text']}\n\n" for field in result["template_fields"]
    )


def _test_failure(result: Mapping[str, Any]) -> Optional[str]:
    if result["state"] != "failed":
        return None
    raised = result["exception"] or "The task failed"
    message = " ".join((result["message"] or "").split())
    end = result["log"].splitlines(keepends=True)[-TAIL:]
    return f"{raised}: {message}\n" + "".join(end)


@legacy_name(
    "run",
    f"execution_date logical_date run_id async {' '.join((*RUN_TEXTS, *RUN_FLAGS))}",
    required="dag_id task_id",
    operation="run_task",
)
def run(arguments: Arguments) -> Plan:
    """Run a task instance; the text is a line that names it, and its log."""
    values: Dict[str, object] = {**arguments.given("dag_id", "task_id", *RUN_TEXTS), **one_run(arguments)}
    values.update({name: True for name in (*RUN_FLAGS, "async") if arguments.flag(name)})
    return Plan("run_task", values, _run_text, failure=_run_failure)


def _run_text(result: Mapping[str, Any]) -> str:
    named = f"{result['dag_id']}.{result['task_id']} {result['logical_date'] or result['run_id']}"
    line = f"Running <TaskInstance: {named} [{result['previous_state']}]> on host {result['hostname'] or getfqdn()}\n"
    return line + (result["log"] or "")


def _run_failure(result: Mapping[str, Any]) -> Optional[str]:
    if result["how"] != "sandbox" or result["state"] not in FAILED:
        return None
    end: List[str] = (result["log"] or "").splitlines(keepends=True)[-TAIL:]
    return f"The task {result['task_id']} of the DAG {result['dag_id']} ended as {result['state']}\n" + "".join(end)
