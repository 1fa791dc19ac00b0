"""Clear task instances, so that they run again."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Dict, List, Mapping, Optional

from marshmallow import Schema, ValidationError, fields, post_load, validate, validates_schema
from sqlalchemy import select

from native_api.adapters.compat import airflow, text_of
from native_api.adapters.dags.operations import require_active_dag
from native_api.adapters.fields import texts
from native_api.adapters.fields.common import (
    LARGEST,
    DateTime,
    Flag,
    Subdir,
    Whole,
    alias_of,
    dag_id_field,
    switch,
    with_logical_date,
)
from native_api.adapters.fields.patterns import Pattern
from native_api.adapters.fields.texts import Text, Texts
from native_api.adapters.lookup import missing_instance, named_run, of_key
from native_api.effects import Effect
from native_api.errors import TaskInstanceNotFound, TaskNotFound
from native_api.errors.groups import OF_A_TASK
from native_api.permissions import Access, Resource
from native_api.registry import Context, operation

if TYPE_CHECKING:
    from datetime import datetime

    from native_api.adapters.compat.objects import Dag


class ClearTasks(Subdir):
    """The task instances to clear."""

    dag_id = dag_id_field()
    run_id = Text(texts.ID, metadata={"description": "Clear only in the DAG run with this run_id."})
    logical_date = DateTime(metadata={"description": "Clear only in the DAG run with this logical date."})
    execution_date = DateTime(metadata=alias_of("logical_date"))
    start_date = DateTime(metadata={"description": "Clear in DAG runs with this logical date or a later one."})
    end_date = DateTime(metadata={"description": "Clear in DAG runs with this logical date or an earlier one."})
    task_id = Text(texts.ID, shortest=1, metadata={"description": "Clear this task."})
    task_ids = Texts(texts.ID, metadata={"description": "Clear these tasks."})
    map_index = Whole(
        validate=validate.Range(min=-1, max=LARGEST),
        metadata={
            "description": "With task_id: only the mapped task instance with this index. By default, all of them."
        },
    )
    task_regex = Pattern(
        metadata={"description": "Clear the tasks whose task_id matches this regular expression (RE2) anywhere."}
    )
    upstream = switch("If true, also clear upstream tasks.")
    downstream = switch("If true, also clear downstream tasks.")
    only_failed = switch("If true, clear only task instances in the state failed or upstream_failed.")
    only_running = switch("If true, clear only running task instances.")
    exclude_subdags = switch(
        "If true, do not clear SubDAGs, nor DAGs that an ExternalTaskMarker refers to.", before=(3, 0)
    )
    exclude_parentdag = switch("If true, do not clear the parent DAG of a SubDAG.", before=(3, 0))
    dry_run = Flag(
        load_default=True,
        metadata={
            "description": "If true, the default, return the task instances that would be cleared, and clear nothing."
        },
    )
    no_confirm = switch("Ignored: there is no confirmation prompt. Accepted since the command line has it.")

    @validates_schema
    def _one_way(self, data: Mapping[str, Any], **kwargs: object) -> None:
        run, tasks = (
            [name for name in names if data.get(name) is not None]
            for names in (("run_id", "logical_date", "execution_date"), ("task_id", "task_ids", "task_regex"))
        )
        for names, noun in ((run, "run"), (tasks, "tasks")):
            if len(names) > 1:
                raise ValidationError(f"Identify the {noun} once, not by {' and by '.join(names)}.", names[-1])
        if run and (data.get("start_date") or data.get("end_date")):
            raise ValidationError("Send the run or a range of dates, not both.", run[0])
        if data.get("task_ids") == []:
            raise ValidationError("Must not be empty; send a task_id.", "task_ids")
        if data.get("map_index") is not None and tasks != ["task_id"]:
            raise ValidationError("Requires task_id.", "map_index")
        first, last = data.get("start_date"), data.get("end_date")
        if first and last and first > last:
            raise ValidationError("Must not be earlier than start_date.", "end_date")

    @post_load
    def _one_name_for_the_date(self, data: Dict[str, Any], **kwargs: object) -> Dict[str, object]:
        return with_logical_date(data)


class ClearedInstance(Schema):
    """A cleared task instance, and its previous state."""

    dag_id = fields.String(required=True)
    run_id = fields.String(required=True)
    task_id = fields.String(required=True)
    map_index = fields.Integer(required=True)
    state = fields.String(allow_none=True, metadata={"description": "The previous state."})


class ClearedTasks(Schema):
    """The task instances that were, or would be, cleared."""

    dag_id = fields.String(required=True)
    dry_run = fields.Boolean(required=True)
    task_instances = fields.List(fields.Nested(ClearedInstance), required=True)
    total_entries = fields.Integer(required=True)
    warnings = fields.List(fields.String())


def _command(arguments: Mapping[str, Any]) -> Optional[List[str]]:
    if arguments.get("run_id") or arguments["dry_run"] or arguments.get("map_index") is not None:
        return None
    words, date = ["tasks", "clear", "--yes"], arguments.get("logical_date")
    if _regex(arguments) is not None:
        words += ["--task-regex", str(_regex(arguments))]
    for name, flag in (("start_date", "--start-date"), ("end_date", "--end-date")):
        value = arguments.get(name) or date
        if value:
            words += [flag, value.isoformat()]
    flags = ["upstream", "downstream", "only_failed", "only_running", "exclude_subdags", "exclude_parentdag"]
    known = [name for name in flags if name not in airflow().without_subdags()]
    return [*words, *(f"--{name.replace('_', '-')}" for name in known if arguments[name]), arguments["dag_id"]]


def _regex(arguments: Mapping[str, Any]) -> Optional[str]:
    """Return the expression that matches exactly these tasks."""
    named = arguments.get("task_ids") or list(filter(None, [arguments.get("task_id")]))
    regex: Optional[str] = arguments.get("task_regex")
    return f"^({'|'.join(map(re.escape, named))})$" if named else regex


@operation(
    request=ClearTasks,
    result=ClearedTasks,
    access=Access(Resource.TASK_INSTANCE, "PUT"),
    effect=Effect.WRITE,
    tag="Task Instances",
    errors=(*OF_A_TASK, TaskInstanceNotFound),
    command=_command,
    example={"dag_id": "example_dag", "task_id": "extract", "downstream": True, "only_failed": True, "dry_run": False},
)
def clear_tasks(
    context: Context,
    dag_id: str,
    upstream: bool,
    downstream: bool,
    dry_run: bool,
    no_confirm: bool,
    run_id: Optional[str] = None,
    logical_date: Optional[datetime] = None,
    task_id: Optional[str] = None,
    task_ids: Optional[List[str]] = None,
    map_index: Optional[int] = None,
    task_regex: Optional[str] = None,
    subdir: Optional[str] = None,
    **which: object,
) -> Dict[str, object]:
    """
    Clear task instances so that Airflow runs them again; by default a dry run that only lists them.

    As in Airflow's REST API, nothing is cleared unless dry_run is false. Without task_id, task_ids and task_regex all
    tasks are cleared; without a run or a range of dates, in all DAG runs. Requires the permission on every affected
    DAG, including those that an ExternalTaskMarker refers to.
    """
    session = context.session
    require_active_dag(context, dag_id, subdir)
    run = None if run_id is None and logical_date is None else named_run(context, dag_id, run_id, logical_date)
    dag = airflow().stored_dag(dag_id, session)
    names = task_ids if task_id is None else [task_id]
    if names is None and task_regex is not None:
        names = [known for known in dag.task_dict if Pattern.matches(task_regex, known)]
    chosen_ids = _task_ids(dag, names, upstream, downstream)
    if task_id is not None and map_index is not None:
        _require_instance(session, dag_id, run, task_id, map_index)
        chosen_ids = [(task_id, map_index) if chosen == task_id else chosen for chosen in chosen_ids]
    for name in airflow().without_subdags():
        if which[name]:
            context.warnings.append(f"'{name}' has no effect: this version of Airflow has no SubDAGs.")
    chosen = {
        "task_ids": chosen_ids,
        "start_date": which.pop("start_date", None),
        "end_date": which.pop("end_date", None),
        "session": session,
        **which,
    }
    shown = [_as_response(instance) for instance in airflow().cleared(dag, run, **dict(chosen))]
    for other in sorted({instance["dag_id"] for instance in shown} - {dag_id}):
        clearing = Access(Resource.TASK_INSTANCE, "PUT")
        context.caller.require_of_another(
            clearing, other, "clear all DAGs that ExternalTaskMarkers of these tasks refer to"
        )
    if not dry_run and shown:
        airflow().clear(dag, run, **dict(chosen))
    ordered = sorted(shown, key=lambda instance: tuple(str(value) for value in list(instance.values())[:4]))
    return {"dag_id": dag_id, "dry_run": dry_run, "task_instances": ordered, "total_entries": len(ordered)}


def _task_ids(dag: Dag, names: Optional[List[str]], upstream: bool, downstream: bool) -> List[Any]:
    if names is None:
        return sorted(dag.task_dict)
    for task_id in names:
        if task_id not in dag.task_dict:
            raise TaskNotFound(dag.dag_id, task_id)
    # The setups and teardowns of a task come with it.
    return sorted(dag.partial_subset(names, include_upstream=upstream, include_downstream=downstream).task_dict)


def _require_instance(session: Any, dag_id: str, run: Any, task_id: str, map_index: int) -> None:
    """Raise :class:`TaskInstanceNotFound` if the requested task instance does not exist."""
    from airflow.models.taskinstance import TaskInstance

    if run is None:
        return
    key = {"dag_id": dag_id, "run_id": run.run_id, "task_id": task_id, "map_index": map_index}
    if session.execute(select(TaskInstance.task_id).where(*of_key(TaskInstance, key))).first() is None:
        raise missing_instance(session, **key)


def _as_response(instance: Any) -> Dict[str, Any]:
    names = ("dag_id", "run_id", "task_id", "map_index")
    return {**{name: getattr(instance, name) for name in names}, "state": text_of(instance.state)}
