"""Requests and responses of backfills."""

from __future__ import annotations

from typing import Any, Dict, Mapping

from marshmallow import Schema, ValidationError, fields, post_load, validate, validates_schema

from native_api.adapters.fields import texts
from native_api.adapters.fields.common import (
    LARGEST,
    DateTime,
    JSONObject,
    RunDates,
    States,
    Subdir,
    Whole,
    alias_of,
    dag_id_field,
    is_day,
    switch,
)
from native_api.adapters.fields.paging import page_fields
from native_api.adapters.fields.patterns import Pattern
from native_api.adapters.fields.texts import OneOf, Text
from native_api.adapters.fields.versions import limited

STATES = ("running", "success", "failed", "cancelled")
REPROCESS = ("none", "failed", "completed")

ON_DEPENDS_ON_PAST = ("refuse", "adapt")
#: Additional loaded argument: the name of the one whose date without a time is the last of the range.
LAST_DAY = "last_day"

_OTHER_NAMES = (("start_date", "from_date"), ("end_date", "to_date"))


class BackfillDag(Subdir):
    """The runs to backfill, and their options."""

    dag_id = dag_id_field()
    from_date = DateTime(metadata={"description": "The first logical date. By default, to_date."})
    to_date = DateTime(metadata={"description": "The last logical date. By default, from_date."})
    start_date = DateTime(metadata=alias_of("from_date"))
    end_date = DateTime(metadata=alias_of("to_date"))
    conf = JSONObject(
        load_default=None, allow_none=True, metadata={"description": "The configuration of each DAG run."}
    )
    reprocess_behavior = fields.String(
        load_default="none",
        validate=OneOf(REPROCESS),
        metadata={
            "description": "Action on existing runs that have ended: none does not change them, failed runs the "
            "failed ones again, completed all of them."
        },
    )
    run_backwards = switch("If true, run the latest date first.")
    max_active_runs = Whole(
        validate=validate.Range(min=1, max=LARGEST),
        metadata=limited(
            "Maximum number of runs that are active at once, 10 by default. On Airflow 2, the max_active_runs of the "
            "DAG is used instead.",
            since=(3, 0),
        ),
    )
    task_regex = Pattern(
        metadata={
            "description": "Run only the tasks whose task_id matches this regular expression (RE2) anywhere, and "
            "their upstream tasks."
        }
    )
    ignore_dependencies = switch("With task_regex: if true, do not run upstream tasks.")
    ignore_first_depends_on_past = switch(
        "If true, the first run ignores depends_on_past. Airflow 2: requires local. Airflow 3: always true."
    )
    mark_success = switch("If true, mark the tasks and runs as success without running them.")
    pool = Text(
        256,
        shortest=1,
        metadata={"description": "The pool to run the tasks in. Airflow 2: requires local."},
    )
    local = switch(
        "If true, run the backfill as a job: on the web server's host, without a scheduler, or on a worker with "
        "execute_on = executor.",
        before=(3, 0),
    )
    on_depends_on_past = fields.String(
        load_default="refuse",
        validate=OneOf(ON_DEPENDS_ON_PAST),
        metadata={
            "description": "If tasks have depends_on_past and the runs would not wait for each other: refuse the "
            "request, or adapt it (Airflow 2: local; Airflow 3: reprocess_behavior=failed) with a "
            "warning."
        },
    )
    dry_run = switch("If true, return the plan and create nothing.")

    @validates_schema
    def _names_a_range(self, data: Mapping[str, Any], **kwargs: object) -> None:
        for other, name in _OTHER_NAMES:
            if other in data and name in data:
                raise ValidationError(f"Is an alias of {name}; send one of them.", other)
        first, last = (data.get(name, data.get(other)) for other, name in _OTHER_NAMES)
        if first is None and last is None:
            raise ValidationError("Send from_date, to_date or both.", "from_date")
        if first is not None and last is not None and first > last:
            raise ValidationError("Must not be earlier than from_date.", "to_date")

    @post_load(pass_original=True)
    def _one_name_for_each_date(
        self, data: Dict[str, Any], original: Mapping[str, object], **kwargs: object
    ) -> Dict[str, object]:
        last = next(name for name in ("to_date", "end_date", "from_date", "start_date") if name in data)
        if is_day(original[last]):
            data[LAST_DAY] = last
        for other, name in _OTHER_NAMES:
            if other in data:
                data[name] = data.pop(other)
        data.setdefault("from_date", data.get("to_date"))
        data.setdefault("to_date", data["from_date"])
        return data


