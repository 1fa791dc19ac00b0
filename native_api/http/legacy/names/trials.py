"""render, test."""

from __future__ import annotations

from typing import Any, Dict, Mapping, Optional

from native_api.http.legacy.names.dag_runs import one_run
from native_api.http.legacy.protocol import Arguments, Plan, legacy_name

INSTANCE = "execution_date logical_date run_id map_index subdir async"

#: How many lines of the end of a failed task's log its standard error has.
TAIL = 20

_RULE = f"# {'-' * 58}\n"


@legacy_name("render", INSTANCE, required="dag_id task_id", operation="render_task")
def render(arguments: Arguments) -> Plan:
    """The template fields of a task, each below a heading."""
    return Plan("render_task", {**_task(arguments), **one_run(arguments)}, _fields)


@legacy_name("test", f"{INSTANCE} task_params", required="dag_id task_id", operation="test_task")
def test(arguments: Arguments) -> Plan:
    """A task run with nothing recorded: its log."""
    wanted = {**_task(arguments), **arguments.given("task_params")}
    if arguments.given("run_id", "execution_date", "logical_date"):
        wanted.update(one_run(arguments))
    return Plan("test_task", wanted, lambda result: str(result["log"]), failure=_failure)


def _task(arguments: Arguments) -> Dict[str, Any]:
    wanted: Dict[str, Any] = dict(arguments.given("dag_id", "task_id", "map_index", "subdir"))
    if arguments.flag("async"):
        wanted["async"] = True
    return wanted


def _fields(result: Mapping[str, Any]) -> str:
    return "".join(
        f"{_RULE}# property: {field['name']}\n{_RULE}{field['text']}\n\n" for field in result["template_fields"]
    )


def _failure(result: Mapping[str, Any]) -> Optional[str]:
    if result["state"] != "failed":
        return None
    raised = result["exception"] or "The task failed"
    message = " ".join((result["message"] or "").split())
    end = result["log"].splitlines(keepends=True)[-TAIL:]
    return f"{raised}: {message}\n" + "".join(end)
