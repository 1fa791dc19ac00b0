"""Render the templates of a task."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Dict, Mapping, Optional, Tuple

import pendulum
from marshmallow import Schema, fields

from native_api import settings
from native_api.adapters import sandbox
from native_api.adapters.compat import airflow
from native_api.adapters.dags.operations import active_dag
from native_api.adapters.fields.common import RunDates
from native_api.adapters.jobs import operations as jobs
from native_api.adapters.jobs.operations import AcceptedJob, OnExecutor
from native_api.adapters.lookup import dag_with_task, named_instance
from native_api.adapters.task_execution import render_job
from native_api.adapters.task_execution.payloads import DagPlace, InstanceToTest, Known
from native_api.adapters.task_instances.operations import OneTaskInstance, instance_command
from native_api.effects import Effect
from native_api.errors import DagRunNotFound, Invalid, Refused
from native_api.errors.groups import OF_A_JOB, OF_A_LOADED_DAG, OF_A_TASK
from native_api.permissions import EXECUTE_DAG
from native_api.registry import Context, operation

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

    from native_api.adapters.compat.objects import Task


class RenderTask(OnExecutor, OneTaskInstance):
    """The task instance to render; a run is not required."""


class RenderedField(Schema):
    """A template field."""

    name = fields.String(required=True)
    value = fields.Raw(required=True, allow_none=True, metadata={"description": "The rendered value."})
    value_is_repr = fields.Boolean(
        required=True, metadata={"description": "If true, JSON cannot represent the value, and its repr is returned."}
    )
    text = fields.String(required=True, metadata={"description": "The value as text."})


class OnTrial(RunDates):
    """A rendered or tested task instance."""

    dag_id = fields.String(required=True)
    run_id = fields.String(allow_none=True, metadata={"description": "null if there is no run for the date."})
    task_id = fields.String(required=True)
    map_index = fields.Integer(required=True)
    seconds = fields.Float(required=True, metadata={"description": "Duration in seconds."})
    log = fields.String(
        required=True, metadata={"description": "The log tail: the last part of what the code printed and logged."}
    )
    log_cut = fields.Boolean(required=True, metadata={"description": "Whether the log is longer than its tail."})


class RenderedTask(OnTrial):
    """The rendered template fields of a task."""

    template_fields = fields.List(
        fields.Nested(RenderedField),
        required=True,
        metadata={"description": "The template fields, in the order of the operator."},
    )


@operation(
    request=RenderTask,
    result=RenderedTask,
    accepted=AcceptedJob,
    access=EXECUTE_DAG,
    effect=Effect.EXECUTE,
    tag="Task Execution",
    errors=(*OF_A_TASK, *OF_A_LOADED_DAG, *OF_A_JOB),
    command=instance_command("render"),
    example={"dag_id": "example_dag", "logical_date": "2026-11-01T00:00:00+00:00", "task_id": "extract"},
)
def render_task(
    context: Context, in_background: bool, queue: Optional[str] = None, **instance: Any
) -> Optional[Dict[str, object]]:
    """
    Render the templates of a task, as its DAG file defines them now.

    The DAG run is not required: for a logical date, a manual run is assumed. Templates can use variables, connections,
    macros and the XComs of the run's other tasks. Nothing is stored or changed.
    """
    key, task = instance_to_test(context, **instance)
    job = sandbox.Job(render_job.render, {"instance": key, **known_of(context, key)}, needs_execution_api=True)
    return jobs.run(context, placed(job, task, queue), in_background=in_background)


def placed(job: sandbox.Job, task: Task, queue: Optional[str]) -> sandbox.Job:
    """
    Return a job that the executor runs where it would run the task.

    :param queue: that of the caller.
    """
    own_queue, executor_config = airflow().placement_of(task)
    wanted = queue or settings.get("job_queue_name") or own_queue
    return replace(job, queue=wanted, executor_config=executor_config)


def instance_to_test(context: Context, **instance: Any) -> Tuple[InstanceToTest, Task]:
    """
    Return a task instance, after it is checked against the database, and its task.

    The names are the fields of :class:`OneTaskInstance`.

    :raises TaskNotFound: the DAG has no such task.
    :raises DagRunNotFound: there is no run with that id.
    :raises Invalid: the task has no such *map_index*.
    :raises Refused: the number of mapped task instances depends on tasks that have not run.
    """
    run_id, date = None, instance.get("logical_date")
    try:
        run, _ = named_instance(context, **instance)
        run_id, date = run.run_id, getattr(run, airflow().date_column)
    except DagRunNotFound:
        if date is None:
            raise
    key: InstanceToTest = {
        "dag_id": instance["dag_id"],
        "task_id": instance["task_id"],
        "map_index": instance["map_index"],
        "run_id": run_id,
        "logical_date": None if date is None else date.isoformat(),
    }
    task = dag_with_task(context.session, key["dag_id"], key["task_id"]).get_task(key["task_id"])
    _require_instance(task, key, context.session)
    return key, task


def known_of(context: Context, key: InstanceToTest) -> Known:
    """Return what the database has of a task instance: where its DAG file is, and the facts that the task needs."""
    row = active_dag(context, key["dag_id"])
    places = {name: place and str(place) for name, place in airflow().file_facts(row).items()}
    dag: DagPlace = {
        "dag_id": row.dag_id,
        "fileloc": row.fileloc,
        "relative_fileloc": places["relative_fileloc"],
        "bundle_name": places["bundle_name"],
    }
    return {"dag": dag, "facts": airflow().test_runs.facts(render_job.instance_of(key, facts={}), context.session)}


def _require_instance(task: Task, key: InstanceToTest, session: Session) -> None:
    try:
        count = airflow().test_runs.map_count(task, key["run_id"], session)
    except LookupError as exc:
        raise Refused(
            f"The number of instances of the mapped task '{key['task_id']}' depends on its upstream tasks; send a run "
            "in which they have succeeded."
        ) from exc
    if count is None and key["map_index"] >= 0:
        raise Invalid({"map_index": ["The task is not mapped: omit map_index."]})
    if count is not None and not 0 <= key["map_index"] < count:
        raise Invalid({"map_index": [f"The task is mapped: send a map_index from 0 to {count - 1}."]})


@jobs.builds_response(render_task)
def _rendered(context: Context, finished: sandbox.JobOutcome) -> Dict[str, object]:
    return with_log(finished)


def with_log(finished: sandbox.JobOutcome) -> Dict[str, object]:
    """Return the result of the job with its duration and log tail."""
    printed = {"seconds": finished.seconds, "log": finished.log, "log_cut": finished.log_cut}
    return {**as_dated(finished.result), **printed}


def as_dated(key: Mapping[str, Any]) -> Dict[str, object]:
    """Return the arguments, or the result, of the sandbox with the logical date as a datetime."""
    date = key["logical_date"]
    return {**key, "logical_date": None if date is None else pendulum.parse(date)}
