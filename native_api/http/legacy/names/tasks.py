"""list_tasks, clear."""

from __future__ import annotations

from typing import Any, Dict, List, Mapping

from native_api.http.legacy.protocol import Arguments, Plan, legacy_name

FLAGS = ("upstream", "downstream", "only_failed", "only_running", "exclude_subdags", "exclude_parentdag")


@legacy_name("list_tasks", "tree subdir", required="dag_id", operation="list_tasks")
def list_tasks(arguments: Arguments) -> Plan:
    """List the ids of a DAG's tasks, or their tree."""
    values: Dict[str, object] = dict(arguments.given("dag_id", "subdir"))
    if arguments.flag("tree"):
        return Plan("list_tasks", {**values, "tree": True}, _tree)
    return Plan("list_tasks", values, _ids)


@legacy_name(
    "clear",
    f"task_regex start_date end_date no_confirm subdir {' '.join(FLAGS)}",
    required="dag_id",
    operation="clear_tasks",
)
def clear(arguments: Arguments) -> Plan:
    """Clear task instances without confirmation; a dry run lists them."""
    values: Dict[str, object] = dict(arguments.given("dag_id", "task_regex", "start_date", "end_date", "subdir"))
    values.update({name: True for name in FLAGS if arguments.flag(name)})
    return Plan("clear_tasks", values, _to_clear, defaults={"dry_run": False})


def _to_clear(result: Mapping[str, Any]) -> str:
    if not result["dry_run"]:
        return ""
    lines = [
        f"<TaskInstance: {ti['dag_id']}.{ti['task_id']} {ti['run_id']} [{ti['state']}]>\n"
        for ti in result["task_instances"]
    ]
    return f"You are about to delete these {len(lines)} tasks:\n" + "".join(lines) if lines else "Nothing to clear.\n"


def _ids(result: Mapping[str, Any]) -> str:
    return "".join(f"{task['task_id']}\n" for task in result["tasks"])


def _tree(result: Mapping[str, Any]) -> str:
    return "".join(_branch(task, 0) for task in result["tree"])


def _branch(task: Mapping[str, Any], depth: int) -> str:
    kind = "Mapped" if task["is_mapped"] else "Task"
    below: List[str] = [_branch(following, depth + 1) for following in task["downstream"]]
    return f"{' ' * 4 * depth}<{kind}({task['operator']}): {task['task_id']}>\n" + "".join(below)
