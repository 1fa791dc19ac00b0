"""Asynchronous jobs: their state, the list of them, and cancelling one."""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any, Callable, Dict, List, Optional, Tuple, Type

from marshmallow import Schema, fields

from native_api import registry, settings
from native_api.adapters import sandbox
from native_api.adapters.fields import texts
from native_api.adapters.fields.common import DateTime, Flag, States
from native_api.adapters.fields.paging import page_fields, slice_of
from native_api.adapters.fields.texts import Text
from native_api.adapters.sandbox import Finished, Job, job_store
from native_api.adapters.sandbox.capture import tail
from native_api.adapters.sandbox.job_store import LIVE, Record
from native_api.effects import Effect
from native_api.errors import JobHasEnded, JobIsElsewhere, JobNotFound, NativeApiError, OperationNotFound
from native_api.host import other_host_of
from native_api.registry import Context, operation

#: Seconds, beyond its grace period, that ending a job is waited for.
_ENDING_SECONDS = 5


class InBackground(Schema):
    """Lets the caller follow a job rather than wait for it."""

    in_background = Flag(
        load_default=False,
        data_key="async",
        metadata={"description": "Run asynchronously: return 202 and a job at once. job_state returns its progress."},
    )


class AcceptedJob(Schema):
    """A job that goes on in the background."""

    job_id = fields.String(required=True)
    operation = fields.String(required=True, metadata={"description": "The operation that returns its state."})
    url = fields.String(metadata={"description": "Where that is asked, by GET."})
    warnings = fields.List(fields.String())


AtEnd = Callable[[Context, Finished], Dict[str, Any]]


@dataclass(frozen=True)
class Answer:
    """What makes an operation's answer of what came of its job; *takes* are the errors that are an answer, too."""

    made_by: AtEnd = lambda context, ended: ended.result
    takes: Tuple[Type[NativeApiError], ...] = ()


#: By the function of the operation that begins the job.
_ANSWERS: Dict[registry.Function, Answer] = {}


def answers(*operations: registry.Function, takes: Tuple[Type[NativeApiError], ...] = ()) -> Callable[[AtEnd], AtEnd]:
    """
    Declare that the function below makes the answer of these operations of what came of their job.

    It does so for callers who wait for the answer, and for those who ask for the job's state.

    :param takes: the errors that are an answer, too.
    """

    def register(function: AtEnd) -> AtEnd:
        _ANSWERS.update({operation: Answer(function, takes) for operation in operations})
        return function

    return register


def _answer_of(name: str) -> Optional[Answer]:
    """Return what makes the answer of a job's operation, which another version of this plugin may have begun."""
    try:
        return _ANSWERS.get(registry.get(name).function)
    except OperationNotFound:
        return None


def run(context: Context, job: Job, *, in_background: bool, outlive: bool = False) -> Optional[Dict[str, Any]]:
    """Return the operation's answer, or None where its job goes on; see :func:`sandbox.run`."""
    ended = sandbox.run_to_end(context, job, in_background=in_background, outlive=outlive)
    return None if ended is None else at_end(context, ended)


def at_end(context: Context, ended: Finished) -> Any:
    """Return the answer of the context's operation, or raise the error that it ends with."""
    answer = _answer_of(context.operation) or Answer()
    if ended.error is not None and not isinstance(ended.error, answer.takes):
        raise ended.error
    return answer.made_by(context, ended)


class OneJob(Schema):
    """Names a job."""

    job_id = Text(texts.ID, required=True, metadata={"description": "The id that the answer 202 gave."})


class JobSummary(Schema):
    """A job in the background, as lists have it."""

    job_id = fields.String(required=True)
    operation = fields.String(required=True)
    state = fields.String(
        required=True,
        metadata={
            "description": "How it stands, or has ended: queued, running, success, failed (the code raised), crashed "
            "(it ended its process), timeout, cancelled, or lost (the machine, or its supervisor, was killed)."
        },
    )
    owner = fields.String(required=True, metadata={"description": "Whoever asked for it."})
    hostname = fields.String(allow_none=True, metadata={"description": "The host that it runs on, or ran on."})
    arguments = fields.Dict(required=True, metadata={"description": "What it was asked with; secrets are masked."})
    created_at = DateTime(required=True)
    started_at = DateTime(allow_none=True)
    ended_at = DateTime(allow_none=True)
    seconds = fields.Float(allow_none=True, metadata={"description": "How long it has run."})


class JobState(JobSummary):
    """A job in the background, with what it printed and what came of it."""

    log = fields.String(required=True, metadata={"description": "The end of what it has printed so far."})
    log_cut = fields.Boolean(required=True, metadata={"description": "Whether it has printed more."})
    result = fields.Raw(
        allow_none=True, metadata={"description": "What the operation would have answered, where that is no problem."}
    )
    error = fields.Dict(
        allow_none=True, metadata={"description": "The problem that it would have answered, where it is one."}
    )


