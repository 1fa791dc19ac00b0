"""Running one task instance for real."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any, Dict, Optional, TypedDict

import pendulum
from sqlalchemy import select
from sqlalchemy.orm import joinedload

if TYPE_CHECKING:
    from airflow.models.dagrun import DagRun
    from airflow.models.taskinstance import TaskInstance
    from sqlalchemy.orm import Session

    from native_api.adapters.compat.objects import Dag, InstanceKey

#: The external_executor_id of a task instance that a job of this API runs.
MARK = "native_api:{}"


class RunOptions(TypedDict):
    """How to run a task instance: the options of ``airflow tasks run``."""

    #: None for the pool of the task.
    pool: Optional[str]
    force: bool
    ignore_all_dependencies: bool
    ignore_dependencies: bool
    ignore_depends_on_past: bool


class Running(ABC):
    """Running one task instance for real."""

    #: Whether ``airflow tasks run`` exists.
    has_command: bool

    #: Whether a job on the executor can run a task instance: a worker of Airflow 3 has no database.
    on_executor: bool

    @abstractmethod
    def way(self, instance: TaskInstance) -> str:
        """Return what runs an instance unless ``local`` is set: scheduler, executor or sandbox."""

    def tries(self, instance: TaskInstance) -> int:
        """Return the number of the latest try."""
        return int(instance.try_number)

    def dependencies(self, options: RunOptions, waits: bool) -> Any:
        """
        Return the dependency context that must be met for an instance to run.

        :param waits: whether it can wait for a free slot.
        """
        from airflow.ti_deps.dep_context import DepContext
        from airflow.ti_deps.dependencies_deps import REQUEUEABLE_DEPS, RUNNING_DEPS

        return DepContext(deps=RUNNING_DEPS - REQUEUEABLE_DEPS if waits else RUNNING_DEPS, **ignored(options))

    def begin_anew(self, instance: TaskInstance, pool: Optional[str], session: Session) -> Any:
        """
        Record the previous try and delete its XComs, as clearing does; the DAG run keeps its state.

        :return: the instance of the next try; since 3.4 it is another row.
        """
        if instance.state is not None:
            instance = self._cleared(instance, session)
        if pool is not None:
            instance.pool = pool
        session.flush()
        return instance

    @abstractmethod
    def _cleared(self, instance: TaskInstance, session: Session) -> Any: ...

    def schedule(self, run: DagRun, instance: TaskInstance, session: Session) -> None:
        """Schedule an instance without checking its dependencies: the scheduler sends it to its executor."""
        run.schedule_tis([instance], session=session)
        self.go_on(run, session)
        session.refresh(instance, ["state", "try_number"])

    def go_on(self, run: DagRun, session: Session) -> None:
        """Set a finished DAG run to running, so that the scheduler looks at it."""
        from airflow.utils.state import DagRunState

        if run.state not in (DagRunState.RUNNING, DagRunState.QUEUED):
            run.set_state(DagRunState.RUNNING)
        session.flush()

    def claim(self, instance: TaskInstance, job_id: str, only_one_try: bool, session: Session) -> None:
        """Start a try of an instance that only this job runs."""
        from airflow.utils.state import TaskInstanceState

        instance.external_executor_id = MARK.format(job_id)
        instance.state = TaskInstanceState.QUEUED
        instance.queued_by_job_id = None
        instance.queued_dttm = pendulum.now("UTC")
        self._count_try(instance, only_one_try)
        session.flush()

    def is_claimed(self, instance: TaskInstance, job_id: str) -> bool:
        """Return whether the latest try belongs to a job."""
        return bool(instance.external_executor_id == MARK.format(job_id))

    def is_open(self, instance: TaskInstance) -> bool:
        """Return whether an instance is queued, running or restarting."""
        from airflow.utils.state import TaskInstanceState

        return instance.state in (TaskInstanceState.QUEUED, TaskInstanceState.RUNNING, TaskInstanceState.RESTARTING)

    @abstractmethod
    def _count_try(self, instance: TaskInstance, only_one_try: bool) -> None: ...

    @abstractmethod
    def run(self, key: InstanceKey, dag: Dag, options: RunOptions, job_id: str) -> None:
        """
        Run a claimed instance, as a worker does, until its try ends.

        :param dag: the DAG as its file defines it.
        """

    @abstractmethod
    def send(self, key: InstanceKey, dag: Dag, options: RunOptions, job_id: str) -> None:
        """Send a claimed instance to Airflow's executor."""

    def fail(self, dag: Dag, instance: TaskInstance, reason: str, session: Session) -> None:
        """Fail the try of an instance whose process is gone, as Airflow does for one without heartbeats."""
        task: Any = dag.get_task(instance.task_id)
        instance.task = task
        instance.handle_failure(error=reason, session=session)


class OneRowForAllTries:
    """The tries of a task instance up to Airflow 3.3; since 3.4 each is a row."""

    def _cleared(self, instance: TaskInstance, session: Session) -> Any:
        from airflow.models.taskinstance import clear_task_instances

        clear_task_instances([instance], session, dag_run_state=False)
        return instance

    def _count_try(self, instance: TaskInstance, only_one_try: bool) -> None:
        if only_one_try:
            instance.max_tries = instance.try_number
        instance.try_number += 1


def ignored(options: RunOptions) -> Dict[str, Any]:
    """Return the options of :class:`~airflow.ti_deps.dep_context.DepContext` for those of a request."""
    return {
        "ignore_all_deps": options["ignore_all_dependencies"],
        "ignore_task_deps": options["ignore_dependencies"],
        "ignore_depends_on_past": options["ignore_depends_on_past"],
        "ignore_ti_state": options["force"],
    }


def session() -> Any:
    """Return a context manager with a new session."""
    from airflow.utils.session import create_session

    return create_session()


def instance_of(session: Session, key: InstanceKey) -> Any:
    """Return the instance with that key, with its DAG run and its DagModel loaded."""
    from airflow.models.taskinstance import TaskInstance

    loaded = (joinedload(TaskInstance.dag_run), joinedload(TaskInstance.dag_model))
    return session.scalars(select(TaskInstance).filter_by(**key).options(*loaded)).unique().one()
