"""Tasks of a DAG, from its serialized form, which is not deserialized."""

from __future__ import annotations

from collections import defaultdict
from typing import Any, Dict, List, Mapping, Optional, Sequence

from marshmallow import Schema, fields

from native_api.adapters.compat import airflow
from native_api.adapters.dags.operations import require_active_dag
from native_api.adapters.fields import texts
from native_api.adapters.fields.common import Flag, Subdir, dag_id_field
from native_api.adapters.fields.paging import page_fields, slice_of
from native_api.adapters.fields.texts import Text
from native_api.effects import Effect
from native_api.errors import Invalid
from native_api.errors.groups import OF_A_DAG
from native_api.permissions import Access, Resource
from native_api.registry import Context, operation

#: Maximum size of the tree: it has a task once for each path to it, which can be millions in a DAG of some layers.
TREE_ENTRIES = 10000
TREE_DEPTH = 200


class ListTasks(Subdir, Schema.from_dict(page_fields("task_id"))):  # type: ignore[misc]
    """Filters of the list of tasks."""

    dag_id = dag_id_field()
    task_id_pattern = Text(texts.PATTERN, metadata={"description": "Only tasks whose task_id contains this text."})
    tree = Flag(
        load_default=False,
        metadata={"description": "If true, also return the tasks as a tree, each below its upstream tasks."},
    )


class Task(Schema):
    """A task."""

    task_id = fields.String(required=True)
    operator = fields.String(allow_none=True, metadata={"description": "The class name of the operator."})
    is_mapped = fields.Boolean(required=True)
    upstream_task_ids = fields.List(fields.String(), required=True)
    downstream_task_ids = fields.List(fields.String(), required=True)


class Tasks(Schema):
    """A page of tasks and, on request, the tree."""

    dag_id = fields.String(required=True)
    tasks = fields.List(fields.Nested(Task), required=True)
    total_entries = fields.Integer(required=True)
    tree = fields.List(
        fields.Dict(),
        metadata={"description": "task_id, operator, is_mapped, and in downstream, recursively, the downstream tasks."},
    )


def _list_command(arguments: Mapping[str, Any]) -> Optional[List[str]]:
    if arguments["tree"]:
        return airflow().task_tree_command(arguments["dag_id"])
    return ["tasks", "list", arguments["dag_id"]]


@operation(
    request=ListTasks,
    result=Tasks,
    access=Access(Resource.TASK, "GET"),
    effect=Effect.READ,
    tag="Tasks",
    errors=OF_A_DAG,
    command=_list_command,
    example={"dag_id": "example_dag"},
)
def list_tasks(
    context: Context,
    dag_id: str,
    tree: bool,
    task_id_pattern: Optional[str] = None,
    subdir: Optional[str] = None,
    **arguments: object,
) -> Dict[str, object]:
    """List the tasks of a DAG, as a list and as a tree."""
    require_active_dag(context, dag_id, subdir)
    tasks = _tasks(airflow().stored_tasks(dag_id, context.session))
    wanted = [task for task in tasks if (task_id_pattern or "").lower() in task["task_id"].lower()]
    result = {
        "dag_id": dag_id,
        "tasks": slice_of(context, wanted, arguments, key=lambda task: task["task_id"]),
        "total_entries": len(wanted),
    }
    return {**result, "tree": _tree(tasks)} if tree else result


def _tasks(stored: Sequence[Mapping[str, Any]]) -> List[Dict[str, Any]]:
    tasks = [
        {
            "task_id": task["task_id"],
            # Airflow 3 dropped the underscore.
            "operator": task.get("task_type") or task.get("_task_type"),
            "is_mapped": bool(task.get("_is_mapped")),
            "downstream_task_ids": sorted(task.get("downstream_task_ids") or []),
        }
        for task in stored
    ]
    upstream: Dict[str, List[str]] = defaultdict(list)
    for task in tasks:
        for task_id in task["downstream_task_ids"]:
            upstream[task_id].append(task["task_id"])
    return [{**task, "upstream_task_ids": sorted(upstream[task["task_id"]])} for task in tasks]


def _tree(tasks: List[Dict[str, Any]]) -> List[Dict[str, object]]:
    by_id = {task["task_id"]: task for task in tasks}
    left = [TREE_ENTRIES]

    def branch(task: Mapping[str, Any], depth: int) -> Dict[str, object]:
        left[0] -= 1
        if left[0] < 0 or depth > TREE_DEPTH:
            raise Invalid({"tree": ["The tree is too large or too deep; use the list, which has each task once."]})
        shown = {name: task[name] for name in ("task_id", "operator", "is_mapped")}
        return {**shown, "downstream": [branch(by_id[task_id], depth + 1) for task_id in task["downstream_task_ids"]]}

    return [branch(task, 1) for task in tasks if not task["upstream_task_ids"]]
