"""Set the states of task instances."""

from __future__ import annotations

from typing import Any, Dict, List, Mapping

from marshmallow import Schema, fields

from native_api.adapters.compat import airflow, text_of
from native_api.adapters.compat.objects import key_of
from native_api.adapters.fields.common import switch
from native_api.adapters.fields.texts import OneOf
from native_api.adapters.lookup import dag_with_task, named_instance
from native_api.adapters.task_instances.operations import OneTaskInstance
from native_api.effects import Effect
from native_api.errors import TaskInstanceNotFound
from native_api.errors.groups import OF_A_LOADED_DAG, OF_A_TASK
from native_api.permissions import Access, Resource
from native_api.registry import Context, operation


class SetTaskState(OneTaskInstance):
    """The task instances, and their new state."""

    state = fields.String(
        required=True,
        validate=OneOf(["success", "failed", "skipped"]),
        metadata={"description": "The new state: success, failed or skipped."},
    )
    upstream = switch("If true, also set upstream tasks.")
    downstream = switch("If true, also set downstream tasks.")
    future = switch("If true, also set them in later DAG runs.")
    past = switch("If true, also set them in earlier DAG runs.")


class ChangedInstance(Schema):
    """A task instance, and its new state."""

    dag_id = fields.String(required=True)
    run_id = fields.String(required=True)
    task_id = fields.String(required=True)
    map_index = fields.Integer(required=True)
    state = fields.String(allow_none=True)


class ChangedStates(Schema):
    """The state, and the task instances that were set to it."""

    dag_id = fields.String(required=True)
    run_id = fields.String(required=True)
    state = fields.String(required=True)
    task_instances = fields.List(fields.Nested(ChangedInstance), required=True)


@operation(
    request=SetTaskState,
    result=ChangedStates,
    access=Access(Resource.TASK_INSTANCE, "PUT"),
    effect=Effect.WRITE,
    tag="Task Instances",
    errors=(*OF_A_TASK, *OF_A_LOADED_DAG, TaskInstanceNotFound),
    example={
        "dag_id": "example_dag",
        "run_id": "manual__2026-11-01T00:00:00+00:00",
        "task_id": "extract",
        "state": "success",
    },
)
def set_task_state(
    context: Context,
    state: str,
    upstream: bool,
    downstream: bool,
    future: bool,
    past: bool,
    **instance: Any,
) -> Dict[str, Any]:
    """
    Set the state of a task instance, as marking it in Airflow's UI does.

    Without map_index, all instances of a mapped task are set. Failed downstream task instances are cleared, so that the
    run continues, except those that downstream sets to failed.
    """
    session = context.session
    run, key = named_instance(context, **instance)
    dag = dag_with_task(session, key["dag_id"], key["task_id"])
    task_id, map_index = key["task_id"], key["map_index"]
    if map_index >= 0 and run.get_task_instance(task_id, map_index=map_index, session=session) is None:
        raise TaskInstanceNotFound(**key)
    relatives = {"upstream": upstream, "downstream": downstream, "future": future, "past": past}
    changed = airflow().set_task_state(dag, run, task_id, state, map_index, session, **relatives)
    return changed_states(key, state, changed)


def changed_states(key: Mapping[str, object], state: str, changed: List[Any]) -> Dict[str, object]:
    """Return the state and the task instances that were set to it, as :class:`ChangedStates`."""
    instances = [
        {
            **key_of(instance),
            "state": text_of(instance.state),
        }
        for instance in changed
    ]
    ordered = sorted(instances, key=lambda shown: (shown["run_id"], shown["task_id"], shown["map_index"]))
    return {"dag_id": key["dag_id"], "run_id": key["run_id"], "state": state, "task_instances": ordered}
