"""Set the state of a DAG run, and delete one."""

from __future__ import annotations

from typing import Any, Dict

from marshmallow import Schema, fields

from native_api.adapters.compat import airflow
from native_api.adapters.fields.common import OneRun
from native_api.adapters.fields.texts import OneOf
from native_api.adapters.lookup import named_run
from native_api.adapters.task_instances.states import ChangedStates, changed_states
from native_api.effects import Effect
from native_api.errors import DagRunIsRunning
from native_api.errors.groups import OF_A_RUN
from native_api.permissions import Access, Resource
from native_api.registry import Context, operation


class SetDagRunState(OneRun):
    """The DAG run, and its new state."""

    state = fields.String(
        required=True,
        validate=OneOf(["success", "failed", "queued"]),
        metadata={"description": "The new state: success, failed or queued."},
    )


class DeletedDagRun(Schema):
    """The deleted DAG run."""

    dag_id = fields.String(required=True)
    run_id = fields.String(required=True)


@operation(
    request=SetDagRunState,
    result=ChangedStates,
    access=Access(Resource.DAG_RUN, "PUT"),
    effect=Effect.WRITE,
    tag="DAG Runs",
    errors=OF_A_RUN,
    example={"dag_id": "example_dag", "run_id": "manual__2026-11-01T00:00:00+00:00", "state": "failed"},
)
def set_dag_run_state(context: Context, state: str, **run: Any) -> Dict[str, object]:
    """
    Set the state of a DAG run, with the same meaning on every Airflow version.

    With success or failed, running task instances get that state, those that have not started are skipped, and ended
    ones are unchanged. With queued, the scheduler resumes the run; its task instances are unchanged.
    """
    session = context.session
    row = named_run(context, **run)
    key = {"dag_id": row.dag_id, "run_id": row.run_id}
    if state == "queued":
        from airflow.utils.state import DagRunState

        row.set_state(DagRunState.QUEUED)
        session.flush()
        return changed_states(key, state, [])
    dag = airflow().stored_dag(row.dag_id, session)
    return changed_states(key, state, airflow().finish_run(dag, row, state, session))


@operation(
    request=OneRun,
    result=DeletedDagRun,
    access=Access(Resource.DAG_RUN, "DELETE"),
    effect=Effect.WRITE,
    tag="DAG Runs",
    errors=(*OF_A_RUN, DagRunIsRunning),
    example={"dag_id": "example_dag", "run_id": "manual__2026-11-01T00:00:00+00:00"},
)
def delete_dag_run(context: Context, **run: Any) -> Dict[str, object]:
    """
    Delete a DAG run and its task instances.

    A running DAG run is not deleted, as in Airflow's own API since 3.1.
    """
    from airflow.utils.state import DagRunState

    row = named_run(context, **run)
    if row.state == DagRunState.RUNNING:
        raise DagRunIsRunning(row.dag_id, row.run_id)
    deleted = {"dag_id": row.dag_id, "run_id": row.run_id}
    context.session.delete(row)
    context.session.flush()
    return deleted
