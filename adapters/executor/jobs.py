"""The web server's side of jobs on the executor: create their DAG runs, wait for them, find and cancel them."""

from __future__ import annotations

import os
import time
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, Dict, Iterator, List, Mapping, Optional, Tuple

import pendulum
from sqlalchemy import and_, or_, select

from native_api import settings
from native_api.adapters import private_files, sandbox
from native_api.adapters.compat import airflow, text_of
from native_api.adapters.executor import dag, sealing
from native_api.adapters.executor.functions import import_path, is_allowed
from native_api.adapters.sandbox import Job, JobOutcome, job_outcome
from native_api.adapters.sandbox.job_store import UNFINISHED
from native_api.adapters.sandbox.messages import ErrorData, Facts, JobRequest, Message
from native_api.adapters.sandbox.slots import lock
from native_api.adapters.task_logs.operations import end_of_log
from native_api.errors import JobsDagUnavailable, NativeApiError, NotOnExecutor, TooManyJobs
from native_api.host import hostname
from native_api.registry import Context

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

    from native_api.adapters.compat.objects import InstanceKey

#: The interval at which a request that waits for a job reads its state, in seconds.
POLL_SECONDS = 0.25
#: The maximum size of a result, in bytes of JSON: it is an XCom.
LARGEST_RESULT = 4 * 1024 * 1024
#: The number of jobs that run at the same time, if job_slots is 0.
DEFAULT_SLOTS = 16

#: The note of the DAG run of a cancelled job.
CANCELLED = "Cancelled with cancel_job, or because the client has disconnected."

#: The states of a task instance whose job has not ended, as the states of a job.
_STATES = {
    None: "queued",
    "scheduled": "queued",
    "queued": "queued",
    "restarting": "running",
    "running": "running",
    "deferred": "running",
    "up_for_retry": "queued",
    "up_for_reschedule": "queued",
}


def run_to_end(context: Context, job: Job, *, in_background: bool, outlive: bool = False) -> Optional[JobOutcome]:
    """
    Run a job on the executor and return its outcome, whose *error* is not raised.

    The result is None if the job continues: at the timeout of requests, or if too many requests wait on this host.

    :param outlive: the job continues if the client disconnects. Otherwise it is cancelled.
    :raises JobsDagUnavailable: a run of the DAG ``native_api_jobs`` would not start.
    :raises NotOnExecutor: the executor does not run such jobs.
    :raises TooManyJobs: there are as many jobs as there can be, or the caller has its maximum number of them.
    """
    if not is_allowed(import_path(job.function)):
        raise NotOnExecutor(context.operation)
    _require_room(context, in_background)
    request = _request(context, job)
    _create_run(context.session, request, job)
    context.session.commit()
    record = None if in_background else _wait(context, job.job_id, outlive)
    if record is None:
        context.accept("job_state", job_id=job.job_id)
        return None
    return job_outcome(record.message(), request["facts"], in_background=True)


def _request(context: Context, job: Job) -> JobRequest:
    seconds = settings.get("job_seconds_max")
    return {
        "function": import_path(job.function),
        "arguments": job.arguments,
        "facts": sandbox.facts_of(context, job, seconds),
        "seconds": seconds,
        "watch_seconds": sandbox.WATCH_SECONDS,
        "grace_seconds": settings.get("job_grace_seconds"),
        "memory_mb": settings.get("job_memory_mb"),
        "log_bytes": settings.get("job_log_bytes"),
        "result_bytes": LARGEST_RESULT,
        "tail_bytes": settings.get("job_log_tail_bytes"),
        "cleanup_seconds": sandbox.CLEANUP_SECONDS,
    }


