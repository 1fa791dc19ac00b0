"""
Run DAG code: each job runs in a new fork of a warm process, which has imported Airflow.

``run`` starts a job from the web worker. ``client`` is the side of the web worker, ``connection`` finds or starts the
warm process, ``server`` is that process, ``supervisor`` the one that supervises one job, and ``worker`` the one that
runs the function. The sandbox isolates accidents. It is no security boundary: DAG code has the permissions of Airflow
itself.
"""

from __future__ import annotations

import json
import os
import time
from contextlib import closing
from dataclasses import astuple, dataclass, field
from datetime import datetime, timezone
from functools import partial
from pathlib import Path
from typing import Any, Callable, Dict, Mapping, Optional, Tuple

from native_api import settings
from native_api.adapters.compat import airflow
from native_api.adapters.executor.functions import import_path
from native_api.adapters.sandbox import client
from native_api.adapters.sandbox.client import ClientDisconnected, RunningJob, warm
from native_api.adapters.sandbox.errors import error_of
from native_api.adapters.sandbox.messages import Facts, Message, Request
from native_api.adapters.sandbox.slots import Bounds
from native_api.errors import NativeApiError, TooManyJobs
from native_api.host import hostname, new_id
from native_api.registry import Context

__all__ = ["Bounds", "Job", "JobOutcome", "job_outcome", "jobs_folder", "run", "run_to_end", "warm"]

#: The interval at which a queued job tries to get a slot, in seconds.
POLL_SECONDS = 0.05
#: The interval at which the supervisor checks for a timeout or a cancellation, in seconds.
WATCH_SECONDS = 0.25
#: The interval at which a request that waits for a job checks whether its client is connected, in seconds.
CLIENT_POLL_SECONDS = 0.5
#: The timeout of a job's cleanup function, in seconds.
CLEANUP_SECONDS = 30
#: The maximum size of a result, in bytes of JSON.
LARGEST_RESULT = 16 * 1024 * 1024
#: A longer argument is not stored with the job, in characters of JSON.
_LONGEST_ARGUMENT = 65536
#: Seconds beyond the timeout of a job for its termination and its cleanup.
_EXTRA_SECONDS = 60


@dataclass(frozen=True)
class Job:
    """
    A function to run in the sandbox.

    :param function: a function at the top level of a module. Its keyword arguments and its result are JSON.
    :param cleanup: a function and its arguments, which remove what the job has written to the database. It runs if the
        process of the job crashes, times out or is cancelled, and not if the function returns or raises an exception.
    :param job_id: also the key of the job's record in the job store.
    :param about: JSON that the operation needs again to build its response when the job has ended.
    :param queue: the queue of a job on the executor; None for that of the DAG native_api_jobs.
    :param executor_config: that of the task, for a job on the executor.
    :param needs_execution_api: if true, the job runs or renders a task, which on Airflow 3 calls the execution API.
    """

    function: Callable[..., object]
    arguments: Mapping[str, object]
    cleanup: Optional[Tuple[Callable[..., object], Mapping[str, object]]] = None
    job_id: str = field(default_factory=new_id)
    about: Mapping[str, object] = field(default_factory=dict)
    needs_execution_api: bool = False
    queue: Optional[str] = None
    executor_config: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True)
class JobOutcome:
    """
    The outcome of a job: its result, or its error.

    *log* is the log tail, *log_cut* whether the log is longer, *seconds* the duration, *about*
    that of the :class:`Job`.
    """

    result: Any
    log: str
    log_cut: bool
    seconds: float
    about: Mapping[str, object]
    error: Optional[NativeApiError]


def run(context: Context, job: Job, *, in_background: bool = False, outlive: bool = False) -> Optional[JobOutcome]:
    """
    Run a job and return its outcome, or None if it continues in the background.

    The session of the context is committed first: no transaction stays open while DAG code runs.

    :param in_background: start the job and return None immediately.
    :param outlive: if the request reaches its timeout, or its client disconnects, the job continues in the background.
        Otherwise it is terminated.
    :raises UserCodeFailed: the DAG code raised an exception.
    :raises UserCodeCrashed: the DAG code ended its process.
    :raises JobTimedOut: the job reached its timeout.
    :raises JobCancelled: the job was cancelled.
    :raises TooManyJobs: no slot became free in time, the queue is full, or the caller has its maximum number of jobs.
    :raises SandboxUnavailable: the warm process does not start.
    """
    ended = run_to_end(context, job, in_background=in_background, outlive=outlive)
    if ended is not None and ended.error is not None:
        raise ended.error
    return ended


def run_to_end(context: Context, job: Job, *, in_background: bool, outlive: bool = False) -> Optional[JobOutcome]:
    """
    Run a job as :func:`run` does, and return its outcome, whose *error* is not raised.

    :raises TooManyJobs: no slot became free in time, the queue is full, or the caller has its maximum number of jobs.
    :raises SandboxUnavailable: the warm process does not start.
    """
    context.session.commit()
    request = _request(context, job, in_background, outlive)
    with closing(client.begin(request, job.needs_execution_api)) as running_job:
        message = running_job.next() if in_background else _wait(running_job, context, outlive)
    if message["state"] in ("queued", "in_background"):
        context.accept("job_state", job_id=job.job_id)
        return None
    ended = job_outcome(message, request["facts"], in_background=in_background)
    if isinstance(ended.error, TooManyJobs):
        raise ended.error
    return ended


