"""Clearing: let tasks run again as if they never had."""

from __future__ import annotations

from typing import Any, Dict, List, Mapping, Optional, Set

from marshmallow import Schema, ValidationError, fields, validates_schema

from native_api.access import Access, Effect, Resource
from native_api.adapters import texts
from native_api.adapters.dags import active_dag
from native_api.adapters.named import named_run
from native_api.adapters.patterns import Pattern
from native_api.adapters.schemas import DateTime, Subdir, dag_id_field, switch
from native_api.adapters.seam import airflow, text_of
from native_api.adapters.texts import Text
from native_api.operations import Context, operation


class ClearTasks(Subdir):
    """What is to run again."""

    dag_id = dag_id_field()
    run_id = Text(texts.ID, metadata={"description": "Clear in this run only."})
    start_date = DateTime(metadata={"description": "Clear in runs with this logical date or a later one."})
    end_date = DateTime(metadata={"description": "Clear in runs with this logical date or an earlier one."})
    task_regex = Pattern(metadata={"description": "A regular expression (RE2) that is looked for in the tasks' ids."})
    upstream = switch("Clear the tasks before those too.")
    downstream = switch("Clear the tasks after those too.")
    only_failed = switch("Only task instances that have failed, or whose upstream has.")
    only_running = switch("Only task instances that are running.")
    exclude_subdags = switch("Airflow 2: leave SubDAGs, and DAGs that a marker leads to, as they are.")
    exclude_parentdag = switch("Airflow 2: leave the DAG that a SubDAG is in as it is.")
    dry_run = switch("Only tell what would be cleared.")
    no_confirm = switch("Accepted, as the command line has it; nothing is asked here in any case.")

    @validates_schema
    def _one_way(self, data: Mapping[str, Any], **kwargs: Any) -> None:
        if data.get("run_id") is not None and (data.get("start_date") or data.get("end_date")):
            raise ValidationError("Name the run, or a range of dates, not both.", "run_id")
        first, last = data.get("start_date"), data.get("end_date")
        if first and last and first > last:
            raise ValidationError("Must not be before start_date.", "end_date")


class ClearedInstance(Schema):
    """A task instance, and the state that it had."""

    dag_id = fields.String(required=True)
    run_id = fields.String(required=True)
    task_id = fields.String(required=True)
    map_index = fields.Integer(required=True)
    state = fields.String(allow_none=True, metadata={"description": "The state before."})


class ClearedTasks(Schema):
    """What was cleared, or would be."""

    dag_id = fields.String(required=True)
    dry_run = fields.Boolean(required=True)
    task_instances = fields.List(fields.Nested(ClearedInstance), required=True)
    total_entries = fields.Integer(required=True)
    warnings = fields.List(fields.String())


def _command(arguments: Mapping[str, Any]) -> Optional[List[str]]:
    if arguments.get("run_id") or arguments["dry_run"]:
        return None
    words = ["tasks", "clear", "--yes"]
    for name, flag in (("task_regex", "--task-regex"), ("start_date", "--start-date"), ("end_date", "--end-date")):
        if arguments.get(name) is not None:
            value = arguments[name]
            words += [flag, value if isinstance(value, str) else value.isoformat()]
    flags = ["upstream", "downstream", "only_failed", "only_running", "exclude_subdags", "exclude_parentdag"]
    known = [name for name in flags if name not in airflow().without_subdags()]
    return [*words, *(f"--{name.replace('_', '-')}" for name in known if arguments[name]), arguments["dag_id"]]


@operation(
    request=ClearTasks,
    result=ClearedTasks,
    access=Access(Resource.TASK_INSTANCE, "PUT"),
    effect=Effect.WRITE,
    command=_command,
    example={"dag_id": "example_dag", "task_regex": "^extract", "downstream": True, "only_failed": True},
)
def clear_tasks(
    context: Context,
    dag_id: str,
    upstream: bool,
    downstream: bool,
    dry_run: bool,
    no_confirm: bool,
    run_id: Optional[str] = None,
    task_regex: Optional[Any] = None,
    subdir: Optional[str] = None,
    **which: Any,
) -> Dict[str, Any]:
    """
    Clear task instances, so that the scheduler runs them again.

    The tasks are those whose id the expression matches, with the tasks before and after them where that is asked
    for; the runs are the one that is named, or those of the range of dates, or all. Needs the right on every DAG that
    is touched, the ones that markers lead to included.
    """
    session = context.session
    active_dag(session, dag_id, subdir)
    run = None if run_id is None else named_run(context, dag_id, run_id)
    dag = airflow().stored_dag(dag_id, session)
    for name in airflow().without_subdags():
        if which[name]:
            context.warnings.append(f"'{name}' means nothing here: this Airflow has no SubDAGs.")
    chosen = {
        "task_ids": sorted(_task_ids(dag, task_regex, upstream, downstream)),
        "start_date": which.pop("start_date", None),
        "end_date": which.pop("end_date", None),
        "session": session,
        **which,
    }
    shown = [_shown(instance) for instance in airflow().cleared(dag, run, **dict(chosen))]
    for other in sorted({instance["dag_id"] for instance in shown} - {dag_id}):
        clearing = Access(Resource.TASK_INSTANCE, "PUT")
        context.caller.require_of_another(clearing, other, "clear all DAGs that markers of these tasks lead to")
    if not dry_run and shown:
        airflow().clear(dag, run, **dict(chosen))
    ordered = sorted(shown, key=lambda instance: tuple(str(value) for value in list(instance.values())[:4]))
    return {"dag_id": dag_id, "dry_run": dry_run, "task_instances": ordered, "total_entries": len(ordered)}


def _task_ids(dag: Any, task_regex: Optional[str], upstream: bool, downstream: bool) -> Set[str]:
    if task_regex is None:
        return set(dag.task_dict)
    chosen = [task_id for task_id in dag.task_dict if Pattern.found(task_regex, task_id)]
    # The setups and teardowns of a task come with it.
    return set(dag.partial_subset(chosen, include_upstream=upstream, include_downstream=downstream).task_dict)


def _shown(instance: Any) -> Dict[str, Any]:
    names = ("dag_id", "run_id", "task_id", "map_index")
    return {**{name: getattr(instance, name) for name in names}, "state": text_of(instance.state)}
