"""What backfills are asked with, and what is told of them."""

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
    dag_id_field,
    is_day,
    switch,
)
from native_api.adapters.fields.paging import page_fields
from native_api.adapters.fields.patterns import Pattern
from native_api.adapters.fields.texts import OneOf, Text

STATES = ("running", "success", "failed", "cancelled")
REPROCESS = ("none", "failed", "completed")

ON_DEPENDS_ON_PAST = ("refuse", "adapt")
#: What the loaded arguments have besides: the name of the one whose date without a time is the last of the range.
LAST_DAY = "last_day"

_OTHER_NAMES = (("start_date", "from_date"), ("end_date", "to_date"))


class BackfillDag(Subdir):
    """Which runs are wanted, and what of them."""

    dag_id = dag_id_field()
    from_date = DateTime(metadata={"description": "The first logical date; left out, to_date alone is meant."})
    to_date = DateTime(metadata={"description": "The last logical date; left out, from_date alone is meant."})
    start_date = DateTime(metadata={"description": "Another name of from_date."})
    end_date = DateTime(metadata={"description": "Another name of to_date."})
    conf = JSONObject(
        load_default=None, allow_none=True, metadata={"description": "The configuration that every run gets."}
    )
    reprocess_behavior = fields.String(
        load_default="none",
        validate=OneOf(REPROCESS),
        metadata={
            "description": "What becomes of runs that exist and have ended: none leaves them, failed runs the failed "
            "ones again, completed all of them."
        },
    )
    run_backwards = switch("The latest date first.")
    max_active_runs = Whole(
        validate=validate.Range(min=1, max=LARGEST),
        metadata={
            "description": "How many of the runs run at once, 10 by default. On Airflow 2 it is the DAG's own "
            "max_active_runs that holds."
        },
    )
    task_regex = Pattern(
        metadata={
            "description": "A regular expression (RE2) that is looked for in the tasks' ids; only those tasks run, "
            "with the tasks before them."
        }
    )
    ignore_dependencies = switch("With task_regex: without the tasks before them.")
    ignore_first_depends_on_past = switch(
        "The first run does not wait for the one before it. Airflow 2: with local; on Airflow 3 it never does."
    )
    mark_success = switch("Nothing runs: the tasks and runs are marked as success.")
    pool = Text(
        256,
        shortest=1,
        metadata={"description": "The pool that the tasks run in; Airflow 2: with local."},
    )
    local = switch("Airflow 2: a job on the web server's machine runs it, which needs no scheduler.")
    on_depends_on_past = fields.String(
        load_default="refuse",
        validate=OneOf(ON_DEPENDS_ON_PAST),
        metadata={
            "description": "Where tasks have depends_on_past and the runs would not wait for one another: refuse the "
            "call, or adapt it (Airflow 2: local; Airflow 3: reprocess_behavior=failed) and say so in warnings."
        },
    )
    dry_run = switch("Only tell what would be done.")

    @validates_schema
    def _names_a_range(self, data: Mapping[str, Any], **kwargs: Any) -> None:
        for other, name in _OTHER_NAMES:
            if other in data and name in data:
                raise ValidationError(f"Is another name of {name}; name the date once.", other)
        first, last = (data.get(name, data.get(other)) for other, name in _OTHER_NAMES)
        if first is None and last is None:
            raise ValidationError("Name a date: from_date, to_date or both.", "from_date")
        if first is not None and last is not None and first > last:
            raise ValidationError("Must not be before from_date.", "to_date")

    @post_load(pass_original=True)
    def _one_name_for_each_date(
        self, data: Dict[str, Any], original: Mapping[str, Any], **kwargs: Any
    ) -> Dict[str, Any]:
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
        metadata={"description": "create, reprocess (it exists and runs again), or skip (it exists and is left)."},
    )
    run_id = fields.String(allow_none=True, metadata={"description": "The id of the run, where it is there."})
    state = fields.String(allow_none=True, metadata={"description": "The state that it had, where it was there."})


