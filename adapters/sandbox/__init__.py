"""
User code runs here: each job in a fresh fork of a warm process that has Airflow imported.

``run`` sends a job from the web process. ``client`` is that side of it, ``server`` the warm process, ``supervisor`` the
process that watches over one job, ``worker`` the one that runs it. It isolates accidents and is no security boundary:
user code has the rights that Airflow has.
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
from native_api.adapters.sandbox import client
from native_api.adapters.sandbox.client import Begun, Unwanted, warm
from native_api.adapters.sandbox.errors import error_of
from native_api.adapters.sandbox.slots import Bounds
from native_api.errors import NativeApiError, TooManyJobs
from native_api.host import hostname, new_id
from native_api.registry import Context

__all__ = ["Finished", "Job", "finished", "jobs_folder", "run", "run_to_end", "warm"]

#: How often a job that waits looks for a slot, in seconds.
POLL_SECONDS = 0.05
#: How often a job that runs is looked at: whether it is to end, in seconds.
WATCH_SECONDS = 0.25
#: How often a request that waits for a job looks whether its client is there, in seconds.
LOOK_SECONDS = 0.5
#: Seconds that taking back a killed job's rows may take.
CLEANUP_SECONDS = 30
#: The largest result, in bytes of JSON.
LARGEST_RESULT = 16 * 1024 * 1024
#: What is longer of the arguments of a job is not written down with it, in characters of JSON.
_LONGEST_ARGUMENT = 65536
#: Seconds that the supervisor may take beyond a job's own, to end it and to take its rows back.
_BEYOND = 60


@dataclass(frozen=True)
class Job:
    """
    A function for the sandbox.

    :param function: one of a module; its keyword arguments and what it returns are what JSON can hold.
    :param cleanup: a function and its arguments that take back what the job left where it ended in any way but by
        returning or raising.
    :param about: what its operation wants to be told at the job's end; what JSON can hold.
    :param has_task: a task runs in it, or is rendered, and may ask Airflow for something.
    """

    function: Callable[..., Any]
    arguments: Mapping[str, Any]
    cleanup: Optional[Tuple[Callable[..., Any], Mapping[str, Any]]] = None
    job_id: str = field(default_factory=new_id)
    about: Mapping[str, Any] = field(default_factory=dict)
    has_task: bool = False


@dataclass(frozen=True)
class Finished:
    """
    What came of a job: its result, or the error that stands for its end.

    *log* is the end of what it printed, *log_cut* whether there was more, *seconds* how long it ran.
    """

    result: Any
    log: str
    log_cut: bool
    seconds: float
    about: Mapping[str, Any]
    error: Optional[NativeApiError]


def run(context: Context, job: Job, *, in_background: bool = False, outlive: bool = False) -> Optional[Finished]:
    """
    Run the job and return what it gave, or None where it goes on in the background.

    The context's session is committed first: no transaction stays open while user code runs.

    :param outlive: at the request's limit, or where its client hangs up, the job is not ended but goes on in the
        background.
    :raises UserCodeFailed: it raised an exception.
    :raises UserCodeCrashed: it ended its process.
    :raises JobTimedOut: it took longer than it may.
    :raises TooManyJobs: as many run and wait as may.
    :raises SandboxUnavailable: nothing can run.
    """
    ended = run_to_end(context, job, in_background=in_background, outlive=outlive)
    if ended is not None and ended.error is not None:
        raise ended.error
    return ended


def run_to_end(context: Context, job: Job, *, in_background: bool, outlive: bool = False) -> Optional[Finished]:
    """
    Run the job as :func:`run` does, and return what came of it, whatever that is.

    :raises TooManyJobs: as many run and wait as may.
    :raises SandboxUnavailable: nothing can run.
    """
    context.session.commit()
    request = _request(context, job, in_background, outlive)
    with closing(client.begin(request, job.has_task)) as begun:
        message = begun.next() if in_background else _wait(begun, context, outlive)
    if message["state"] in ("queued", "in_background"):
        context.follow("job_state", job_id=job.job_id)
        return None
    ended = finished(message, request["facts"], in_background=in_background)
    if isinstance(ended.error, TooManyJobs):
        raise ended.error
    return ended


def finished(message: Mapping[str, Any], facts: Mapping[str, Any], *, in_background: bool = False) -> Finished:
    """
    Return what came of a job.

    :param message: the job's state, with its log tail.
    :param facts: what its record says of it.
    """
    return Finished(
        message.get("result"),
        message.get("log", ""),
        message.get("log_cut", False),
        message.get("seconds", 0.0),
        facts["about"],
        None
        if message["state"] == "success"
        else error_of(message, facts["limit_seconds"], in_background=in_background),
    )


def _wait(begun: Begun, context: Context, outlive: bool) -> Dict[str, Any]:
    """Return the job's outcome, or that it has gone to the background."""
    waits_since = time.monotonic()
    seconds = settings.get("job_seconds")
    hear = partial(begun.next, is_unwanted=context.client_is_gone, look_seconds=LOOK_SECONDS)
    try:
        message = begun.next()
        while message["state"] == "queued":
            message = hear()
        if message["state"] == "running" and outlive:
            message = _wait_or_leave(begun, partial(hear, seconds))
        elif message["state"] == "running":
            message = hear(seconds + settings.get("job_grace_seconds") + _BEYOND)
    except (EOFError, TimeoutError):
        return {"state": "crashed", "exit_code": -9, "seconds": round(time.monotonic() - waits_since, 3)}
    except Unwanted:
        # Closing the link ends the job.
        return {"state": "cancelled"}
    return message