@operation(
    request=OneJob,
    result=JobState,
    access=None,
    effect=Effect.READ,
    tag="Jobs",
    example={"job_id": "0123456789abcdef" * 2},
)
def job_state(context: Context, job_id: str) -> Dict[str, Any]:
    """
    Return the state of an asynchronous job, its log tail so far, and its result.

    A job of another host is 409 with that host's name, unless the web servers share state_dir.
    It is there for whoever asked for the job, for administrators, and for the static token where token_effects lists
    the effect of the job's operation.
    """
    record = _own_record(context, job_id)
    job_state = record.state()
    log, cut = tail(record.log, settings.get("job_log_tail_bytes"))
    told = {**job_state, "log": log, "log_cut": cut}
    return {
        **_summary(record, job_state),
        "log": log,
        "log_cut": cut,
        **_came_of_it(context, record.facts, told),
    }


def _came_of_it(context: Context, facts: Dict[str, Any], told: Dict[str, Any]) -> Dict[str, Any]:
    """Return the answer that the caller would have had, or the problem."""
    if told["state"] in LIVE:
        return {"result": None, "error": None}
    ended = sandbox.finished(told, facts, in_background=True)
    if ended.error is not None and told["state"] == "lost":
        return {"result": None, "error": ended.error.problem()}
    asked = Context(context.session, context.caller, operation=facts["operation"], warnings=[*facts["warnings"]])
    try:
        return {"result": _answer(asked, ended), "error": None}
    except NativeApiError as exc:
        return {"result": None, "error": exc.problem()}


def _answer(asked: Context, ended: Finished) -> Any:
    """Return the operation's answer as its schema has it."""
    given = at_end(asked, ended)
    if _answer_of(asked.operation) is None:
        return given
    result = registry.get(asked.operation).result.dump(given)
    return {**result, "warnings": asked.warnings} if asked.warnings else result


class ListJobs(Schema.from_dict(page_fields("created_at"))):  # type: ignore[misc]
    """Which jobs to list."""

    operation = Text(texts.ID, metadata={"description": "Only jobs of this operation."})
    state = States(metadata={"description": "Only jobs in one of these states."})


class Jobs(Schema):
    """A page of jobs."""

    jobs = fields.List(fields.Nested(JobSummary), required=True)
    total_entries = fields.Integer(required=True)


@operation(request=ListJobs, result=Jobs, access=None, effect=Effect.READ, tag="Jobs")
def list_jobs(
    context: Context, operation: Optional[str] = None, state: Optional[List[str]] = None, **asked: Any
) -> Dict[str, Any]:
    """List the caller's asynchronous jobs; administrators see the jobs of all callers."""
    jobs = [
        _summary(record, record.state())
        for record in job_store.every(sandbox.jobs_folder())
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
        required=True, metadata={"description": "cancelled, or the job's state while it is still stopping."}
    )


@operation(
    request=OneJob,
    result=EndedJob,
    access=None,
    effect=Effect.WRITE,
    tag="Jobs",
    example={"job_id": "0123456789abcdef" * 2},
)
def cancel_job(context: Context, job_id: str) -> Dict[str, Any]:
    """
    Cancel an asynchronous job: its processes are asked to stop, and killed after the grace period.

    A job of another host is 409 with that host's name, unless the web servers share state_dir.
    """
    record = _own_record(context, job_id)
    state = record.state()["state"]
    if state not in LIVE:
        raise JobHasEnded(job_id, state)
    record.ask_to_end()
    until = time.monotonic() + settings.get("job_grace_seconds") + _ENDING_SECONDS
    while state in LIVE and time.monotonic() < until:
        time.sleep(0.05)
        state = record.state()["state"]
    return {"job_id": job_id, "state": state}


def _own_record(context: Context, job_id: str) -> Record:
    record = job_store.find(sandbox.jobs_folder(), job_id)
    if record is None and other_host_of(job_id):
        raise JobIsElsewhere(job_id, str(other_host_of(job_id)))
    if record is None or not record.is_kept() or not _may_see(context, record):
        raise JobNotFound(job_id)
    return record


def _may_see(context: Context, record: Record) -> bool:
    # Not by the owner's name, which two may have.
    facts = record.facts
    return facts.get("caller") == context.caller.identity or context.caller.oversees(_effect_of(facts["operation"]))


def _effect_of(name: str) -> Effect:
    """Return the effect of a job's operation, which another version of this plugin may have begun."""
    try:
        return registry.get(name).effect
    except OperationNotFound:
        return Effect.EXECUTE


def _summary(record: Record, job_state: Dict[str, Any]) -> Dict[str, Any]:
    started, ended = job_state.get("started_at"), job_state.get("ended_at")
    return {
        **record.facts,
        "state": job_state["state"],
        "created_at": _moment(record.facts["created_at"]),
        "started_at": _moment(started),
        "ended_at": _moment(ended),
        "seconds": round((ended or time.time()) - started, 3) if started else None,
    }


def _moment(seconds: Optional[float]) -> Optional[datetime]:
    return None if seconds is None else datetime.fromtimestamp(seconds, timezone.utc)
