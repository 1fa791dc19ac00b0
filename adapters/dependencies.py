"""Why a task does not start: the dependencies that the scheduler finds unmet."""

from __future__ import annotations

import uuid
from typing import Any, Dict, List, Optional

from marshmallow import Schema, fields

from native_api.access import Access, Effect, Resource
from native_api.adapters.dag_runs import find_run
from native_api.adapters.dags import active_dag
from native_api.adapters.seam import airflow
from native_api.adapters.task_instances import OneTaskInstance, instance_command
from native_api.errors import DagRunNotFound, Invalid, TaskInstanceNotFound, TaskNotFound
from native_api.operations import Context, operation


class Dependency(Schema):
    """A dependency that is not met."""

    name = fields.String(required=True)
    reason = fields.String(required=True)


class FailedDependencies(Schema):
    """What keeps a task instance from starting."""

    dag_id = fields.String(required=True)
    task_id = fields.String(required=True)
    run_id = fields.String(allow_none=True, metadata={"description": "null where there is no run for the date."})
    map_index = fields.Integer(required=True)
    dependencies = fields.List(fields.Nested(Dependency), required=True)


@operation(
    request=OneTaskInstance,
    result=FailedDependencies,
    access=Access(Resource.TASK_INSTANCE, "GET"),
    effect=Effect.READ,
    command=instance_command("failed-deps"),
    example={"dag_id": "example_dag", "run_id": "manual__2026-11-01T00:00:00+00:00", "task_id": "extract"},
)
def task_failed_deps(
    context: Context,
    dag_id: str,
    task_id: str,
    map_index: int,
    run_id: Optional[str] = None,
    logical_date: Any = None,
    subdir: Optional[str] = None,
) -> Dict[str, Any]:
    """
    Tell which dependencies keep a task from starting, by name and reason.

    For a date that has no run the answer is what would hold for one; nothing is changed by asking.
    """
    session = context.session
    active_dag(session, dag_id, subdir)
    dag = airflow().stored_dag(dag_id, session)
    if task_id not in dag.task_dict:
        raise TaskNotFound(dag_id, task_id)
    missing = []
    try:
        run = find_run(session, dag_id, run_id, logical_date)
    except DagRunNotFound:
        if logical_date is None:
            raise
        run = airflow().make_run(dag, f"native_api__{uuid.uuid4().hex}", logical_date, session)
        missing = [{"name": "Dagrun Running", "reason": "Task instance's dagrun did not exist: Unknown reason."}]
    try:
        found = _failed(session, dag, run, task_id, map_index)
    except TaskInstanceNotFound as exc:
        if not missing:
            raise
        # The run was made to ask: its id means nothing to anybody.
        reason = f"A run for this date would have no such instance of the task '{task_id}'."
        raise Invalid({"logical_date": [reason]}) from exc
    finally:
        # A run that was made to ask is taken back, and so is whatever a dependency noted down.
        session.rollback()
    return {
        "dag_id": dag_id,
        "task_id": task_id,
        "run_id": None if missing else run_id or run.run_id,
        "map_index": map_index,
        "dependencies": sorted([*found, *missing], key=lambda dependency: (dependency["name"], dependency["reason"])),
    }


def _failed(session: Any, dag: Any, run: Any, task_id: str, map_index: int) -> List[Dict[str, str]]:
    from airflow.ti_deps.dep_context import DepContext
    from airflow.ti_deps.dependencies_deps import SCHEDULER_QUEUED_DEPS

    instance = run.get_task_instance(task_id, map_index=map_index, session=session)
    if instance is None:
        raise TaskInstanceNotFound(run.dag_id, task_id, run.run_id, map_index)
    run.dag = dag
    instance.refresh_from_task(dag.get_task(task_id))
    statuses = instance.get_failed_dep_statuses(dep_context=DepContext(deps=SCHEDULER_QUEUED_DEPS), session=session)
    return [{"name": status.dep_name, "reason": status.reason} for status in statuses]