def job_outcome(message: Message, facts: Facts, *, in_background: bool = False) -> JobOutcome:
    """
    Return the outcome of a job that has ended.

    :param message: the state of the job, its result, its error or its exit code, and its log tail.
    :param facts: those of its record; see :attr:`job_store.Record.facts`.
    :param in_background: whether the job has the timeout of an asynchronous job.
    """
    return JobOutcome(
        message.get("result"),
        message.get("log", ""),
        message.get("log_cut", False),
        message.get("seconds", 0.0),
        facts["about"],
        None
        if message["state"] == "success"
        else error_of(message, facts["limit_seconds"], in_background=in_background),
    )


def _wait(running_job: RunningJob, context: Context, outlive: bool) -> Message:
    """Return the last message of the supervisor: the outcome, or that the job continues in the background."""
    waits_since = time.monotonic()
    seconds = settings.get("job_seconds")
    receive = partial(running_job.next, client_is_gone=context.client_is_gone, poll_seconds=CLIENT_POLL_SECONDS)
    try:
        message = running_job.next()
        while message["state"] == "queued":
            message = receive()
        if message["state"] == "running" and outlive:
            message = _wait_or_continue(running_job, partial(receive, seconds))
        elif message["state"] == "running":
            message = receive(seconds + settings.get("job_grace_seconds") + _EXTRA_SECONDS)
    except (EOFError, TimeoutError):
        return {"state": "crashed", "exit_code": -9, "seconds": round(time.monotonic() - waits_since, 3)}
    except ClientDisconnected:
        # The supervisor terminates the job when the channel closes.
        return {"state": "cancelled"}
    return message


def _wait_or_continue(running_job: RunningJob, receive: Callable[[], Message]) -> Message:
    try:
        return receive()
    except (TimeoutError, ClientDisconnected):
        running_job.go_to_background()
        return running_job.next(_EXTRA_SECONDS)


def jobs_folder() -> Path:
    """Return the folder of the job store."""
    return Path(settings.get("state_dir")) / "jobs"


def _request(context: Context, job: Job, in_background: bool, outlive: bool) -> Request:
    """Return the first message to the supervisor."""
    limit = settings.get("job_seconds_max" if in_background or outlive else "job_seconds")
    both = bounds()
    # The running jobs share half of the bytes; each has the same amount for its log and for its result.
    room = settings.get("jobs_kept_bytes") // 4 // sum(of_kind.running for of_kind in both.values())
    return {
        "function": import_path(job.function),
        "arguments": job.arguments,
        "facts": facts_of(context, job, limit),
        "in_background": in_background,
        "seconds": limit,
        "jobs": os.fspath(jobs_folder()),
        "outlive": outlive and not in_background,
        "caller": context.caller.identity,
        "bounds": {kind: astuple(of_kind) for kind, of_kind in both.items()},
        "queue_seconds": settings.get("job_queue_seconds"),
        "poll_seconds": POLL_SECONDS,
        "watch_seconds": WATCH_SECONDS,
        "grace_seconds": settings.get("job_grace_seconds"),
        "memory_mb": settings.get("job_memory_mb"),
        "log_bytes": min(settings.get("job_log_bytes"), room),
        "result_bytes": min(LARGEST_RESULT, room),
        "tail_bytes": settings.get("job_log_tail_bytes"),
        "cleanup_seconds": CLEANUP_SECONDS,
        "kept": {
            "seconds": settings.get("jobs_kept_hours") * 3600,
            "number": settings.get("jobs_kept"),
            "bytes": settings.get("jobs_kept_bytes") // 2,
        },
    }


def facts_of(context: Context, job: Job, limit_seconds: float) -> Facts:
    """
    Return what is known of a job when it is created: what its record, or its request on the executor, has.

    :param limit_seconds: the timeout of the job.
    """
    return {
        "job_id": job.job_id,
        "hostname": hostname(),
        "operation": context.operation,
        "owner": context.caller.name,
        "caller": context.caller.identity,
        "arguments": _storable(context.arguments),
        "created_at": datetime.now(timezone.utc).timestamp(),
        "cleanup": job.cleanup and (import_path(job.cleanup[0]), job.cleanup[1]),
        "about": job.about,
        "warnings": context.warnings,
        "limit_seconds": limit_seconds,
    }


def bounds() -> Dict[str, Bounds]:
    """Return the bounds of both kinds of jobs; only a job within a request occupies a web worker."""
    user_code, queue, of_caller = airflow().user_code, settings.get("job_queue"), settings.get("jobs_per_caller")
    configured = settings.get("job_slots")
    requests, background = (configured, configured) if configured else user_code.slots()
    return {
        "requests": Bounds.shared(requests, user_code.waiting(queue, requests), of_caller),
        "background": Bounds.shared(background, queue, of_caller),
    }


def _storable(arguments: Mapping[str, object]) -> Dict[str, object]:
    texts = {name: json.dumps(value, default=str) for name, value in arguments.items()}
    return {
        name: json.loads(text) if len(text) <= _LONGEST_ARGUMENT else f"{len(text)} characters, which are not kept"
        for name, text in texts.items()
    }