def _require_room(context: Context, in_background: bool) -> None:
    """Raise TooManyJobs if all places, or those of the caller, are taken."""
    running = settings.get("job_slots") or DEFAULT_SLOTS
    bounds = sandbox.Bounds.shared(running, settings.get("job_queue"), settings.get("jobs_per_caller"))
    callers = [record.facts["caller"] for record in _records(context.session, live=True)]
    if len(callers) >= bounds.running + bounds.waiting:
        raise TooManyJobs(in_background)
    if callers.count(context.caller.identity) >= bounds.of_caller:
        raise TooManyJobs(in_background, of_caller=True)


def _create_run(session: Session, request: JobRequest, job: Job) -> None:
    """Add the DAG run of a job, and its task instance, to the session."""
    from airflow.utils.state import DagRunState

    jobs_dag = dag.available(session)
    sealed = sealing.seal(request)
    run = airflow().make_run(jobs_dag, request["facts"]["job_id"], pendulum.now("UTC"), session)
    run.conf = {"request": sealed}
    # The scheduler starts it when there is room.
    run.state, run.start_date = DagRunState.QUEUED, None
    for instance in run.get_task_instances(session=session):
        instance.queue = job.queue or instance.queue
        if job.executor_config:
            instance.executor_config = dict(job.executor_config)
    session.flush()


def _wait(context: Context, job_id: str, outlive: bool) -> Optional[ExecutorJob]:
    """Return the job when it has ended, None if it continues."""
    until = time.monotonic() + settings.get("job_seconds")
    with _place_to_wait() as has_place:
        while has_place and time.monotonic() < until:
            with airflow().session() as session:
                record = find(session, job_id)
                if record is None or record.state()["state"] not in UNFINISHED:
                    return record
                if context.client_is_gone():
                    if not outlive:
                        record.request_cancel()
                    return None
            time.sleep(POLL_SECONDS)
    return None


@contextmanager
def _place_to_wait() -> Iterator[bool]:
    """Take one of the places of requests that wait, each of which occupies a web worker; yield whether one is free."""
    bounds = sandbox.bounds()["requests"]
    folder = private_files.folder(sandbox.jobs_folder() / ".places" / hostname().replace(os.sep, "-") / "executor")
    taken = (lock(folder / str(number)) for number in range(bounds.running + bounds.waiting))
    descriptor = next((one for one in taken if one is not None), None)
    try:
        yield descriptor is not None
    finally:
        if descriptor is not None:
            os.close(descriptor)


@dataclass(frozen=True)
class ExecutorJob:
    """
    A job: a DAG run of ``native_api_jobs``.

    The sandbox has the same of its jobs: see :class:`native_api.adapters.sandbox.job_store.Record`.
    """

    facts: Facts
    #: The outcome that the task has pushed, None if there is none.
    outcome: Optional[Message]
    _instance: Mapping[str, Any]
    _session: Session

    def state(self) -> Message:
        """Return the state of the job, with started_at, ended_at, hostname and the outcome."""
        instance = self._instance
        found: Message = {
            "state": _STATES.get(instance["state"], "cancelled" if instance["is_cancelled"] else "lost"),
            "started_at": _seconds(instance["start_date"]),
            "ended_at": None if instance["state"] in _STATES else _seconds(instance["end_date"]),
            "hostname": instance["hostname"] or None,
        }
        return {**found, **self.outcome} if self.outcome and found["state"] == "lost" else found

    def message(self) -> Message:
        """Return the state, the outcome and the log tail."""
        found = self.state()
        if "log" not in found:
            found["log"], found["log_cut"] = self._task_log(settings.get("job_log_tail_bytes"))
        return found

    def is_kept(self) -> bool:
        """Return whether it can be read; every DAG run can."""
        return True

    def request_cancel(self) -> None:
        """Set the state of its task, which Airflow then terminates, and add a note to the DAG run."""
        from airflow.models.dagrun import DagRun

        this_run = (DagRun.dag_id == dag.DAG_ID, DagRun.run_id == self.facts["job_id"])
        run = self._session.scalars(select(DagRun).where(*this_run)).unique().one()
        # Airflow 2's workers lock the task instance before the run; the other order could be a deadlock. A worker that
        # starts the task meanwhile writes all columns of the run as it has read them; the note is in another table.
        airflow().finish_run(airflow().stored_dag(dag.DAG_ID, self._session), run, "failed", self._session)
        run.note = CANCELLED
        self._session.commit()

    def _task_log(self, size: int) -> Tuple[str, bool]:
        key: InstanceKey = {
            "dag_id": dag.DAG_ID,
            "run_id": self.facts["job_id"],
            "task_id": dag.TASK_ID,
            "map_index": -1,
        }
        try:
            return end_of_log(self._session, key, size)
        except NativeApiError:
            return "", False


