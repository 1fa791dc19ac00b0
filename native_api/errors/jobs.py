"""Errors of jobs, which run DAG code in the sandbox."""

from __future__ import annotations

import signal
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Dict, Optional

from native_api.errors.base import NativeApiError
from native_api.errors.conflicts import Conflict
from native_api.errors.missing import NotFound


@dataclass(eq=False)
class JobFailed(NativeApiError):
    """A job did not succeed; *log* is its log tail, and *log_cut* whether the log is longer."""

    status = HTTPStatus.UNPROCESSABLE_ENTITY
    log: str
    log_cut: bool


@dataclass(eq=False)
class UserCodeFailed(JobFailed):
    """DAG code raised an exception."""

    code = "user_code_failed"
    exception: str
    message: str
    traceback: Optional[str] = None
    exit_code: Optional[int] = None

    def __str__(self) -> str:
        said = f": {self.message}" if self.message else ""
        return f"The code raised {self.exception}{said}"


@dataclass(eq=False)
class UserCodeCrashed(JobFailed):
    """DAG code ended its process."""

    code = "user_code_crashed"
    exit_code: int

    def __str__(self) -> str:
        if self.exit_code == -signal.SIGKILL:
            return "The process of the code was killed: by the code, for lack of memory, or together with its worker."
        if self.exit_code < 0:
            return f"The process of the code was ended by the signal {-self.exit_code}."
        return f"The code ended its process with the exit code {self.exit_code}."


@dataclass(eq=False)
class JobCancelled(JobFailed):
    """The job was cancelled."""

    code = "job_cancelled"
    status = HTTPStatus.CONFLICT

    def __str__(self) -> str:
        return "The job was cancelled."


@dataclass(eq=False)
class JobTimedOut(JobFailed):
    """The job exceeded its timeout."""

    code = "job_timed_out"
    status = HTTPStatus.GATEWAY_TIMEOUT
    limit_seconds: float
    in_background: bool = field(default=False, metadata={"public": False})

    def __str__(self) -> str:
        advice = "" if self.in_background else "; use async for a longer timeout"
        return f"The code did not end within its timeout of {self.limit_seconds:g} s and was stopped{advice}."


@dataclass(eq=False)
class TooManyJobs(NativeApiError):
    """All job slots and queue places are in use."""

    code = "job_limit_reached"
    status = HTTPStatus.TOO_MANY_REQUESTS
    in_background: bool = field(default=False, metadata={"public": False})
    of_caller: bool = field(default=False, metadata={"public": False})
    retry_after_seconds: int = 10

    def __str__(self) -> str:
        who, cancel, options = "All job slots and all places in the queue are in use", "", "job_slots or job_queue"
        if self.of_caller:
            who = "You have the maximum number of jobs of one caller"
            cancel, options = ", cancel one with cancel_job", "jobs_per_caller or job_slots"
        other = "" if self.in_background else ", use async if the operation has it, since such jobs wait longer"
        return f"{who}. Try again later{other}{cancel}, or raise the options [native_api] {options}."

    def headers(self) -> Dict[str, str]:
        """Return the ``Retry-After`` header, in seconds."""
        return {"Retry-After": str(self.retry_after_seconds)}


@dataclass(eq=False)
class SandboxUnavailable(NativeApiError):
    """The process that jobs are forked from does not start."""

    code = "sandbox_unavailable"
    status = HTTPStatus.SERVICE_UNAVAILABLE
    reason: str = field(metadata={"public": False})

    def __str__(self) -> str:
        return f"The sandbox does not start: {self.reason}"


@dataclass(eq=False)
class JobsDagUnavailable(NativeApiError):
    """With ``execute_on = executor``: a run of the DAG native_api_jobs would not start, or no worker can run it."""

    code = "jobs_dag_unavailable"
    status = HTTPStatus.SERVICE_UNAVAILABLE
    reason: str = field(metadata={"public": False})

    def __str__(self) -> str:
        return f"Jobs run on Airflow's executor, which cannot run them now. {self.reason}"


@dataclass(eq=False)
class NotOnExecutor(Conflict):
    """With ``execute_on = executor``: the operation executes DAG code on the web server, which is disabled."""

    code = "not_on_executor"
    operation: str

    def __str__(self) -> str:
        return (
            f"{self.operation} executes DAG code on the host of the web server. With [native_api] execute_on = "
            "executor no DAG code is executed there."
        )


@dataclass(eq=False)
class JobNotFound(NotFound):
    """There is no such job, or it belongs to another caller."""

    code = "job_not_found"
    job_id: str

    def __str__(self) -> str:
        return f"There is no job '{self.job_id}'."


@dataclass(eq=False)
class JobIsElsewhere(Conflict):
    """The job is on another host, whose records this host does not have."""

    code = "job_on_other_host"
    job_id: str
    hostname: str

    def __str__(self) -> str:
        return (
            f"The job '{self.job_id}' is on the host '{self.hostname}': call a web server there, or have the web "
            "servers share the folder [native_api] state_dir."
        )


@dataclass(eq=False)
class JobHasEnded(Conflict):
    """The job has already ended."""

    code = "job_ended"
    job_id: str
    state: str

    def __str__(self) -> str:
        return f"The job '{self.job_id}' has ended already: {self.state}."
