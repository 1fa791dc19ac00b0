"""The details of a DAG, from its row and its serialized form; no file is parsed."""

from __future__ import annotations

import json
from typing import Any, Dict, Mapping

from marshmallow import Schema, fields, validate

from native_api.adapters.compat import airflow
from native_api.adapters.compat.masking import MASK
from native_api.adapters.dags.operations import Dag, OneDag, active_dag, as_response
from native_api.adapters.fields import strict_json
from native_api.adapters.fields.common import DateTime, Whole
from native_api.adapters.fields.versions import limited
from native_api.effects import Effect
from native_api.errors.groups import OF_A_DAG
from native_api.permissions import Access, Resource
from native_api.registry import Context, operation


class DagToDescribe(OneDag):
    """The DAG, and the number of next runs."""

    num_executions = Whole(
        load_default=1,
        validate=validate.Range(min=1, max=100),
        metadata={"description": "Maximum number of next runs to return."},
    )


class NextRun(Schema):
    """A next run of the schedule."""

    logical_date = DateTime(required=True, allow_none=True)
    data_interval_start = DateTime(required=True, allow_none=True)
    data_interval_end = DateTime(required=True, allow_none=True)
    run_after = DateTime(
        required=True, allow_none=True, metadata={"description": "Timestamp after which the run can be created."}
    )
    partition_key = fields.String(allow_none=True, metadata=limited("The partition key, if any.", since=(3, 2)))


class Param(Schema):
    """A param of a DAG."""

    value = fields.Raw(
        required=True,
        allow_none=True,
        metadata={"description": "The default, with sensitive values masked; null if there is none."},
    )
    description = fields.String(required=True, allow_none=True)
    schema = fields.Dict(required=True, metadata={"description": "The JSON schema of the param."})


class DagDetails(Dag):
    """A DAG in detail."""

    dag_display_name = fields.String(required=True)
    bundle_version = fields.String(
        required=True, allow_none=True, metadata=limited("The version of the DAG bundle.", since=(3, 0))
    )
    timetable_summary = fields.String(
        required=True,
        allow_none=True,
        metadata={"description": "The schedule, for example a cron expression; null if there is none."},
    )
    asset_expression = fields.Raw(
        required=True,
        allow_none=True,
        metadata=limited(
            "The condition on assets (Airflow 2: datasets) that triggers the DAG, as Airflow stores it.", since=(2, 9)
        ),
    )
    timezone = fields.String(required=True)
    catchup = fields.Boolean(required=True)
    start_date = DateTime(required=True, allow_none=True)
    end_date = DateTime(required=True, allow_none=True)
    dag_run_timeout = fields.Float(required=True, allow_none=True, metadata={"description": "Seconds."})
    doc_md = fields.String(required=True, allow_none=True)
    is_paused_upon_creation = fields.Boolean(required=True, allow_none=True)
    render_template_as_native_obj = fields.Boolean(required=True)
    has_task_concurrency_limits = fields.Boolean(required=True)
    max_consecutive_failed_dag_runs = fields.Integer(
        required=True,
        allow_none=True,
        metadata=limited(
            "Number of failed runs in a row after which Airflow pauses the DAG; 0 for never.", since=(2, 9)
        ),
    )
    params = fields.Dict(
        keys=fields.String(), values=fields.Nested(Param), required=True, metadata={"description": "By name."}
    )
    next_dagrun_data_interval_start = DateTime(required=True, allow_none=True)
    next_dagrun_data_interval_end = DateTime(required=True, allow_none=True)
    next_dagrun_create_after = DateTime(required=True, allow_none=True)
    next_runs = fields.List(
        fields.Nested(NextRun),
        required=True,
        metadata={"description": "The next runs of the schedule; the first is the stored one."},
    )


@operation(
    request=DagToDescribe,
    result=DagDetails,
    access=Access(Resource.DAG, "GET"),
    effect=Effect.READ,
    tag="DAGs",
    errors=OF_A_DAG,
    command=lambda arguments: ["dags", "details", arguments["dag_id"]],
    example={"dag_id": "example_dag", "num_executions": 3},
)
def dag_details(context: Context, num_executions: int, **which: Any) -> Dict[str, Any]:
    """
    Return the details of a DAG: schedule, next runs, params with their schema, tags, owners and limits.

    The details come from the metadata database; no file is parsed. The next runs of a paused DAG wait until it is
    unpaused.
    """
    row = active_dag(context, **which)
    dag = airflow().shared_dag(row.dag_id, context.session)
    summary = str(dag.timetable.summary)
    columns = (
        "has_task_concurrency_limits",
        "next_dagrun_data_interval_start",
        "next_dagrun_data_interval_end",
        "next_dagrun_create_after",
    )
    timeout, recorded = dag.dagrun_timeout, airflow().details_of(row)
    return {
        **as_response(row),
        **{name: getattr(row, name) for name in columns},
        **recorded,
        # What Airflow calls no schedule.
        "timetable_summary": None if summary == "None" else summary,
        "asset_expression": _plain(recorded["asset_expression"]),
        "timezone": str(dag.timezone.name),
        "catchup": dag.catchup,
        "start_date": dag.start_date,
        "end_date": dag.end_date,
        "dag_run_timeout": None if timeout is None else timeout.total_seconds(),
        "doc_md": dag.doc_md,
        "is_paused_upon_creation": dag.is_paused_upon_creation,
        "render_template_as_native_obj": dag.render_template_as_native_obj,
        "params": {name: _param(name, param.dump()) for name, param in dag.params.items()},
        "next_runs": airflow().next_runs(dag, row, num_executions),
    }


def _param(name: str, dumped: Mapping[str, object]) -> Dict[str, object]:
    value, schema = (_plain(dumped[field]) for field in ("value", "schema"))
    return {"value": airflow().masked(value, name), "description": dumped["description"], "schema": schema}


def _plain(value: object) -> Any:
    """Return a value as JSON; a value that JSON cannot represent, which older Airflow versions allow, as text."""
    return json.loads(json.dumps(strict_json.plain(value, MASK), default=str))
