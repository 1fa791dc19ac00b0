"""In the sandbox: run one task instance."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, List, Optional

import pendulum

from native_api.adapters.compat import airflow
from native_api.adapters.executor.functions import runs_on_executor
from native_api.adapters.lookup import dag_with_task
from native_api.adapters.sandbox.redaction import redacted
from native_api.adapters.task_execution.single_task_run import (
    SingleTaskRun,
    go_on,
    has_ended,
    latest_try,
    load_single_task_run,
    lock,
    require_ready,
    skip_the_others,
)
from native_api.adapters.task_logs.operations import end_of_log
from native_api.errors import NotFound

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

    from native_api.adapters.compat.interface.running import RunOptions
    from native_api.adapters.compat.objects import InstanceKey
    from native_api.adapters.task_execution.payloads import Begun, RunResult, TriedInstance

#: Size of the returned log tail, in bytes.
LOG_BYTES = 256 * 1024


@runs_on_executor
def run(key: InstanceKey, logical_date: Optional[str], options: RunOptions, job_id: str) -> RunResult:
    """
    Run the task instance of that key to the end of its try.

    :param logical_date: of the run that is created if the DAG has none with that id.
    """
    dag = _dag_of_file(key["dag_id"])
    begun = _begin(key, logical_date, options, job_id, waits=False)
    try:
        airflow().running.run(key, dag, options, job_id)
    finally:
        # Of a task that was killed Airflow 2 leaves it to a scheduler to find out.
        warnings = give_up(key, begun["run_is_new"], job_id)
    with airflow().session() as session:
        log, log_cut = end_of_log(session, key, LOG_BYTES)
        found = _tried(_single_run(session, key))
    return {**begun, **found, "how": "sandbox", "log": redacted(log), "log_cut": log_cut, "warnings": warnings}


@runs_on_executor
def send(key: InstanceKey, logical_date: Optional[str], options: RunOptions, job_id: str) -> RunResult:
    """Send the task instance of that key to Airflow's executor."""
    begun = _begin(key, logical_date, options, job_id, waits=True)
    try:
        with airflow().session() as session:
            dag = airflow().stored_dag(key["dag_id"], session)
        airflow().running.send(key, dag, options, job_id)
    except BaseException:
        give_up(key, begun["run_is_new"], job_id)
        raise
    with airflow().session() as session:
        single_run = _single_run(session, key)
        # The scheduler sees to the end of a new run as the task ends; of another the task is all that changes.
        warnings = go_on(single_run, session) if begun["run_is_new"] else []
        return {**begun, **_tried(single_run), "how": "executor", "log": None, "log_cut": None, "warnings": warnings}


@runs_on_executor
def give_up(key: InstanceKey, run_is_new: bool, job_id: str) -> List[str]:
    """Fail the job's try of the task instance, if it has begun and not ended, and update the run accordingly."""
    running = airflow().running
    with airflow().session() as session:
        try:
            single_run = _single_run(session, key)
        except NotFound:
            return []
        if not running.is_claimed(single_run.instance, job_id):
            return []
        if running.is_open(single_run.instance):
            running.fail(single_run.dag, single_run.instance, "The process that ran the task is gone.", session)
    with airflow().session() as session:
        return _settle(_single_run(session, key), run_is_new, session)


def _dag_of_file(dag_id: str) -> Any:
    from airflow.models.dag import DagModel

    with airflow().session() as session:
        dag_model = session.get(DagModel, dag_id)
        session.expunge_all()
    return airflow().user_code.dag(dag_model)


def _begin(key: InstanceKey, logical_date: Optional[str], options: RunOptions, job_id: str, waits: bool) -> Begun:
    """Create the run if there is none, and begin the job's own try; return the previous state."""
    running, date = airflow().running, pendulum.parse(logical_date) if logical_date else None
    with airflow().errors_as_ours(), airflow().session() as session:
        dag = dag_with_task(session, key["dag_id"], key["task_id"])
        lock(session, key)
        single_run = load_single_task_run(session, dag, key, date)
        require_ready(single_run, options, waits, session)
        begun: Begun = {"previous_state": single_run.state, "run_is_new": single_run.is_new}
        if single_run.is_new:
            skip_the_others(single_run, session)
        instance = running.begin_anew(single_run.instance, options["pool"], session)
        # In a run that has ended nobody takes up another try.
        running.claim(instance, job_id, has_ended(single_run.run), session)
    return begun


def _single_run(session: Session, key: InstanceKey) -> SingleTaskRun:
    return load_single_task_run(session, dag_with_task(session, key["dag_id"], key["task_id"]), key, None)


def _tried(single_run: SingleTaskRun) -> TriedInstance:
    found = latest_try(single_run)
    date = found["logical_date"]
    return {
        **single_run.key,
        "logical_date": None if date is None else date.isoformat(),
        "state": found["state"],
        "try_number": found["try_number"],
        "hostname": found["hostname"],
    }


def _settle(single_run: SingleTaskRun, run_is_new: bool, session: Session) -> List[str]:
    """Update the state of the run to that of the task; return warnings for the caller."""
    if not has_ended(single_run.run):
        return []
    if single_run.state in ("deferred", "up_for_reschedule"):
        return go_on(single_run, session)
    if run_is_new:
        single_run.run.state = "success" if single_run.state in ("success", "skipped") else "failed"
        single_run.run.end_date = pendulum.now("UTC")
    return []
