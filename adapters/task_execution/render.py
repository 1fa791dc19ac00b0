"""What the templates of a task become."""

from __future__ import annotations

from typing import Any, Dict, Mapping, Optional

import pendulum
from marshmallow import Schema, fields

from native_api.adapters import sandbox
from native_api.adapters.compat import airflow
from native_api.adapters.fields.common import RunDates
from native_api.adapters.jobs import operations as jobs
from native_api.adapters.jobs.operations import AcceptedJob, InBackground
from native_api.adapters.lookup import dag_with_task, named_instance
from native_api.adapters.task_execution import render_job
from native_api.adapters.task_instances.operations import OneTaskInstance, instance_command
from native_api.effects import Effect
from native_api.errors import DagRunNotFound, Invalid, Refused
from native_api.permissions import EXECUTE_DAG
from native_api.registry import Context, operation


class RenderTask(InBackground, OneTaskInstance):
    """Which task instance to render; there need be no run for the date."""


class RenderedField(Schema):
    """A template field."""

    name = fields.String(required=True)
    value = fields.Raw(required=True, allow_none=True, metadata={"description": "What the field became."})
    value_is_repr = fields.Boolean(
        required=True, metadata={"description": "Whether JSON cannot hold the value, which is described then."}
    )
    text = fields.String(required=True, metadata={"description": "The value as text."})


class OnTrial(RunDates):
    """A task instance that was rendered or tested."""

    dag_id = fields.String(required=True)
    run_id = fields.String(allow_none=True, metadata={"description": "null where there is no run for the date."})
    task_id = fields.String(required=True)
    map_index = fields.Integer(required=True)
    seconds = fields.Float(required=True, metadata={"description": "How long it took."})
    log = fields.String(required=True, metadata={"description": "The end of what the code printed and logged."})
    log_cut = fields.Boolean(required=True, metadata={"description": "Whether it printed more."})


class RenderedTask(OnTrial):
    """What the template fields of a task became."""

    template_fields = fields.List(
        fields.Nested(RenderedField),
        required=True,
        metadata={"description": "In the operator's order."},
    )


@operation(
    request=RenderTask,
    result=RenderedTask,
    accepted=AcceptedJob,
    access=EXECUTE_DAG,
    effect=Effect.EXECUTE,
    tag="Task Execution",
    command=instance_command("render"),
    example={"dag_id": "example_dag", "logical_date": "2026-11-01T00:00:00+00:00", "task_id": "extract"},
)
def render_task(context: Context, in_background: bool, **instance: Any) -> Optional[Dict[str, Any]]:
    """
    Render the templates of a task, as its DAG file defines them now.

    The run need not exist: by its date it is as if it had been triggered for it. Variables, connections, macros and
    the XComs of the run's other tasks are there for the templates. Nothing is stored or changed.
    """
    named = instance_on_trial(context, **instance)
    job = sandbox.Job(render_job.render, named, has_task=True)
    return jobs.run(context, job, in_background=in_background)


def instance_on_trial(context: Context, **instance: Any) -> Dict[str, Any]:
    """
    Return what the sandbox is told of the task instance that the caller named, once the database says it could be.

    The names are the fields of :class:`OneTaskInstance`.

    :raises TaskNotFound: the DAG has no such task.
    :raises DagRunNotFound: the run was named by its id, and there is none.
    :raises Invalid: *map_index* is none of the task's.
    :raises Refused: which there are is not known before other tasks have run.
    """
    date = instance.get("logical_date")
    try:
        run, key = named_instance(context, **instance)
        date = getattr(run, airflow().date_column)
    except DagRunNotFound:
        if date is None:
            raise
        key = {"run_id": None, **{name: instance[name] for name in ("dag_id", "task_id", "map_index")}}
    task = dag_with_task(context.session, key["dag_id"], key["task_id"]).get_task(key["task_id"])
    _require_instance(task, key, context.session)
    return {**key, "logical_date": None if date is None else date.isoformat()}


def _require_instance(task: Any, key: Dict[str, Any], session: Any) -> None:
    try:
        count = airflow().test_runs.map_count(task, key["run_id"], session)
    except LookupError as exc:
        raise Refused(
            f"How many instances the mapped task '{key['task_id']}' has depends on what the tasks before it return: "
            "name a run in which they have run."
        ) from exc
    if count is None and key["map_index"] >= 0:
        raise Invalid({"map_index": ["The task is not mapped: leave it out."]})
    if count is not None and not 0 <= key["map_index"] < count:
        raise Invalid({"map_index": [f"The task is mapped: name an instance from 0 to {count - 1}."]})


@jobs.answers(render_task)
def _rendered(context: Context, finished: sandbox.Finished) -> Dict[str, Any]:
    return with_log(finished)


def with_log(finished: sandbox.Finished) -> Dict[str, Any]:
    """Return the job's result with how long it took and what it printed."""
    printed = {"seconds": finished.seconds, "log": finished.log, "log_cut": finished.log_cut}
    return {**as_dated(finished.result), **printed}


def as_dated(named: Mapping[str, Any]) -> Dict[str, Any]:
    """Return what the sandbox tells, or is told, of an instance with its date as a date."""
    date = named["logical_date"]
    return {**named, "logical_date": None if date is None else pendulum.parse(date)}
