"""Backfills: create, list, cancel, and return the progress."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, Callable, Dict, List, Optional

from sqlalchemy import select, update

from native_api.adapters import sandbox
from native_api.adapters.backfills import ending, job, progress, states
from native_api.adapters.backfills.plan import Plan, later_that_day, planned, require_whole_runs
from native_api.adapters.backfills.schemas import (
    STATES,
    BackfillDag,
    Backfills,
    BackfillState,
    CancelledBackfill,
    ListBackfills,
    OneBackfill,
    PlannedBackfill,
    StartedBackfill,
)
from native_api.adapters.compat import airflow
from native_api.adapters.dags.operations import active_dag, require_active_dag
from native_api.adapters.fields.paging import slice_of
from native_api.adapters.jobs import operations as jobs
from native_api.adapters.pools.operations import require_pool
from native_api.effects import Effect
from native_api.errors import (
    ArgumentNotSupported,
    BackfillHasEnded,
    BackfillIsActive,
    BackfillIsElsewhere,
    BackfillNotFound,
    Conflict,
    DagFileMissing,
    DagHasImportErrors,
    DagNotFound,
    DependsOnPast,
    Invalid,
    NativeApiError,
    NoSchedule,
    PoolNotFound,
)
from native_api.errors.groups import OF_A_DAG, OF_A_LOADED_DAG, OF_A_STARTED_JOB
from native_api.host import hostname, new_id
from native_api.permissions import EXECUTE_DAG, Access, Resource
from native_api.registry import Context, operation

if TYPE_CHECKING:
    from airflow.models.dag import DagModel
    from sqlalchemy.orm import Session

    from native_api.adapters.compat.interface.backfills import BackfillRecord

_READ = Access(Resource.DAG_RUN, "GET")
_EDIT = Access(Resource.DAG_RUN, "PUT")


@operation(
    request=BackfillDag,
    result=PlannedBackfill,
    accepted=StartedBackfill,
    access=EXECUTE_DAG,
    effect=Effect.EXECUTE,
    tag="Backfills",
    errors=(
        *OF_A_DAG,
        *OF_A_LOADED_DAG,
        *OF_A_STARTED_JOB,
        PoolNotFound,
        BackfillIsActive,
        DagHasImportErrors,
        DependsOnPast,
        NoSchedule,
        ArgumentNotSupported,
    ),
    command=lambda arguments: airflow().backfills.command(arguments),
    example={"dag_id": "example_dag", "from_date": "2026-10-10", "to_date": "2026-10-12", "dry_run": True},
)
def backfill_dag(
    context: Context, dag_id: str, subdir: Optional[str] = None, **arguments: Any
) -> Optional[Dict[str, object]]:
    """
    Create a backfill: the DAG runs of a date range, which Airflow then executes.

    The dates are those of the DAG's schedule whose data intervals have ended. The response is sent immediately;
    backfill_state returns the progress. On Airflow 3 the backfill is one of Airflow's own. On Airflow 2 it is a set of
    manual runs with the data intervals of their dates, which respect max_active_runs and do not change scheduled runs.
    With local, Airflow's own backfill job runs it, on the web server's host or, with execute_on = executor, on a
    worker: use it for tasks with depends_on_past, or without a scheduler. If the DAG is paused, the runs wait until it
    is unpaused.
    """
    if arguments.get("pool"):
        require_pool(context, arguments["pool"])
    dag_model = active_dag(context, dag_id, subdir)
    if not arguments["dry_run"]:
        _lock(context.session, dag_id)
        ending.take_down_the_ended(context.session, dag_id)
    plan = planned(context.session, dag_model, arguments)
    context.resolved_arguments.update(plan.adapted)
    context.warnings += [*_checked(plan), *_of_no_effect(plan)]
    if plan.dry_run:
        return plan.as_response()
    ending.require_none_active(context.session, dag_id)
    if not plan.with_action("create") and not plan.with_action("reprocess"):
        context.warnings.append("Every date has a run already; set reprocess_behavior to run them again.")
    if airflow().backfills.is_detached(plan):
        return _begin_job(context, plan)
    backfill = airflow().backfills.create(context.session, plan, context.caller.name)
    states.apply(context.session, plan, backfill)
    return _accepted(context, plan, backfill)


def _checked(plan: Plan) -> List[str]:
    """
    Return the warnings about a plan.

    If Airflow cannot run the plan, its error is raised; a dry run returns it as a warning.
    """
    warnings: List[str] = []
    checks: List[Callable[[Plan], Optional[List[str]]]]
    checks = [_require_file, require_whole_runs, airflow().backfills.warnings_about]
    for check in checks:
        try:
            warnings += check(plan) or []
        except (ArgumentNotSupported, Conflict) as exc:
            if not plan.dry_run:
                raise
            warnings.append(f"Without dry_run, the request is refused: {exc}")
    return warnings


def _require_file(plan: Plan) -> None:
    if plan.dag_model.has_import_errors:
        raise DagHasImportErrors(plan.dag_id, plan.dag_model.fileloc)
    if airflow().backfills.is_detached(plan) and not jobs.on_executor():
        path = airflow().dag_files.file_of(plan.dag_model)
        if not os.path.exists(path):
            raise DagFileMissing(plan.dag_id, path, None, hostname())


def _accepted(context: Context, plan: Plan, backfill: BackfillRecord) -> Dict[str, object]:
    """Return the response for an active backfill."""
    waits = dag_waits(plan.dag_model)
    if waits and not backfill.local and not plan.mark_success:
        context.warnings.append(waits)
    context.accept("backfill_state", backfill_id=backfill.backfill_id)
    return {**plan.as_response(), "backfill_id": backfill.backfill_id}


def dag_waits(dag_model: DagModel) -> Optional[str]:
    """Return a warning if the runs of the DAG cannot start, else None."""
    if not dag_model.is_paused:
        return None
    return f"The DAG '{dag_model.dag_id}' is paused: the runs wait until it is unpaused."


def _of_no_effect(plan: Plan) -> List[str]:
    """Return a warning for each argument without effect."""
    warnings = []
    if plan.ignore_dependencies and plan.task_regex is None:
        warnings.append("'ignore_dependencies' has no effect without task_regex.")
    if plan.ignore_first_depends_on_past and plan.depends_on_past() is None:
        warnings.append("'ignore_first_depends_on_past' has no effect: no task has depends_on_past.")
    later = later_that_day(plan) if plan.last_day else None
    if later is not None:
        warnings.append(
            f"'{plan.last_day}' has no time and means midnight at the start of that day: its run of "
            f"{later.logical_date.isoformat()}, and later ones, are omitted. Add a time to include them."
        )
    return warnings


def _lock(session: Session, dag_id: str) -> None:
    """Lock the DAG, so that a concurrent call waits for the end of this transaction, and then sees its backfill."""
    from airflow.models.dag import DagModel

    # MySQL shows a transaction what was there at its first look.
    session.commit()
    this_dag = update(DagModel).where(DagModel.dag_id == dag_id).values(is_paused=DagModel.is_paused)
    session.execute(this_dag.execution_options(synchronize_session=False))


def _begin_job(context: Context, plan: Plan) -> Dict[str, object]:
    """Start the job that runs a local backfill."""
    job_id = new_id()
    backfill = airflow().backfills.create(context.session, plan, context.caller.name, job_id)
    response = _accepted(context, plan, backfill)
    state_call = context.state_call
    try:
        jobs.run_to_end(context, _job(plan, backfill), in_background=True)
    except NativeApiError:
        airflow().backfills.fail_without_runs(context.session, backfill.backfill_id)
        context.session.commit()
        raise
    context.state_call = state_call
    return response


def _job(plan: Plan, backfill: Any) -> sandbox.Job:
    arguments = {
        "backfill_id": backfill.backfill_id,
        "task_ids": plan.task_ids if plan.excluded else None,
        "reprocessed": [run.run.run_id for run in plan.with_action("reprocess")],
        "ignore_task_deps": plan.ignore_dependencies,
        "conf": plan.conf,
        "run_backwards": plan.run_backwards,
        "ignore_first_depends_on_past": plan.ignore_first_depends_on_past,
        "pool": plan.pool,
    }
    cleanup = (job.give_up, {"backfill_id": backfill.backfill_id})
    return sandbox.Job(job.run, arguments, cleanup, backfill.job_id)


@operation(
    request=OneBackfill,
    result=BackfillState,
    access=_READ,
    effect=Effect.READ,
    tag="Backfills",
    errors=(BackfillNotFound,),
    example={"backfill_id": 1},
)
def backfill_state(context: Context, backfill_id: int) -> Dict[str, object]:
    """Return the progress of a backfill: its runs and tasks by state, the completed fraction, and the failures."""
    session = context.session
    backfill = _find(context, backfill_id, _READ)
    found = progress.progress_of(session, backfill)
    if found.state == "running" and not backfill.local:
        _warn_of_pause(context, backfill.dag_id)
    _warn_of_a_paused_one(context, backfill)
    _warn_of_runs_taken_over(context, backfill)
    if progress.is_lost(backfill):
        context.warnings.append("The job of the backfill is lost; use cancel_backfill to fail its remaining runs.")
    return {
        **progress.as_response(backfill, found),
        "tasks": progress.tasks_by_state(session, backfill),
        "failed_runs": progress.failed_runs(session, backfill),
        "failed_tasks": progress.failed_tasks(session, backfill),
    }


def _warn_of_a_paused_one(context: Context, backfill: BackfillRecord) -> None:
    if backfill.is_paused and not backfill.is_over:
        context.warnings.append(
            f"The backfill {backfill.backfill_id} is paused in Airflow: its runs wait until it is unpaused there."
        )


def _warn_of_runs_taken_over(context: Context, backfill: BackfillRecord) -> None:
    count = airflow().backfills.taken_over(context.session, backfill)
    if count:
        are = "is" if count == 1 else "are"
        context.warnings.append(f"{count} of its runs {are} now part of a later backfill, and not counted.")


def _warn_of_pause(context: Context, dag_id: str) -> None:
    from airflow.models.dag import DagModel

    dag_model = context.session.scalars(select(DagModel).where(DagModel.dag_id == dag_id)).first()
    waits = None if dag_model is None else dag_waits(dag_model)
    context.warnings += [waits] if waits else []


@operation(
    request=ListBackfills,
    result=Backfills,
    access=_READ,
    effect=Effect.READ,
    tag="Backfills",
    errors=(DagNotFound,),
    command=lambda arguments: None,
    example={"dag_id": "example_dag", "state": ["running"]},
)
def list_backfills(
    context: Context, dag_id: Optional[str] = None, state: Optional[List[str]] = None, **arguments: object
) -> Dict[str, object]:
    """List the backfills of the DAGs that the caller can read, the oldest first."""
    if dag_id is not None:
        require_active_dag(context, dag_id)
    unknown = sorted(set(state or ()) - set(STATES))
    if unknown:
        raise Invalid({"state": [f"A backfill has no state {', '.join(unknown)}; the states are {', '.join(STATES)}."]})
    readable = context.caller.dag_ids(_READ)
    backfill_ids = [
        backfill_id
        for backfill_id, its_dag in airflow().backfills.listed(context.session, dag_id)
        if readable is None or its_dag in readable
    ]
    if state:
        backfill_ids = _in_state(context.session, backfill_ids, state)
    page = slice_of(context, backfill_ids, arguments, lambda backfill_id: backfill_id)
    backfills = airflow().backfills.by_id(context.session, page)
    backfills.sort(key=lambda backfill: page.index(backfill.backfill_id))
    for backfill in backfills:
        _warn_of_a_paused_one(context, backfill)
    found = progress.progress_of_each(context.session, backfills)
    rows = [progress.as_response(backfill, its_progress) for backfill, its_progress in zip(backfills, found)]
    return {"backfills": rows, "total_entries": len(backfill_ids)}


def _in_state(session: Session, backfill_ids: List[int], states: List[str]) -> List[int]:
    """Return the backfills in one of the states."""
    running_only = set(states) == {"running"}
    some = airflow().backfills.unfinished(session) if running_only else airflow().backfills.by_id(session, backfill_ids)
    listed = set(backfill_ids)
    backfills = [backfill for backfill in some if backfill.backfill_id in listed]
    found = progress.progress_of_each(session, backfills)
    return [backfill.backfill_id for backfill, its_progress in zip(backfills, found) if its_progress.state in states]


@operation(
    request=OneBackfill,
    result=CancelledBackfill,
    access=_READ,
    effect=Effect.WRITE,
    tag="Backfills",
    errors=(BackfillNotFound, BackfillHasEnded, BackfillIsElsewhere),
    example={"backfill_id": 1},
)
def cancel_backfill(context: Context, backfill_id: int) -> Dict[str, object]:
    """
    Cancel a backfill: its queued runs fail, and its running runs finish.

    The job of a local backfill is cancelled with its running tasks; this requires a web server on the host of the
    job, unless it is on Airflow's executor. Requires the permission to edit the DAG runs of the DAG.
    """
    session = context.session
    backfill = _find(context, backfill_id, _EDIT)
    context.resolved_arguments["dag_id"] = backfill.dag_id
    ending.require_not_ended(session, backfill)
    airflow().backfills.cancel(session, backfill)
    session.flush()
    if backfill.local:
        ending.end_job(session, backfill)
    failed = states.fail_queued(session, backfill)
    runs = progress.progress_of(session, backfill).runs
    return {
        "backfill_id": backfill_id,
        "dag_id": backfill.dag_id,
        "state": "cancelled",
        "failed_runs": failed,
        "running_runs": runs.get("running", 0),
    }


def _find(context: Context, backfill_id: int, access: Access) -> Any:
    """
    Return a backfill of a DAG on which the caller has the right.

    :raises BackfillNotFound: there is none that the caller can read.
    """
    backfill = airflow().backfills.by_id(context.session, [backfill_id])
    if not backfill or not context.caller.may(_READ, backfill[0].dag_id):
        raise BackfillNotFound(backfill_id)
    context.caller.require(access, backfill[0].dag_id)
    return backfill[0]