def find(session: Session, job_id: str) -> Optional[ExecutorJob]:
    """Return a job, or None if no DAG run of ``native_api_jobs`` has that id."""
    return next(iter(_records(session, job_id=job_id)), None)


def every(session: Session) -> Iterator[ExecutorJob]:
    """Yield the newest jobs, at most jobs_kept."""
    yield from _records(session)


def count(session: Session) -> Dict[str, int]:
    """Return the number of jobs in each state of jobs that have not ended."""
    states = [record.state()["state"] for record in _records(session, live=True)]
    return {state: states.count(state) for state in UNFINISHED}


def _records(session: Session, *, job_id: Optional[str] = None, live: bool = False) -> List[ExecutorJob]:
    from airflow.models.dagrun import DagRun, DagRunNote
    from airflow.models.taskinstance import TaskInstance

    same_run = and_(TaskInstance.dag_id == DagRun.dag_id, TaskInstance.run_id == DagRun.run_id)
    columns = "state", "start_date", "end_date", "hostname"
    statement = (
        select(DagRun.run_id, DagRun.conf, DagRunNote.content, *(getattr(TaskInstance, name) for name in columns))
        .join(TaskInstance, same_run)
        .outerjoin(DagRunNote, DagRunNote.dag_run_id == DagRun.id)
        .where(DagRun.dag_id == dag.DAG_ID)
        .order_by(DagRun.id.desc())
        .limit(settings.get("jobs_kept"))
    )
    if job_id is not None:
        statement = statement.where(DagRun.run_id == job_id)
    if live:
        states = [state for state in _STATES if state is not None]
        statement = statement.where(or_(TaskInstance.state.is_(None), TaskInstance.state.in_(states)))
    found = []
    for run_id, conf, note, *values in session.execute(statement).all():
        request = _unsealed(conf)
        if request is not None and request["facts"]["job_id"] == run_id:
            instance = {**dict(zip(columns, values)), "is_cancelled": note == CANCELLED}
            instance["state"] = text_of(instance["state"])
            outcome = None if live or instance["state"] in _STATES else _outcome(session, run_id)
            found.append(ExecutorJob(request["facts"], outcome, instance, session))
    return found


def _unsealed(conf: Any) -> Optional[JobRequest]:
    try:
        request: JobRequest = sealing.unseal(conf["request"])
    except (sealing.NotSealed, KeyError, TypeError, JobsDagUnavailable):
        # Somebody else has triggered it.
        return None
    return request


def _outcome(session: Session, run_id: str) -> Optional[Message]:
    """Return the outcome of the job of a run, None if its task has pushed none."""
    key = {"dag_id": dag.DAG_ID, "run_id": run_id, "task_id": dag.TASK_ID, "key": dag.OUTCOME}
    value = airflow().xcom_of_backend(key, session)
    if not isinstance(value, dict):
        return None
    if "refused" in value:
        refusal: ErrorData = {"ours": "JobsDagUnavailable", "data": {"reason": str(value["refused"])}}
        return {"state": "failed", "error": refusal}
    try:
        outcome: Message = sealing.unseal(value["sealed"])
    except (sealing.NotSealed, KeyError):
        return None
    return outcome


def _seconds(moment: Optional[datetime]) -> Optional[float]:
    return None if moment is None else moment.timestamp()