class PlannedBackfill(Schema):
    """What a backfill would do."""

    dag_id = fields.String(required=True)
    from_date = DateTime(required=True)
    to_date = DateTime(required=True)
    dry_run = fields.Boolean(required=True)
    runs = fields.List(fields.Nested(BackfillRun), required=True, metadata={"description": "In the order they start."})
    tasks = fields.List(fields.String(), required=True, metadata={"description": "The tasks that run in each."})
    total_entries = fields.Integer(required=True, metadata={"description": "How many runs there are."})
    warnings = fields.List(fields.String())


class StartedBackfill(PlannedBackfill):
    """A backfill that has begun."""

    backfill_id = fields.Integer(required=True)
    url = fields.String(metadata={"description": "URL of its backfill_state, for GET."})


class OneBackfill(Schema):
    """Names a backfill."""

    backfill_id = Whole(
        required=True,
        validate=validate.Range(min=0, max=LARGEST),
        metadata={"description": "The id that backfill_dag gave."},
    )


class Backfill(Schema):
    """A backfill and its progress."""

    backfill_id = fields.Integer(required=True)
    dag_id = fields.String(required=True)
    state = fields.String(
        required=True,
        metadata={
            "description": "running, success, failed (a run has failed, or a task that it was about), or cancelled."
        },
    )
    from_date = DateTime(required=True)
    to_date = DateTime(required=True)
    reprocess_behavior = fields.String(allow_none=True)
    max_active_runs = fields.Integer(allow_none=True, metadata={"description": "On Airflow 2 the DAG's own holds."})
    local = fields.Boolean(
        required=True, metadata={"description": "Whether a job on the web server's machine runs it."}
    )
    job_id = fields.String(allow_none=True, metadata={"description": "That job; job_state has its log."})
    created_at = DateTime(allow_none=True)
    created_by = fields.String(allow_none=True)
    runs = fields.Dict(
        keys=fields.String(),
        values=fields.Integer(),
        required=True,
        metadata={"description": "How many of its runs are in each state."},
    )
    total_runs = fields.Integer(required=True)
    fraction_done = fields.Float(required=True, metadata={"description": "The runs that have ended, of all: 0 to 1."})


class FailedTask(RunDates):
    """A task instance of a backfill that has failed."""

    run_id = fields.String(required=True)
    task_id = fields.String(required=True)
    map_index = fields.Integer(required=True)
    state = fields.String(required=True)


class BackfillState(Backfill):
    """How a backfill stands, with its tasks and what failed."""

    tasks = fields.Dict(
        keys=fields.String(),
        values=fields.Integer(),
        required=True,
        metadata={"description": "How many of its task instances are in each state; none: without one."},
    )
    failed_runs = fields.List(fields.String(), required=True, metadata={"description": "100 at most, by date."})
    failed_tasks = fields.List(fields.Nested(FailedTask), required=True, metadata={"description": "100 at most."})
    warnings = fields.List(fields.String())


class ListBackfills(Schema.from_dict(page_fields("backfill_id"))):  # type: ignore[misc]
    """Which backfills to list."""

    dag_id = Text(texts.ID, metadata={"description": "Only backfills of this DAG."})
    state = States(metadata={"description": f"Only backfills in one of these states: {', '.join(STATES)}."})


class Backfills(Schema):
    """A page of backfills."""

    backfills = fields.List(fields.Nested(Backfill), required=True)
    total_entries = fields.Integer(required=True)
    warnings = fields.List(fields.String())


class CancelledBackfill(Schema):
    """A backfill that was ended."""

    backfill_id = fields.Integer(required=True)
    dag_id = fields.String(required=True)
    state = fields.String(required=True)
    failed_runs = fields.Integer(
        required=True, metadata={"description": "How many runs had not begun and have failed."}
    )
    running_runs = fields.Integer(required=True, metadata={"description": "How many run on to their end."})
