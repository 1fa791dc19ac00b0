"""The run of one task instance without the others of its DAG run, which is created if there is none."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, List, Optional, cast

import pendulum
from sqlalchemy import select, update

from native_api.adapters.compat import airflow, text_of
from native_api.adapters.compat.objects import InstanceKey, key_of
from native_api.adapters.lookup import find_run, of_key
from native_api.adapters.task_instances.dependencies import unmet
from native_api.errors import (
    DagRunNotFound,
    DependenciesUnmet,
    Invalid,
    OthersWouldStart,
    TaskInstanceBusy,
    TaskInstanceNotFound,
)

if TYPE_CHECKING:
    from datetime import datetime

    from airflow.models.dagrun import DagRun
    from airflow.models.taskinstance import TaskInstance
    from sqlalchemy.orm import Session

    from native_api.adapters.compat.interface.running import RunOptions
    from native_api.adapters.compat.objects import Dag

#: The arguments that ignore dependencies, the least first.
_WAYS = (
    ("force",),
    ("ignore_depends_on_past",),
    ("ignore_dependencies",),
    ("force", "ignore_depends_on_past"),
    ("force", "ignore_dependencies"),
    ("ignore_all_dependencies",),
    ("force", "ignore_all_dependencies"),
)
#: external_executor_id of task instances that are skipped because of a single-task run.
LEFT_ALONE = "native_api:left alone"


class LatestTry(InstanceKey):
    """A task instance and its latest try."""

    logical_date: Optional[datetime]
    state: Optional[str]
    try_number: int
    hostname: Optional[str]


@dataclass(frozen=True)
class SingleTaskRun:
    """A task instance, its run and its DAG; *is_new* if the run was created for it and is not committed."""

    dag: Any
    run: Any
    instance: Any
    is_new: bool

    @property
    def key(self) -> InstanceKey:
        """The key of the task instance."""
        return key_of(self.instance)

    @property
    def state(self) -> Optional[str]:
        """The state of the instance as text, or None."""
        return state_of(self.instance)


def state_of(instance: TaskInstance) -> Optional[str]:
    """Return the state of a task instance as text, or None."""
    return text_of(instance.state)


def lock(session: Session, key: InstanceKey) -> None:
    """
    Lock the task instance of that key until the session's transaction ends.

    Call this before the task instance is read.
    """
    from airflow.models.taskinstance import TaskInstance

    # SQLite has no SELECT ... FOR UPDATE; a write that changes nothing is one on every database.
    row = TaskInstance
    as_it_was = {"external_executor_id": row.external_executor_id, "updated_at": row.updated_at}
    written = update(row).where(*of_key(row, key)).values(**as_it_was)
    session.execute(written.execution_options(synchronize_session=False))


def load_single_task_run(session: Session, dag: Dag, key: InstanceKey, logical_date: Any) -> SingleTaskRun:
    """
    Return the task instance of that key, in a new run for *logical_date* if the DAG has none with that id.

    :raises TaskInstanceNotFound: the run has no such task instance.
    :raises Invalid: a new run would have none, or the task is mapped and there is no map_index.
    """
    if airflow().is_mapped(dag.get_task(key["task_id"])) and key["map_index"] < 0:
        raise Invalid({"map_index": [f"The task '{key['task_id']}' is mapped: send a map_index."]})
    try:
        run, is_new = find_run(session, key["dag_id"], key["run_id"], None), False
        # It may have been read before the instance was locked.
        session.refresh(run)
    except DagRunNotFound:
        if logical_date is None:
            raise
        run, is_new = _made(session, dag, key["run_id"], logical_date), True
    instance = run.get_task_instance(key["task_id"], map_index=key["map_index"], session=session)
    if instance is None and is_new:
        reason = f"A DAG run for this date would have no such instance of the task '{key['task_id']}'."
        raise Invalid({"logical_date": [reason]})
    if instance is None:
        raise TaskInstanceNotFound(**key)
    if str(instance.external_executor_id) == LEFT_ALONE and state_of(instance) == "skipped":
        # Its turn has come.
        instance.state = instance.external_executor_id = None
    run.dag = dag
    instance.task = dag.get_task(key["task_id"])
    return SingleTaskRun(dag, run, instance, is_new)


def _made(session: Session, dag: Dag, run_id: str, logical_date: datetime) -> Any:
    from airflow.utils.state import DagRunState

    run = airflow().make_run(dag, run_id, logical_date, session)
    # The scheduler ignores a run that has ended; its tasks can still read its start date.
    run.state = DagRunState.SUCCESS
    run.start_date = run.end_date = pendulum.now("UTC")
    session.flush()
    return run


def require_ready(single_run: SingleTaskRun, options: RunOptions, waits: bool, session: Session) -> None:
    """
    Raise unless the task instance can run now.

    :param waits: a free slot is not required.
    :raises TaskInstanceBusy: it is running or queued.
    :raises DependenciesUnmet: it has unmet dependencies that are not ignored.
    """
    require_idle(single_run)
    if options["pool"] is not None:
        single_run.instance.pool = options["pool"]
    found = unmet(single_run.instance, airflow().running.dependencies(options, waits), session)
    if found:
        raise DependenciesUnmet(
            **single_run.key, dependencies=found, arguments=_ignoring_arguments(single_run, options, waits, session)
        )


def _ignoring_arguments(
    single_run: SingleTaskRun, options: RunOptions, waits: bool, session: Session
) -> Optional[List[str]]:
    """Return the arguments that ignore the unmet dependencies and no others, None if one cannot be ignored."""
    for names in _WAYS:
        ignoring_these = cast("RunOptions", {**options, **dict.fromkeys(names, True)})
        ignoring = airflow().running.dependencies(ignoring_these, waits)
        if not unmet(single_run.instance, ignoring, session):
            return [*names]
    return None


def require_idle(single_run: SingleTaskRun) -> None:
    """Raise :class:`TaskInstanceBusy` if the task instance is running or queued."""
    from airflow.utils.state import State, TaskInstanceState

    busy = {*State.unfinished} - {None, TaskInstanceState.UP_FOR_RETRY, TaskInstanceState.UP_FOR_RESCHEDULE}
    if has_ended(single_run.run):
        # Nobody takes up what is scheduled in a run that has ended.
        busy -= {TaskInstanceState.SCHEDULED}
    if single_run.instance.state in busy:
        raise TaskInstanceBusy(**single_run.key, state=str(single_run.state))


def has_ended(run: DagRun) -> bool:
    """Return whether the run has ended."""
    from airflow.utils.state import State

    return run.state in State.finished_dr_states


def skip_the_others(single_run: SingleTaskRun, session: Session) -> None:
    """Skip the other task instances of a run that was created for this one."""
    from airflow.utils.state import TaskInstanceState

    for other in _others(single_run, session):
        other.state = TaskInstanceState.SKIPPED
        other.external_executor_id = LEFT_ALONE
    session.flush()


def require_others_ended(single_run: SingleTaskRun, session: Session) -> None:
    """Raise :class:`OthersWouldStart` if the scheduler would start other tasks of the run together with this one."""
    waiting = tasks_to_start(single_run, session)
    if waiting:
        raise OthersWouldStart(single_run.run.dag_id, single_run.run.run_id, waiting)


def tasks_to_start(single_run: SingleTaskRun, session: Session) -> List[str]:
    """Return the other tasks that the scheduler would start if an ended run continued."""
    from airflow.utils.state import State, TaskInstanceState

    # It adds the tasks that the DAG has got since, and those that it has got back.
    final_states = {*State.finished} - {TaskInstanceState.REMOVED}
    others = _others(single_run, session)
    there = {single_run.instance.task_id, *(other.task_id for other in others)}
    open_ones = {
        other.task_id
        for other in others
        if other.state not in final_states and other.task_id in single_run.dag.task_dict
    }
    return sorted(open_ones | (set(single_run.dag.task_dict) - there))


def go_on(single_run: SingleTaskRun, session: Session) -> List[str]:
    """
    Let the scheduler end the run if this is its only task that continues.

    :return: warnings, if the scheduler does not.
    """
    waiting = tasks_to_start(single_run, session)
    if waiting:
        return [
            "The run has ended. The task can only continue in a running one, which would also start "
            f"{', '.join(waiting)}."
        ]
    airflow().running.go_on(single_run.run, session)
    if is_paused(single_run.run.dag_id, session):
        return [f"The DAG '{single_run.run.dag_id}' is paused: the run ends when it is unpaused."]
    return []


def is_paused(dag_id: str, session: Session) -> bool:
    """Return whether the DAG is paused."""
    from airflow.models.dag import DagModel

    return bool(session.scalar(select(DagModel.is_paused).where(DagModel.dag_id == dag_id)))


def latest_try(single_run: SingleTaskRun) -> LatestTry:
    """Return the task instance and its latest try."""
    latest = single_run.instance
    return {
        **single_run.key,
        "logical_date": getattr(single_run.run, airflow().date_column),
        "state": single_run.state,
        "try_number": airflow().running.tries(latest),
        "hostname": latest.hostname or None,
    }


def _others(single_run: SingleTaskRun, session: Session) -> List[Any]:
    instances = single_run.run.get_task_instances(session=session)
    this = (single_run.instance.task_id, single_run.instance.map_index)
    return [instance for instance in instances if (instance.task_id, instance.map_index) != this]
