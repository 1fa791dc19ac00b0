"""Task instances: tell the state of one."""

from __future__ import annotations

from typing import Any, Dict, List, Mapping, Optional

from marshmallow import fields, validate

from native_api.access import Access, Effect, Resource
from native_api.adapters.dag_runs import find_run
from native_api.adapters.dags import active_dag
from native_api.adapters.schemas import LARGEST, DateTime, OneRun, RunDates, Whole
from native_api.adapters.seam import airflow
from native_api.errors import DagRunNotFound, TaskInstanceNotFound, TaskNotFound
from native_api.operations import Context, operation


class OneTaskInstance(OneRun):
    """Names one task instance of a run."""

    task_id = fields.String(
        required=True, validate=validate.Length(min=1), metadata={"description": "The id of the task."}
    )
    map_index = Whole(
        load_default=-1,
        validate=validate.Range(min=-1, max=LARGEST),
        metadata={"description": "Which instance of a mapped task; -1 for a task that is not mapped."},
    )


class TaskInstance(RunDates):
    """A task instance."""

    dag_id = fields.String(required=True)
    run_id = fields.String(required=True)
    task_id = fields.String(required=True)
    map_index = fields.Integer(required=True)
    state = fields.String(allow_none=True, metadata={"description": "null until the scheduler has looked at it."})
    try_number = fields.Integer(required=True)
    operator = fields.String(allow_none=True)
    start_date = DateTime(allow_none=True)
    end_date = DateTime(allow_none=True)
    duration = fields.Float(allow_none=True, metadata={"description": "Seconds."})


def _state_command(arguments: Mapping[str, Any]) -> List[str]:
    run = arguments.get("run_id") or arguments["logical_date"].isoformat()
    mapped = ["--map-index", str(arguments["map_index"])] if arguments["map_index"] >= 0 else []
    return ["tasks", "state", *mapped, arguments["dag_id"], arguments["task_id"], run]


@operation(
    request=OneTaskInstance,
    result=TaskInstance,
    access=Access(Resource.TASK_INSTANCE, "GET"),
    effect=Effect.READ,
    command=_state_command,
    example={"dag_id": "example_dag", "run_id": "manual__2026-11-01T00:00:00+00:00", "task_id": "extract"},
)
def task_state(
    context: Context,
    dag_id: str,
    task_id: str,
    map_index: int,
    run_id: Optional[str] = None,
    logical_date: Any = None,
    subdir: Optional[str] = None,
) -> Dict[str, Any]:
    """Tell the state of a task instance."""
    session = context.session
    active_dag(session, dag_id, subdir)
    try:
        run = find_run(session, dag_id, run_id, logical_date)
    except DagRunNotFound:
        _require_task(session, dag_id, task_id)
        raise
    row = session.execute(_instances(dag_id, run.run_id, task_id, map_index)).first()
    if row is None:
        raise _missing(session, dag_id, run.run_id, task_id, map_index)
    return {
        "dag_id": dag_id,
        "run_id": run.run_id,
        "task_id": task_id,
        "logical_date": getattr(run, airflow().date_column),
        **row._mapping,
    }


def _instances(dag_id: str, run_id: str, task_id: str, map_index: int) -> Any:
    from airflow.models.taskinstance import TaskInstance as AirflowTaskInstance
    from sqlalchemy import select

    ti = AirflowTaskInstance
    columns = (ti.map_index, ti.state, ti.operator, ti.start_date, ti.end_date, ti.duration)
    # Up to 2.9 the attribute try_number is a property that gives the next try's number; the column is the latest's.
    return select(*columns, ti.__table__.c.try_number).where(
        ti.dag_id == dag_id, ti.run_id == run_id, ti.task_id == task_id, ti.map_index == map_index
    )


def _missing(session: Any, dag_id: str, run_id: str, task_id: str, map_index: int) -> Exception:
    """Return the error for an instance that is not there; raise where the task itself is not."""
    from airflow.models.taskinstance import TaskInstance as AirflowTaskInstance
    from sqlalchemy import func, select

    ti = AirflowTaskInstance
    last = session.scalar(
        select(func.max(ti.map_index)).where(ti.dag_id == dag_id, ti.run_id == run_id, ti.task_id == task_id)
    )
    if last is None:
        _require_task(session, dag_id, task_id)
    return TaskInstanceNotFound(dag_id, task_id, run_id, map_index, last if last is not None and last >= 0 else None)


def _require_task(session: Any, dag_id: str, task_id: str) -> None:
    if task_id not in airflow().stored_task_ids(dag_id, session):
        raise TaskNotFound(dag_id, task_id)