class BackfillRun(RunDates):
    """A run of a backfill."""

    data_interval_start = DateTime(allow_none=True)
    data_interval_end = DateTime(allow_none=True)
    action = fields.String(
        required=True,
        metadata={
            "description": "create, reprocess (the run exists and runs again), or skip (the run exists and is "
            "not changed)."
        },
    )
    run_id = fields.String(allow_none=True, metadata={"description": "The run_id of the DAG run, if it exists."})
    state = fields.String(allow_none=True, metadata={"description": "The previous state of the DAG run, if it exists."})


class PlannedBackfill(Schema):
    """The plan of a backfill."""

    dag_id = fields.String(required=True)
    from_date = DateTime(required=True)
    to_date = DateTime(required=True)
    dry_run = fields.Boolean(required=True)
    runs = fields.List(
        fields.Nested(BackfillRun), required=True, metadata={"description": "The runs, in the order they start."}
    )
    tasks = fields.List(fields.String(), required=True, metadata={"description": "The task_ids of the tasks to run."})
    total_entries = fields.Integer(required=True, metadata={"description": "Number of runs."})
    warnings = fields.List(fields.String())


class StartedBackfill(PlannedBackfill):
    """A created backfill."""

    backfill_id = fields.Integer(required=True)
    url = fields.String(metadata={"description": "The URL of backfill_state for this backfill."})


class OneBackfill(Schema):
    """Identify a backfill."""

    backfill_id = Whole(
        required=True,
        validate=validate.Range(min=0, max=LARGEST),
        metadata={"description": "The backfill_id that backfill_dag returned."},
    )


class Backfill(Schema):
    """A backfill and its progress."""

    backfill_id = fields.Integer(required=True)
    dag_id = fields.String(required=True)
    state = fields.String(
        required=True,
        metadata={"description": "running, success, failed (a run, or a selected task, has failed), or cancelled."},
    )
    from_date = DateTime(required=True)
    to_date = DateTime(required=True)
    reprocess_behavior = fields.String(allow_none=True)
    max_active_runs = fields.Integer(
        allow_none=True,
        metadata={"description": "Maximum number of active runs. On Airflow 2, that of the DAG is used instead."},
    )
    local = fields.Boolean(required=True, metadata={"description": "Whether it runs as a job of this API."})
    job_id = fields.String(
        allow_none=True, metadata={"description": "The job_id of that job; job_state returns its log."}
    )
    created_at = DateTime(allow_none=True)
    created_by = fields.String(allow_none=True)
    runs = fields.Dict(
        keys=fields.String(),
        values=fields.Integer(),
        required=True,
        metadata={"description": "Number of DAG runs by state."},
    )
    total_runs = fields.Integer(required=True)
    fraction_done = fields.Float(
        required=True, metadata={"description": "Fraction of the runs that have ended: 0 to 1."}
    )


class FailedTask(RunDates):
    """A failed task instance of a backfill."""

    run_id = fields.String(required=True)
    task_id = fields.String(required=True)
    map_index = fields.Integer(required=True)
    state = fields.String(required=True)


class BackfillState(Backfill):
    """The progress of a backfill, with its tasks and failures."""

    tasks = fields.Dict(
        keys=fields.String(),
        values=fields.Integer(),
        required=True,
        metadata={"description": "Number of task instances by state; none means no state."},
    )
    failed_runs = fields.List(
        fields.String(),
        required=True,
        metadata={"description": "The run_ids of failed runs, at most 100, ordered by date."},
    )
    failed_tasks = fields.List(
        fields.Nested(FailedTask), required=True, metadata={"description": "The failed task instances, at most 100."}
    )
    warnings = fields.List(fields.String())


class ListBackfills(Schema.from_dict(page_fields("backfill_id"))):  # type: ignore[misc]
    """Filters of the list of backfills."""

    dag_id = Text(texts.ID, metadata={"description": "Only backfills of this DAG."})
    state = States(metadata={"description": f"Only backfills in one of these states: {', '.join(STATES)}."})


class Backfills(Schema):
    """A page of backfills."""

    backfills = fields.List(fields.Nested(Backfill), required=True)
    total_entries = fields.Integer(required=True)
    warnings = fields.List(fields.String())


class CancelledBackfill(Schema):
    """A cancelled backfill."""

    backfill_id = fields.Integer(required=True)
    dag_id = fields.String(required=True)
    state = fields.String(required=True)
    failed_runs = fields.Integer(
        required=True, metadata={"description": "Number of queued runs that were set to failed."}
    )
    running_runs = fields.Integer(required=True, metadata={"description": "Number of running runs, which finish."})
