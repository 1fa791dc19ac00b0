"""The JSON that the processes of the sandbox exchange, and that the job store has of each job."""

from __future__ import annotations

from typing import Any, Dict, List, Mapping, Optional, Tuple, TypedDict

#: ``module:function`` and its keyword arguments.
Call = Tuple[str, Mapping[str, object]]


class ErrorData(TypedDict, total=False):
    """What a function has raised: an error of this API by its class and its data, or else a description."""

    ours: str
    data: Dict[str, object]
    exception: str
    message: str
    traceback: str
    exit_code: Optional[int]


class CallOutcome(TypedDict, total=False):
    """What a function has returned, or what it has raised."""

    result: Any
    error: ErrorData


class Setup(TypedDict):
    """What the warm process gets from the web worker that starts it."""

    #: The descriptor of its socket.
    listener: int
    #: The path of its socket.
    address: str
    #: The process id of the web server.
    server: int
    #: It ends when no job has come for so long.
    idle_seconds: float
    #: Whether a job waits for it.
    at_once: bool
    #: The secrets to mask.
    mask: List[str]


class Facts(TypedDict):
    """What is known of a job before it starts."""

    job_id: str
    hostname: str
    operation: str
    #: The name of the caller.
    owner: str
    #: The identity of the caller.
    caller: str
    #: The arguments of the operation, masked.
    arguments: Dict[str, object]
    #: Seconds of the epoch.
    created_at: float
    cleanup: Optional[Call]
    about: Mapping[str, object]
    #: Those of the operation, before its job.
    warnings: List[str]
    #: The timeout of the job.
    limit_seconds: float


class _HasState(TypedDict):
    state: str


class State(_HasState, CallOutcome, total=False):
    """The state of a job and, once it has ended, its outcome; times are seconds of the epoch."""

    started_at: Optional[float]
    ended_at: Optional[float]
    #: The duration.
    seconds: float
    exit_code: int
    #: The host of the worker, of a job on the executor.
    hostname: Optional[str]
    #: Whether a job was refused because of the jobs of its own caller.
    caller_is_full: bool


class Message(State, total=False):
    """A message of a supervisor: the job's state; the last one has the log tail."""

    log: str
    log_cut: bool


class Kept(TypedDict):
    """How many records the job store retains: their age in seconds, their number and their size."""

    seconds: float
    number: int
    bytes: int


class JobRequest(TypedDict):
    """A job, and the limits for it: what a supervisor needs, in the sandbox and on the executor."""

    function: str
    arguments: Mapping[str, object]
    facts: Facts
    #: The timeout of the job.
    seconds: float
    watch_seconds: float
    grace_seconds: float
    memory_mb: int
    log_bytes: int
    result_bytes: int
    tail_bytes: int
    cleanup_seconds: float


class Request(JobRequest):
    """The first message to a supervisor of the sandbox."""

    in_background: bool
    #: The folder of the job store.
    jobs: str
    outlive: bool
    #: The identity of the caller.
    caller: str
    #: The fields of :class:`~native_api.adapters.sandbox.slots.Bounds`, for each kind of job.
    bounds: Dict[str, Tuple[int, int, int, int]]
    queue_seconds: float
    poll_seconds: float
    kept: Kept
