"""Clearing: let tasks run again as if they never had."""

from __future__ import annotations

import re
from typing import Any, Dict, List, Mapping, Optional

from marshmallow import Schema, ValidationError, fields, post_load, validate, validates_schema

from native_api.adapters.compat import airflow, text_of
from native_api.adapters.dags.operations import active_dag
from native_api.adapters.fields import texts
from native_api.adapters.fields.common import (
    LARGEST,
    DateTime,
    Flag,
    Subdir,
    Whole,
    dag_id_field,
    switch,
    with_logical_date,
)
from native_api.adapters.fields.patterns import Pattern
from native_api.adapters.fields.texts import Text, Texts
from native_api.adapters.lookup import missing_instance, named_run, of_key
from native_api.effects import Effect
from native_api.errors import TaskNotFound
from native_api.permissions import Access, Resource
from native_api.registry import Context, operation


class ClearTasks(Subdir):
    """What is to run again."""

    dag_id = dag_id_field()
    run_id = Text(texts.ID, metadata={"description": "Clear in this run only."})
    logical_date = DateTime(metadata={"description": "Clear in the run with this logical date only."})
    execution_date = DateTime(metadata={"description": "Another name of logical_date."})
    start_date = DateTime(metadata={"description": "Clear in runs with this logical date or a later one."})
    end_date = DateTime(metadata={"description": "Clear in runs with this logical date or an earlier one."})
    task_id = Text(texts.ID, shortest=1, metadata={"description": "Clear this task."})
    task_ids = Texts(texts.ID, metadata={"description": "Clear these tasks."})
    map_index = Whole(
        validate=validate.Range(min=-1, max=LARGEST),
        metadata={"description": "With task_id: only this instance of a mapped task; all of them by default."},
    )
    task_regex = Pattern(metadata={"description": "A regular expression (RE2) that is looked for in the tasks' ids."})
    upstream = switch("Clear the tasks before those too.")
    downstream = switch("Clear the tasks after those too.")
    only_failed = switch("Only task instances that have failed, or whose upstream has.")
    only_running = switch("Only task instances that are running.")
    exclude_subdags = switch("Airflow 2: leave SubDAGs, and DAGs that a marker leads to, as they are.")
    exclude_parentdag = switch("Airflow 2: leave the DAG that a SubDAG is in as it is.")
    dry_run = Flag(
        load_default=True, metadata={"description": "Return what would be cleared, and clear nothing; true by default."}
    )
    no_confirm = switch("Accepted, as the command line has it; nothing is asked here in any case.")

    @validates_schema
    def _one_way(self, data: Mapping[str, Any], **kwargs: Any) -> None:
        run, tasks = (
            [name for name in names if data.get(name) is not None]
            for names in (("run_id", "logical_date", "execution_date"), ("task_id", "task_ids", "task_regex"))
        )
        for names, noun in ((run, "run"), (tasks, "tasks")):
            if len(names) > 1:
                raise ValidationError(f"Name the {noun} once, not by {' and by '.join(names)}.", names[-1])
        if run and (data.get("start_date") or data.get("end_date")):
            raise ValidationError("Name the run, or a range of dates, not both.", run[0])
        if data.get("task_ids") == []:
            raise ValidationError("Name a task.", "task_ids")
        if data.get("map_index") is not None and tasks != ["task_id"]:
            raise ValidationError("Name the task by task_id, too.", "map_index")
        first, last = data.get("start_date"), data.get("end_date")
        if first and last and first > last:
            raise ValidationError("Must not be before start_date.", "end_date")

    @post_load
    def _one_name_for_the_date(self, data: Dict[str, Any], **kwargs: Any) -> Dict[str, Any]:
        return with_logical_date(data)


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
    """Return the expression that matches the tasks, and no others."""
    named = arguments.get("task_ids") or list(filter(None, [arguments.get("task_id")]))
    regex: Optional[str] = arguments.get("task_regex")
    return f"^({'|'.join(map(re.escape, named))})$" if named else regex


@operation(
    request=ClearTasks,
    result=ClearedTasks,
    access=Access(Resource.TASK_INSTANCE, "PUT"),
    effect=Effect.WRITE,
    tag="Task Instances",
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
    logical_date: Any = None,
    task_id: Optional[str] = None,
    task_ids: Optional[List[str]] = None,
    map_index: Optional[int] = None,
    task_regex: Optional[str] = None,
    subdir: Optional[str] = None,
    **which: Any,
) -> Dict[str, Any]:
    """
    Clear task instances so that Airflow runs them again; by default a dry run that only lists them.

    As in Airflow's REST API nothing is cleared unless dry_run is false. The tasks are those that are named, or whose
    id the expression matches, or all, with the tasks before and after them where that is asked for; the runs are the
    one that is named, or those of the range of dates, or all. Needs the right on every DAG that is touched, the ones
    that markers lead to included.
    """
    session = context.session
    active_dag(context, dag_id, subdir)
    run = None if run_id is None and logical_date is None else named_run(context, dag_id, run_id, logical_date)
    dag = airflow().stored_dag(dag_id, session)
    names = task_ids if task_id is None else [task_id]
    if names is None and task_regex is not None:
        names = [known for known in dag.task_dict if Pattern.found(task_regex, known)]
    chosen_ids = _task_ids(dag, names, upstream, downstream)
    if task_id is not None and map_index is not None:
        _require_instance(session, dag_id, run, task_id, map_index)
        chosen_ids = [(task_id, map_index) if chosen == task_id else chosen for chosen in chosen_ids]
    for name in airflow().without_subdags():
        if which[name]:
            context.warnings.append(f"'{name}' means nothing here: this Airflow has no SubDAGs.")
    chosen = {
        "task_ids": chosen_ids,
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


def _task_ids(dag: Any, names: Optional[List[str]], upstream: bool, downstream: bool) -> List[Any]:
    if names is None:
        return sorted(dag.task_dict)
    for task_id in names:
        if task_id not in dag.task_dict:
            raise TaskNotFound(dag.dag_id, task_id)
    # The setups and teardowns of a task come with it.
    return sorted(dag.partial_subset(names, include_upstream=upstream, include_downstream=downstream).task_dict)


def _require_instance(session: Any, dag_id: str, run: Any, task_id: str, map_index: int) -> None:
    """Raise where the caller named a task instance that is not there."""
    from airflow.models.taskinstance import TaskInstance
    from sqlalchemy import select

    if run is None:
        return
    key = {"dag_id": dag_id, "run_id": run.run_id, "task_id": task_id, "map_index": map_index}
    if session.execute(select(TaskInstance.task_id).where(*of_key(TaskInstance, key))).first() is None:
        raise missing_instance(session, **key)


def _shown(instance: Any) -> Dict[str, Any]:
    names = ("dag_id", "run_id", "task_id", "map_index")
    return {**{name: getattr(instance, name) for name in names}, "state": text_of(instance.state)}
