"""Task instances: state, list, stored rendered fields."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any, Callable, Dict, List, Mapping, Optional

from marshmallow import Schema, fields, validate
from sqlalchemy import bindparam, or_, select

from native_api.adapters.compat import airflow
from native_api.adapters.dag_runs.operations import between, known, of_runs
from native_api.adapters.fields import texts
from native_api.adapters.fields.common import (
    LARGEST,
    DateTime,
    OneRun,
    RunDates,
    RunFilters,
    States,
    StoredObject,
    Subdir,
    Whole,
)
from native_api.adapters.fields.paging import page_fields, page_of
from native_api.adapters.fields.texts import Text
from native_api.adapters.lookup import missing_instance, named_instance, of_key, stored_run_id
from native_api.effects import Effect
from native_api.errors import NothingRendered, TaskInstanceNotFound
from native_api.errors.groups import OF_A_DAG, OF_A_TASK
from native_api.permissions import Access, Resource
from native_api.registry import Context, operation

if TYPE_CHECKING:
    from datetime import datetime

#: Values of order_by, in addition to task_id.
ORDER = ("logical_date", "dag_id", "run_id", "state", "start_date", "end_date", "duration")


class OneTaskInstance(OneRun):
    """Identify a task instance of a DAG run."""

    task_id = Text(texts.ID, shortest=1, required=True, metadata={"description": "The task_id of the task."})
    map_index = Whole(
        load_default=-1,
        validate=validate.Range(min=-1, max=LARGEST),
        metadata={"description": "The index of a mapped task instance; -1 if the task is not mapped."},
    )


class TaskInstance(RunDates):
    """A task instance."""

    dag_id = fields.String(required=True)
    run_id = fields.String(required=True)
    task_id = fields.String(required=True)
    map_index = fields.Integer(required=True)
    state = fields.String(
        allow_none=True, metadata={"description": "The state; null until the scheduler has examined the task instance."}
    )
    try_number = fields.Integer(required=True)
    operator = fields.String(allow_none=True)
    start_date = DateTime(allow_none=True)
    end_date = DateTime(allow_none=True)
    duration = fields.Float(allow_none=True, metadata={"description": "Seconds."})


def instance_command(verb: str) -> Callable[[Mapping[str, object]], List[str]]:
    """Return a function that returns the arguments of ``airflow tasks <verb>`` for a task instance."""

    def command(arguments: Mapping[str, Any]) -> List[str]:
        run = arguments.get("run_id") or arguments["logical_date"].isoformat()
        mapped = ["--map-index", str(arguments["map_index"])] if arguments["map_index"] >= 0 else []
        return ["tasks", verb, *mapped, arguments["dag_id"], arguments["task_id"], run]

    return command


@operation(
    request=OneTaskInstance,
    result=TaskInstance,
    access=Access(Resource.TASK_INSTANCE, "GET"),
    effect=Effect.READ,
    tag="Task Instances",
    errors=(*OF_A_TASK, TaskInstanceNotFound),
    command=instance_command("state"),
    example={"dag_id": "example_dag", "run_id": "manual__2026-11-01T00:00:00+00:00", "task_id": "extract"},
)
def task_state(context: Context, **instance: Any) -> Dict[str, object]:
    """Return the state of a task instance."""
    run, key = named_instance(context, **instance)
    row = context.session.execute(_state(), key).first()
    if row is None:
        raise missing_instance(context.session, **key)
    return {**key, "logical_date": getattr(run, airflow().date_column), **row._mapping}


@lru_cache(maxsize=None)
def _state() -> Any:
    """Return the statement for the columns of a task instance, by its key."""
    from airflow.models.taskinstance import TaskInstance as AirflowTaskInstance

    key: Dict[str, Any] = {name: bindparam(name) for name in ("dag_id", "run_id", "task_id", "map_index")}
    return select(*_columns()).where(*of_key(AirflowTaskInstance, key))


class ListTaskInstances(Subdir, RunFilters, Schema.from_dict(page_fields("task_id", *ORDER))):  # type: ignore[misc]
    """Filters of the list of task instances."""

    run_id = Text(texts.ID, metadata={"description": "Only task instances of DAG runs with this run_id."})
    task_id = Text(texts.ID, metadata={"description": "Only instances of this task."})
    state = States(metadata={"description": "Only task instances in one of these states; none means no state."})


class TaskInstances(Schema):
    """A page of task instances."""

    task_instances = fields.List(fields.Nested(TaskInstance), required=True)
    total_entries = fields.Integer(required=True)


def _list_command(arguments: Mapping[str, Any]) -> Optional[List[str]]:
    dag_id, run_id = arguments.get("dag_id"), arguments.get("run_id")
    return ["tasks", "states-for-dag-run", dag_id, run_id] if dag_id and run_id else None


@operation(
    request=ListTaskInstances,
    result=TaskInstances,
    access=Access(Resource.TASK_INSTANCE, "GET"),
    effect=Effect.READ,
    tag="Task Instances",
    errors=OF_A_DAG,
    command=_list_command,
    example={"dag_id": "example_dag", "run_id": "manual__2026-11-01T00:00:00+00:00"},
)
def list_task_instances(
    context: Context,
    dag_id: Optional[str] = None,
    run_id: Optional[str] = None,
    task_id: Optional[str] = None,
    state: Optional[List[str]] = None,
    subdir: Optional[str] = None,
    logical_date_gte: Optional[datetime] = None,
    logical_date_lte: Optional[datetime] = None,
    **arguments: object,
) -> Dict[str, object]:
    """List the task instances that the caller can read, each instance of a mapped task by itself."""
    from airflow.models.dagrun import DagRun
    from airflow.models.taskinstance import TaskInstance as AirflowTaskInstance
    from airflow.utils.state import TaskInstanceState

    ti, date = AirflowTaskInstance, airflow().date_of_runs()
    same_run = (DagRun.dag_id == ti.dag_id) & (DagRun.run_id == ti.run_id)
    statement = select(ti.dag_id, ti.run_id, ti.task_id, date.label("logical_date"), *_columns()).join(DagRun, same_run)
    statement = of_runs(context, statement, ti.dag_id, Access(Resource.TASK_INSTANCE, "GET"), dag_id, subdir)
    statement = between(statement, logical_date_gte, logical_date_lte)
    if run_id is not None:
        statement = statement.where(ti.run_id == stored_run_id(context, statement, ti.run_id, run_id))
    if task_id is not None:
        statement = statement.where(ti.task_id == task_id)
    if state:
        words = known("state", [word for word in state if word != "none"], TaskInstanceState)
        stateless = [ti.state.is_(None)] if "none" in state else []
        statement = statement.where(or_(ti.state.in_(words), *stateless))
    columns = {"logical_date": date, "task_id": ti.task_id, **{name: getattr(ti, name) for name in ORDER[1:]}}
    counted = None
    if not any((dag_id, run_id, task_id, state, subdir, logical_date_gte, logical_date_lte)):
        # Each has a run, which the database need not look for.
        permitted = () if statement.whereclause is None else (statement.whereclause,)
        counted = select(ti.dag_id).where(*permitted)
    ties = (ti.dag_id, DagRun.id, ti.task_id, ti.map_index)
    rows, total = page_of(context, statement, arguments, columns, *ties, counted=counted)
    return {"task_instances": [row._mapping for row in rows], "total_entries": total}


class RenderedFields(Schema):
    """The template fields of a task that ran."""

    dag_id = fields.String(required=True)
    run_id = fields.String(required=True)
    task_id = fields.String(required=True)
    map_index = fields.Integer(required=True)
    rendered_fields = StoredObject(
        required=True, metadata={"description": "The rendered value of each template field."}
    )


@operation(
    request=OneTaskInstance,
    result=RenderedFields,
    access=Access(Resource.TASK_INSTANCE, "GET"),
    effect=Effect.READ,
    tag="Task Instances",
    errors=(*OF_A_TASK, NothingRendered),
    example={"dag_id": "example_dag", "run_id": "manual__2026-11-01T00:00:00+00:00", "task_id": "extract"},
)
def rendered_fields(context: Context, **instance: Any) -> Dict[str, object]:
    """Return the rendered template fields that Airflow stored when a task ran; nothing is rendered."""
    _, key = named_instance(context, **instance)
    stored = airflow().rendered_fields(key, context.session)
    if stored is None:
        raise NothingRendered(**key)
    return {**key, "rendered_fields": airflow().masked(stored)}


def _columns() -> List[Any]:
    from airflow.models.taskinstance import TaskInstance as AirflowTaskInstance

    ti = AirflowTaskInstance
    # Up to 2.9 the attribute try_number is a property that gives the next try's number; the column is the latest's.
    return [ti.map_index, ti.state, ti.operator, ti.start_date, ti.end_date, ti.duration, ti.__table__.c.try_number]
