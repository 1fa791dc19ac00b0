"""Asynchronous jobs: their state, the list of them, and cancelling one."""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any, Callable, Dict, List, Optional, Tuple, Type

from marshmallow import Schema, fields

from native_api import registry, settings
from native_api.adapters import sandbox
from native_api.adapters.executor import jobs as executor_jobs
from native_api.adapters.fields import texts
from native_api.adapters.fields.common import DateTime, Flag, States
from native_api.adapters.fields.paging import page_fields, slice_of
from native_api.adapters.fields.texts import Text
from native_api.adapters.jobs import records
from native_api.adapters.jobs.records import JobRecord
from native_api.adapters.sandbox import Job, JobOutcome
from native_api.adapters.sandbox.job_store import UNFINISHED
from native_api.adapters.sandbox.messages import Facts, Message, State
from native_api.effects import Effect
from native_api.errors import JobHasEnded, JobIsElsewhere, JobNotFound, NativeApiError, OperationNotFound
from native_api.host import other_host_of
from native_api.registry import Context, operation

#: Seconds, beyond its grace period, to wait for the end of a cancelled job.
_ENDING_SECONDS = 5


class InBackground(Schema):
    """The option to run asynchronously."""

    in_background = Flag(
        load_default=False,
        data_key="async",
        metadata={
            "description": "If true, run asynchronously: return 202 and a job immediately. job_state returns "
            "its progress."
        },
    )


class OnExecutor(InBackground):
    """The options of a job that can run on Airflow's executor."""

    queue = Text(
        256,
        shortest=1,
        metadata={
            "description": "With execute_on = executor: the queue of the executor. By default, job_queue_name, or else "
            "the queue of the task. Otherwise it has no effect."
        },
    )


class AcceptedJob(Schema):
    """An asynchronous job."""

    job_id = fields.String(required=True)
    operation = fields.String(required=True, metadata={"description": "The operation that returns the state."})
    url = fields.String(metadata={"description": "The URL of that operation for this job, for GET."})
    warnings = fields.List(fields.String())


BuildResponse = Callable[[Context, JobOutcome], Dict[str, Any]]


@dataclass(frozen=True)
class _Builder:
    """Builds the response of an operation from the outcome of its job."""

    build: BuildResponse = lambda context, outcome: outcome.result
    #: Errors of the job that *build* makes a response of; others are raised.
    accepts: Tuple[Type[NativeApiError], ...] = ()


#: By the function of the operation that starts the job.
_BUILDERS: Dict[registry.Function, _Builder] = {}


def builds_response(
    *operations: registry.Function, accepts: Tuple[Type[NativeApiError], ...] = ()
) -> Callable[[BuildResponse], BuildResponse]:
    """
    Declare that the decorated function builds the response of these operations from the outcome of their job.

    It builds the response of the operation itself, and the result in that of job_state.

    :param operations: the functions of the operations that start the job.
    :param accepts: errors of the job that the function makes a response of; others are raised.
    """

    def register(function: BuildResponse) -> BuildResponse:
        _BUILDERS.update({operation: _Builder(function, accepts) for operation in operations})
        return function

    return register


def _builder_of(name: str) -> Optional[_Builder]:
    """Return the builder of an operation; another version of this plugin can have started the job."""
    try:
        return _BUILDERS.get(registry.get(name).function)
    except OperationNotFound:
        return None


def run(context: Context, job: Job, *, in_background: bool, outlive: bool = False) -> Optional[Dict[str, object]]:
    """
    Run a job and return the response of the context's operation, or None if the job continues in the background.

    Parameters and errors are those of :func:`sandbox.run`, or of :func:`executor_jobs.run_to_end`.
    """
    outcome = run_to_end(context, job, in_background=in_background, outlive=outlive)
    return None if outcome is None else response_of(context, outcome)