def _wait_or_leave(begun: Begun, hear: Callable[[], Dict[str, Any]]) -> Dict[str, Any]:
    try:
        return hear()
    except (TimeoutError, Unwanted):
        begun.go_to_background()
        return begun.next(_BEYOND)


def jobs_folder() -> Path:
    """Return where the records of jobs lie."""
    return Path(settings.get("state_dir")) / "jobs"


def _request(context: Context, job: Job, in_background: bool, outlive: bool) -> Dict[str, Any]:
    """Return what the supervisor is told."""
    limit = settings.get("job_seconds_max" if in_background or outlive else "job_seconds")
    bounds = _bounds()
    # Each job that runs has its part of half of it, for its output and for its result.
    room = settings.get("jobs_kept_bytes") // 4 // sum(of_kind.running for of_kind in bounds.values())
    return {
        "function": _name_of(job.function),
        "arguments": job.arguments,
        "facts": {
            "job_id": job.job_id,
            "hostname": hostname(),
            "operation": context.operation,
            "owner": context.caller.name,
            "caller": context.caller.identity,
            "arguments": _as_json(context.arguments),
            "created_at": datetime.now(timezone.utc).timestamp(),
            "cleanup": job.cleanup and (_name_of(job.cleanup[0]), job.cleanup[1]),
            "about": job.about,
            "warnings": context.warnings,
            "limit_seconds": limit,
        },
        "in_background": in_background,
        "seconds": limit,
        "jobs": os.fspath(jobs_folder()),
        "outlive": outlive and not in_background,
        "caller": context.caller.identity,
        "bounds": {kind: astuple(of_kind) for kind, of_kind in bounds.items()},
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


def _name_of(function: Callable[..., Any]) -> str:
    """Return how the process that runs the job finds its function."""
    return f"{function.__module__}:{function.__qualname__}"


def _bounds() -> Dict[str, Bounds]:
    """Return how many jobs there may be of either kind; of the two only requests hold a web worker."""
    user_code, queue, of_caller = airflow().user_code, settings.get("job_queue"), settings.get("jobs_per_caller")
    configured = settings.get("job_slots")
    requests, background = (configured, configured) if configured else user_code.slots()
    return {
        "requests": Bounds.shared(requests, user_code.waiting(queue, requests), of_caller),
        "background": Bounds.shared(background, queue, of_caller),
    }


def _as_json(arguments: Mapping[str, Any]) -> Any:
    texts = {name: json.dumps(value, default=str) for name, value in arguments.items()}
    return {
        name: json.loads(text) if len(text) <= _LONGEST_ARGUMENT else f"{len(text)} characters, which are not kept"
        for name, text in texts.items()
    }
