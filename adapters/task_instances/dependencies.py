"""The unmet dependencies that keep a task instance from starting."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Any, Dict, List

from marshmallow import Schema, fields
from sqlalchemy import select

from native_api.adapters.compat import airflow
from native_api.adapters.lookup import dag_with_task, named_instance, of_key
from native_api.adapters.task_instances.operations import OneTaskInstance, instance_command
from native_api.effects import Effect
from native_api.errors import DagRunNotFound, Invalid, TaskInstanceNotFound
from native_api.errors.groups import OF_A_LOADED_DAG, OF_A_TASK
from native_api.permissions import Access, Resource
from native_api.registry import Context, operation

if TYPE_CHECKING:
    from datetime import datetime

    from airflow.models.dagrun import DagRun
    from airflow.models.taskinstance import TaskInstance
    from sqlalchemy.orm import Session

    from native_api.adapters.compat.objects import Dag


class Dependency(Schema):
    """An unmet dependency."""

    name = fields.String(required=True)
    reason = fields.String(required=True)


class FailedDependencies(Schema):
    """The unmet dependencies of a task instance."""

    dag_id = fields.String(required=True)
    task_id = fields.String(required=True)
    run_id = fields.String(allow_none=True, metadata={"description": "null if there is no run for the date."})
    map_index = fields.Integer(required=True)
    dependencies = fields.List(fields.Nested(Dependency), required=True)


@operation(
    request=OneTaskInstance,
    result=FailedDependencies,
    access=Access(Resource.TASK_INSTANCE, "GET"),
    effect=Effect.READ,
    tag="Task Instances",
    errors=(*OF_A_TASK, *OF_A_LOADED_DAG, TaskInstanceNotFound),
    command=instance_command("failed-deps"),
    example={"dag_id": "example_dag", "run_id": "manual__2026-11-01T00:00:00+00:00", "task_id": "extract"},
)
def task_failed_deps(context: Context, **instance: Any) -> Dict[str, object]:
    """
    Return the unmet dependencies that keep a task instance from starting, by name and reason.

    For a date without a run, the dependencies of a hypothetical run are returned. Nothing is changed.
    """
    session = context.session
    try:
        run, _ = named_instance(context, **instance)
    except DagRunNotFound:
        if instance.get("logical_date") is None:
            raise
        run = None
    dag_id, task_id, map_index = instance["dag_id"], instance["task_id"], instance["map_index"]
    key = {"dag_id": dag_id, "run_id": run and run.run_id, "task_id": task_id, "map_index": map_index}
    dag = dag_with_task(session, dag_id, task_id, shared=True)
    try:
        if run is None:
            found = _failed_without_run(session, dag, task_id, map_index, instance["logical_date"])
        else:
            found = _failed(session, dag, task_id, map_index, run)
    finally:
        # A run that was made to ask is taken back, and so is whatever a dependency noted down.
        session.rollback()
    return {**key, "dependencies": sorted(found, key=lambda dependency: (dependency["name"], dependency["reason"]))}


def _failed_without_run(
    session: Session, dag: Dag, task_id: str, map_index: int, date: datetime
) -> List[Dict[str, str]]:
    run = airflow().make_run(dag, f"native_api__{uuid.uuid4().hex}", date, session)
    missing = {"name": "Dagrun Running", "reason": "Task instance's dagrun did not exist: Unknown reason."}
    try:
        return [*_failed(session, dag, task_id, map_index, run), missing]
    except TaskInstanceNotFound as exc:
        # The run was made to ask: its id means nothing to anybody.
        reason = f"A run for this date would have no such instance of the task '{task_id}'."
        raise Invalid({"logical_date": [reason]}) from exc


def _failed(session: Session, dag: Any, task_id: str, map_index: int, run: DagRun) -> List[Dict[str, str]]:
    from airflow.models.taskinstance import TaskInstance
    from airflow.ti_deps.dep_context import DepContext
    from airflow.ti_deps.dependencies_deps import SCHEDULER_QUEUED_DEPS

    key = {"dag_id": run.dag_id, "run_id": run.run_id, "task_id": task_id, "map_index": map_index}
    this_one = select(TaskInstance).where(*of_key(TaskInstance, key))
    instance = session.scalars(this_one).unique().first()
    if instance is None:
        raise TaskInstanceNotFound(run.dag_id, task_id, run.run_id, map_index)
    run.dag = dag
    instance.refresh_from_task(dag.get_task(task_id))
    return unmet(instance, DepContext(deps=SCHEDULER_QUEUED_DEPS), session)


def unmet(instance: TaskInstance, dep_context: Any, session: Session) -> List[Dict[str, str]]:
    """Return the unmet dependencies of a task instance in Airflow's *dep_context*, by name."""
    statuses = instance.get_failed_dep_statuses(dep_context=dep_context, session=session)
    found = [{"name": status.dep_name, "reason": status.reason} for status in statuses]
    return sorted(found, key=lambda dependency: (dependency["name"], dependency["reason"]))
