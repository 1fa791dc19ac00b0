"""Run one task instance: the single-task run."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Dict, List, Mapping, Optional

from marshmallow import fields

from native_api.adapters import sandbox
from native_api.adapters.compat import airflow
from native_api.adapters.fields import texts
from native_api.adapters.fields.common import RunDates, switch
from native_api.adapters.fields.texts import Text
from native_api.adapters.jobs import operations as jobs
from native_api.adapters.jobs.operations import AcceptedJob, InBackground
from native_api.adapters.lookup import dag_with_task, named_instance
from native_api.adapters.pools.operations import require_pool
from native_api.adapters.task_execution import run_job
from native_api.adapters.task_execution.render import as_dated
from native_api.adapters.task_execution.single_task_run import (
    SingleTaskRun,
    has_ended,
    is_paused,
    latest_try,
    load_single_task_run,
    lock,
    require_idle,
    require_others_ended,
    require_ready,
    skip_the_others,
)
from native_api.adapters.task_instances.operations import OneTaskInstance, instance_command
from native_api.effects import Effect
from native_api.errors import (
    DagPaused,
    DagRunNotFound,
    DependenciesUnmet,
    OthersWouldStart,
    PoolNotFound,
    TaskInstanceBusy,
    TaskInstanceNotFound,
)
from native_api.errors.groups import OF_A_JOB, OF_A_LOADED_DAG, OF_A_TASK
from native_api.host import new_id
from native_api.permissions import EXECUTE_DAG
from native_api.registry import Context, operation

if TYPE_CHECKING:
    from datetime import datetime

    from sqlalchemy.orm import Session

    from native_api.adapters.compat.interface.running import RunOptions
    from native_api.adapters.compat.objects import InstanceKey
    from native_api.adapters.task_execution.payloads import Begun

#: Arguments that ignore dependencies, and their flags of ``airflow tasks run``.
IGNORED = {
    "force": "--force",
    "ignore_all_dependencies": "--ignore-all-dependencies",
    "ignore_dependencies": "--ignore-dependencies",
    "ignore_depends_on_past": "--depends-on-past=ignore",
}

#: Fields of the response that only a run in the sandbox has.
NOT_RUN_HERE = {"log": None, "log_cut": None, "seconds": None}

#: Further arguments of ``airflow tasks run``, about shipping DAGs to workers; they have no effect.
WITHOUT_EFFECT = ("pickle", "ship_dag", "cfg_path")


class RunTask(InBackground, OneTaskInstance):
    """The task instance to run; if there is no run for the date, one is created."""

    local = switch(
        "If true, run the task in the sandbox on this host, immediately; otherwise Airflow's executor runs it."
    )
    mark_success = switch("If true, set the state to success without running the task.")
    force = switch("If true, ignore the state of the task instance, unless it is running.")
    ignore_all_dependencies = switch("If true, ignore the state and all non-critical dependencies.")
    ignore_dependencies = switch("If true, ignore the dependencies of the task: upstream tasks, depends_on_past.")
    ignore_depends_on_past = switch(
        "If true, ignore depends_on_past: run even if the task has not succeeded in the previous DAG run."
    )
    pool = Text(256, shortest=1, metadata={"description": "The pool to run the task in."})
    pickle = Text(texts.WORD, load_default=None, metadata={"description": "Has no effect."})
    ship_dag = switch("Has no effect.")
    cfg_path = Text(texts.PATH, load_default=None, metadata={"description": "Has no effect."})


class RunningTask(RunDates):
    """How the task instance is run, and its state."""

    dag_id = fields.String(required=True)
    run_id = fields.String(required=True)
    task_id = fields.String(required=True)
    map_index = fields.Integer(required=True)
    how = fields.String(
        required=True,
        metadata={
            "description": "sandbox: the task was run in the sandbox, and has ended. scheduler, executor: it was "
            "handed over to Airflow's scheduler or executor, and runs when there is a slot. marked: "
            "only its state was set."
        },
    )
    state = fields.String(required=True, allow_none=True, metadata={"description": "The current state."})
    previous_state = fields.String(required=True, allow_none=True, metadata={"description": "The previous state."})
    try_number = fields.Integer(required=True)
    run_is_new = fields.Boolean(
        required=True,
        metadata={"description": "Whether the DAG run was created for it; the other tasks of such a run are skipped."},
    )
    hostname = fields.String(
        required=True, allow_none=True, metadata={"description": "The host that the task was run on."}
    )
    log = fields.String(
        required=True, allow_none=True, metadata={"description": "The log tail, if the task was run in the sandbox."}
    )
    log_cut = fields.Boolean(
        required=True, allow_none=True, metadata={"description": "Whether the log is longer than its tail."}
    )
    seconds = fields.Float(
        required=True,
        allow_none=True,
        metadata={"description": "Duration in seconds, if the task was run in the sandbox."},
    )
    warnings = fields.List(fields.String())


def _command(arguments: Mapping[str, Any]) -> Optional[List[str]]:
    if not airflow().running.has_command:
        return None
    verb, action, *words = instance_command("run")(arguments)
    switches = {"local": "--local", "mark_success": "--mark-success", **IGNORED}
    flags = [flag for name, flag in switches.items() if arguments[name]]
    pool = ["--pool", arguments["pool"]] if arguments.get("pool") else []
    return [verb, action, *flags, *pool, *words]


@operation(
    request=RunTask,
    result=RunningTask,
    accepted=AcceptedJob,
    access=EXECUTE_DAG,
    effect=Effect.EXECUTE,
    tag="Task Execution",
    errors=(
        *OF_A_TASK,
        *OF_A_LOADED_DAG,
        *OF_A_JOB,
        TaskInstanceNotFound,
        DagPaused,
        DependenciesUnmet,
        OthersWouldStart,
        PoolNotFound,
        TaskInstanceBusy,
    ),
    command=_command,
    example={
        "dag_id": "example_dag",
        "run_id": "manual__2026-11-01T00:00:00+00:00",
        "task_id": "extract",
        "local": True,
    },
)
def run_task(
    context: Context,
    in_background: bool,
    local: bool,
    mark_success: bool,
    force: bool,
    ignore_all_dependencies: bool,
    ignore_dependencies: bool,
    ignore_depends_on_past: bool,
    pool: Optional[str] = None,
    logical_date: Optional[datetime] = None,
    **asked: Any,
) -> Optional[Dict[str, object]]:
    """
    Run one task instance, and no other task of its DAG run.

    With ``local``, the task runs in the sandbox, and the response is sent when it has ended; at the timeout of requests
    it continues as a job (202). Otherwise, on Airflow 3 the scheduler starts it. On Airflow 2 it is sent to a Celery or
    Kubernetes executor; with a local executor it runs as with ``local``. If there is no run for the date, one is
    created, in which the other tasks are skipped.
    """
    session = context.session
    if pool is not None:
        require_pool(context, pool)
    context.warnings += [f"'{name}' has no effect." for name in WITHOUT_EFFECT if asked.pop(name)]
    options: RunOptions = {
        "pool": pool,
        "force": force,
        "ignore_all_dependencies": ignore_all_dependencies,
        "ignore_dependencies": ignore_dependencies,
        "ignore_depends_on_past": ignore_depends_on_past,
    }
    key = _key(context, logical_date, asked)
    dag = dag_with_task(session, key["dag_id"], key["task_id"])
    lock(session, key)
    single_run = load_single_task_run(session, dag, key, logical_date)
    if mark_success:
        return _mark(single_run, session)
    if local and jobs.on_executor() and not airflow().running.on_executor:
        local = False
        context.warnings.append("Jobs run on Airflow's executor: Airflow's scheduler starts the task.")
    how = "sandbox" if local else airflow().running.way(single_run.instance)
    require_ready(single_run, options, how != "sandbox", session)
    if how == "scheduler":
        return _schedule(single_run, options["pool"], session)
    new_run_date = logical_date if single_run.is_new else None
    # The job creates the run itself, so that a failed start leaves no run.
    session.rollback()
    job = _job(how, key, new_run_date, options)
    return jobs.run(context, job, in_background=in_background, outlive=True)


@jobs.builds_response(run_task)
def _ran(context: Context, finished: sandbox.JobOutcome) -> Dict[str, object]:
    context.warnings += finished.result["warnings"]
    return {**NOT_RUN_HERE, **as_dated(finished.result), "seconds": finished.seconds}


def _key(context: Context, logical_date: Optional[datetime], asked: Mapping[str, Any]) -> InstanceKey:
    """Return the key of the task instance, with the run_id of the existing or of the new run."""
    try:
        return named_instance(context, logical_date=logical_date, **asked)[1]
    except DagRunNotFound:
        if logical_date is None:
            raise
    return {
        "dag_id": asked["dag_id"],
        "run_id": f"manual__{logical_date.isoformat()}",
        "task_id": asked["task_id"],
        "map_index": asked["map_index"],
    }


def _mark(single_run: SingleTaskRun, session: Session) -> Dict[str, object]:
    from airflow.utils.state import TaskInstanceState

    require_idle(single_run)
    begun = _begun(single_run, session)
    single_run.instance.set_state(TaskInstanceState.SUCCESS, session=session)
    session.flush()
    return {**begun, **latest_try(single_run), **NOT_RUN_HERE, "how": "marked"}


def _schedule(single_run: SingleTaskRun, pool: Optional[str], session: Session) -> Dict[str, object]:
    if is_paused(single_run.run.dag_id, session):
        raise DagPaused(single_run.run.dag_id)
    if has_ended(single_run.run) and not single_run.is_new:
        require_others_ended(single_run, session)
    begun = _begun(single_run, session)
    single_run = replace(single_run, instance=airflow().running.begin_anew(single_run.instance, pool, session))
    airflow().running.schedule(single_run.run, single_run.instance, session)
    return {**begun, **latest_try(single_run), **NOT_RUN_HERE, "how": "scheduler"}


def _begun(single_run: SingleTaskRun, session: Session) -> Begun:
    """Return the previous state, and skip the other tasks of a new run."""
    if single_run.is_new:
        skip_the_others(single_run, session)
    return {"previous_state": single_run.state, "run_is_new": single_run.is_new}


def _job(how: str, key: InstanceKey, new_run_date: Optional[datetime], options: RunOptions) -> sandbox.Job:
    """
    Return the job that runs the task instance, or sends it to the executor; its cleanup fails the try if it is killed.
    """
    job_id = new_id()
    function = run_job.run if how == "sandbox" else run_job.send
    date = None if new_run_date is None else new_run_date.isoformat()
    arguments = {"key": key, "logical_date": date, "options": options, "job_id": job_id}
    ending = {"key": key, "run_is_new": new_run_date is not None, "job_id": job_id}
    cleanup = (run_job.give_up, ending)
    return sandbox.Job(function, arguments, cleanup, job_id, needs_execution_api=True)