def run_to_end(context: Context, job: Job, *, in_background: bool, outlive: bool = False) -> Optional[JobOutcome]:
    """Run a job in the sandbox or, with ``[native_api] execute_on = executor``, on Airflow's executor."""
    if context.arguments.get("queue") and not on_executor():
        context.warnings.append("'queue' has no effect: DAG code is executed on the host of the web server.")
    if on_executor():
        return executor_jobs.run_to_end(context, job, in_background=in_background, outlive=outlive)
    return sandbox.run_to_end(context, job, in_background=in_background, outlive=outlive)


def on_executor() -> bool:
    """Return whether jobs run on Airflow's executor."""
    return bool(settings.get("execute_on") == "executor")


def response_of(context: Context, outcome: JobOutcome) -> Any:
    """
    Return the response of the context's operation.

    :raises NativeApiError: the error of the job, unless the response of the operation describes it.
    """
    builder = _builder_of(context.operation) or _Builder()
    if outcome.error is not None and not isinstance(outcome.error, builder.accepts):
        raise outcome.error
    return builder.build(context, outcome)


class OneJob(Schema):
    """Identify a job."""

    job_id = Text(texts.ID, required=True, metadata={"description": "The job_id of the response 202."})


class JobSummary(Schema):
    """An asynchronous job in a list."""

    job_id = fields.String(required=True)
    operation = fields.String(required=True)
    state = fields.String(
        required=True,
        metadata={
            "description": "The state: queued, running, success, failed (the code raised an exception), crashed (the "
            "code ended its process), timeout, cancelled, or lost (the machine, or the supervisor of "
            "the job, was killed)."
        },
    )
    owner = fields.String(required=True, metadata={"description": "The name of the caller."})
    hostname = fields.String(allow_none=True, metadata={"description": "The host that it runs on, or ran on."})
    arguments = fields.Dict(required=True, metadata={"description": "The arguments, with secrets masked."})
    created_at = DateTime(required=True)
    started_at = DateTime(allow_none=True)
    ended_at = DateTime(allow_none=True)
    seconds = fields.Float(allow_none=True, metadata={"description": "Duration in seconds."})


class JobState(JobSummary):
    """An asynchronous job, with its log tail and its result."""

    log = fields.String(required=True, metadata={"description": "The log tail so far."})
    log_cut = fields.Boolean(required=True, metadata={"description": "Whether the log is longer than its tail."})
    result = fields.Raw(
        allow_none=True, metadata={"description": "The response of the operation, if it has succeeded."}
    )
    error = fields.Dict(
        allow_none=True, metadata={"description": "The problem (RFC 9457) of the operation, if it has failed."}
    )


@operation(
    request=OneJob,
    result=JobState,
    access=None,
    effect=Effect.READ,
    tag="Jobs",
    errors=(JobNotFound, JobIsElsewhere),
    example={"job_id": "0123456789abcdef" * 2},
)
def job_state(context: Context, job_id: str) -> Dict[str, object]:
    """
    Return the state of an asynchronous job, its log tail so far, and its result.

    A job of another host is 409 with that host's name, unless the web servers share state_dir. A job can be read by its
    caller, by administrators, and with the static token if token_effects lists the effect of the job's operation.
    """
    record = _own_record(context, job_id)
    job_state = message = record.message()
    return {
        **_summary(record, job_state),
        "log": message["log"],
        "log_cut": message["log_cut"],
        **_outcome_fields(context, record.facts, message),
    }


def _outcome_fields(context: Context, facts: Facts, message: Message) -> Dict[str, object]:
    """Return the response that the operation would have returned as *result*, or the problem as *error*."""
    if message["state"] in UNFINISHED:
        return {"result": None, "error": None}
    outcome = sandbox.job_outcome(message, facts, in_background=True)
    if outcome.error is not None and message["state"] == "lost":
        return {"result": None, "error": outcome.error.problem()}
    asked = Context(context.session, context.caller, operation=facts["operation"], warnings=[*facts["warnings"]])
    try:
        return {"result": _serialized_response(asked, outcome), "error": None}
    except NativeApiError as exc:
        return {"result": None, "error": exc.problem()}


