"""Jobs in the background: how one stands, which there are, and ending one."""

from __future__ import annotations

import time
from datetime import datetime, timezone
from typing import Any, Dict, List, Optional

from marshmallow import Schema, fields

from native_api import settings
from native_api.access import Effect
from native_api.adapters import sandbox
from native_api.adapters.pages import page_fields, slice_of
from native_api.adapters.sandbox import records
from native_api.adapters.sandbox.capture import tail
from native_api.adapters.sandbox.errors import error_of
from native_api.adapters.sandbox.records import LIVE, Record
from native_api.adapters.schemas import DateTime, Flag, States
from native_api.errors import JobHasEnded, JobNotFound
from native_api.operations import Context, operation

#: Seconds that ending a job is waited for.
_ENDING_SECONDS = 10


class InBackground(Schema):
    """Lets the caller follow a job rather than wait for it."""

    in_background = Flag(
        load_default=False,
        data_key="async",
        metadata={"description": "Answer at once with 202 and a job; job_state tells how it stands."},
    )


class AcceptedJob(Schema):
    """A job that goes on in the background."""

    job_id = fields.String(required=True)
    operation = fields.String(required=True, metadata={"description": "What tells how it stands."})
    url = fields.String(metadata={"description": "Where that is asked, by GET."})


class OneJob(Schema):
    """Names a job."""

    job_id = fields.String(required=True, metadata={"description": "The id that the answer 202 gave."})


class JobSummary(Schema):
    """A job in the background, as lists have it."""

    job_id = fields.String(required=True)
    operation = fields.String(required=True)
    state = fields.String(
        required=True,
        metadata={
            "description": "queued, running, success, failed (the code raised), crashed (it ended its process), "
            "timeout, cancelled, or lost (the machine, or its supervisor, was killed)."
        },
    )
    owner = fields.String(required=True, metadata={"description": "Whoever asked for it."})
    arguments = fields.Dict(required=True, metadata={"description": "What it was asked with; secrets are masked."})
    created_at = DateTime(required=True)
    started_at = DateTime(allow_none=True)
    ended_at = DateTime(allow_none=True)
    seconds = fields.Float(allow_none=True, metadata={"description": "How long it has run."})


class JobState(JobSummary):
    """A job in the background, with what it printed and what came of it."""

    log = fields.String(required=True, metadata={"description": "The end of what it has printed so far."})
    log_cut = fields.Boolean(required=True, metadata={"description": "Whether it has printed more."})
    result = fields.Raw(allow_none=True, metadata={"description": "What the operation gives, once it has ended well."})
    error = fields.Dict(allow_none=True, metadata={"description": "The problem, where it has ended otherwise."})


@operation(request=OneJob, result=JobState, access=None, effect=Effect.READ, example={"job_id": "0123456789abcdef" * 2})
def job_state(context: Context, job_id: str) -> Dict[str, Any]:
    """
    Tell how a job in the background stands, what it has printed so far, and what came of it.

    It is there for whoever asked for the job, and for administrators.
    """
    record = _own_record(context, job_id)
    standing = record.state()
    log, cut = tail(record.log, settings.get("job_log_tail_bytes"))
    return {
        **_summary(record, standing),
        "log": log,
        "log_cut": cut,
        "result": standing.get("result"),
        "error": None if standing["state"] in (*LIVE, "success") else _problem(standing),
    }


def _problem(standing: Dict[str, Any]) -> Dict[str, Any]:
    return error_of(standing, {"seconds": settings.get("job_seconds_max")}).problem()


class ListJobs(Schema.from_dict(page_fields("created_at"))):  # type: ignore[misc]
    """Which jobs to list."""

    operation = fields.String(metadata={"description": "Only jobs of this operation."})
    state = States(metadata={"description": "Only jobs in one of these states."})


class Jobs(Schema):
    """A page of jobs."""

    jobs = fields.List(fields.Nested(JobSummary), required=True)
    total_entries = fields.Integer(required=True)


@operation(request=ListJobs, result=Jobs, access=None, effect=Effect.READ)
def list_jobs(
    context: Context, operation: Optional[str] = None, state: Optional[List[str]] = None, **asked: Any
) -> Dict[str, Any]:
    """List the jobs in the background that the caller asked for; administrators see everybody's."""
    jobs = [
        _summary(record, record.state())
        for record in records.every(sandbox.jobs_folder())
        if record.is_kept() and _may_see(context, record)
    ]
    jobs = [
        job for job in jobs if (not operation or job["operation"] == operation) and (not state or job["state"] in state)
    ]
    return {"jobs": slice_of(context, jobs, asked, lambda job: job["created_at"]), "total_entries": len(jobs)}


class EndedJob(Schema):
    """A job that was told to end."""

    job_id = fields.String(required=True)
    state = fields.String(
        required=True, metadata={"description": "cancelled, or how it stands where it takes its time to end."}
    )


@operation(
    request=OneJob, result=EndedJob, access=None, effect=Effect.WRITE, example={"job_id": "0123456789abcdef" * 2}
)
def cancel_job(context: Context, job_id: str) -> Dict[str, Any]:
    """End a job in the background: it is told to end, and killed with all it started where it does not."""
    record = _own_record(context, job_id)
    state = record.state()["state"]
    if state not in LIVE:
        raise JobHasEnded(job_id, state)
    record.ask_to_end()
    until = time.monotonic() + _ENDING_SECONDS
    while state in LIVE and time.monotonic() < until:
        time.sleep(0.05)
        state = record.state()["state"]
    return {"job_id": job_id, "state": state}


def _own_record(context: Context, job_id: str) -> Record:
    record = records.find(sandbox.jobs_folder(), job_id)
    if record is None or not record.is_kept() or not _may_see(context, record):
        raise JobNotFound(job_id)
    return record


def _may_see(context: Context, record: Record) -> bool:
    return bool(record.facts["owner"] == context.caller.name) or context.caller.is_administrator()


def _summary(record: Record, standing: Dict[str, Any]) -> Dict[str, Any]:
    started, ended = standing.get("started_at"), standing.get("ended_at")
    return {
        **record.facts,
        "state": standing["state"],
        "created_at": _moment(record.facts["created_at"]),
        "started_at": _moment(started),
        "ended_at": _moment(ended),
        "seconds": round((ended or time.time()) - started, 3) if started else None,
    }


def _moment(seconds: Optional[float]) -> Optional[datetime]:
    return None if seconds is None else datetime.fromtimestamp(seconds, timezone.utc)