def _serialized_response(asked: Context, outcome: JobOutcome) -> Any:
    """Return the serialized response of the operation."""
    response = response_of(asked, outcome)
    if _builder_of(asked.operation) is None:
        return response
    result = registry.get(asked.operation).result.dump(response)
    return {**result, "warnings": asked.warnings} if asked.warnings else result


class ListJobs(Schema.from_dict(page_fields("created_at"))):  # type: ignore[misc]
    """Filters of the list of jobs."""

    operation = Text(texts.ID, metadata={"description": "Only jobs of this operation."})
    state = States(metadata={"description": "Only jobs in one of these states."})


class Jobs(Schema):
    """A page of jobs."""

    jobs = fields.List(fields.Nested(JobSummary), required=True)
    total_entries = fields.Integer(required=True)


@operation(request=ListJobs, result=Jobs, access=None, effect=Effect.READ, tag="Jobs")
def list_jobs(
    context: Context, operation: Optional[str] = None, state: Optional[List[str]] = None, **asked: object
) -> Dict[str, object]:
    """
    List the caller's asynchronous jobs; administrators see the jobs of all callers.

    They are those of the web server's host or, if ``state_dir`` is shared or with ``execute_on = executor``, of all web
    servers.
    """
    jobs = [
        _summary(record, record.state())
        for record in records.every(context.session)
        if record.is_kept() and _may_see(context, record)
    ]
    jobs = [
        job for job in jobs if (not operation or job["operation"] == operation) and (not state or job["state"] in state)
    ]
    return {"jobs": slice_of(context, jobs, asked, lambda job: job["created_at"]), "total_entries": len(jobs)}


class EndedJob(Schema):
    """A cancelled job."""

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
    errors=(JobNotFound, JobIsElsewhere, JobHasEnded),
    example={"job_id": "0123456789abcdef" * 2},
)
def cancel_job(context: Context, job_id: str) -> Dict[str, object]:
    """
    Cancel an asynchronous job: its processes are asked to stop, and killed after the grace period.

    A job of another host is 409 with that host's name, unless the web servers share state_dir.
    """
    record = _own_record(context, job_id)
    state = record.state()["state"]
    if state not in UNFINISHED:
        raise JobHasEnded(job_id, state)
    record.request_cancel()
    until = time.monotonic() + settings.get("job_grace_seconds") + _ENDING_SECONDS
    while state in UNFINISHED and time.monotonic() < until:
        time.sleep(0.05)
        state = _own_record(context, job_id).state()["state"]
    return {"job_id": job_id, "state": state}


def _own_record(context: Context, job_id: str) -> JobRecord:
    record = records.find(context.session, job_id)
    if record is None and other_host_of(job_id):
        raise JobIsElsewhere(job_id, str(other_host_of(job_id)))
    if record is None or not record.is_kept() or not _may_see(context, record):
        raise JobNotFound(job_id)
    return record


def _may_see(context: Context, record: JobRecord) -> bool:
    # Not by the name of the owner, which is not unique.
    facts = record.facts
    return facts.get("caller") == context.caller.identity or context.caller.oversees(_effect_of(facts["operation"]))


def _effect_of(name: str) -> Effect:
    """Return the effect of a job's operation; another version of this plugin can have started the job."""
    try:
        return registry.get(name).effect
    except OperationNotFound:
        return Effect.EXECUTE


def _summary(record: JobRecord, job_state: State) -> Dict[str, object]:
    started, ended = job_state.get("started_at"), job_state.get("ended_at")
    return {
        **record.facts,
        "hostname": job_state.get("hostname", record.facts["hostname"]),
        "state": job_state["state"],
        "created_at": _moment(record.facts["created_at"]),
        "started_at": _moment(started),
        "ended_at": _moment(ended),
        "seconds": round((ended or time.time()) - started, 3) if started else None,
    }


def _moment(seconds: Optional[float]) -> Optional[datetime]:
    return None if seconds is None else datetime.fromtimestamp(seconds, timezone.utc)
