"""Running one task instance for real."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, Dict, Mapping, Optional

#: What a task instance has for the id of its executor while a job of ours runs it.
MARK = "native_api:{}"


class Running(ABC):
    """Running one task instance for real."""

    #: Whether ``airflow tasks run`` exists.
    has_command: bool

    @abstractmethod
    def way(self, instance: Any) -> str:
        """Return who runs an instance unless a process of ours is asked for: scheduler, executor or sandbox."""

    def tries(self, instance: Any) -> int:
        """Return the number of the instance's latest try."""
        return int(instance.try_number)

    def dependencies(self, options: Mapping[str, Any], waits: bool) -> Any:
        """
        Return the dependencies that have to be met for an instance to run.

        :param waits: it need not find a place at once.
        """
        from airflow.ti_deps.dep_context import DepContext
        from airflow.ti_deps.dependencies_deps import REQUEUEABLE_DEPS, RUNNING_DEPS

        return DepContext(deps=RUNNING_DEPS - REQUEUEABLE_DEPS if waits else RUNNING_DEPS, **ignored(options))

    def begin_anew(self, instance: Any, pool: Optional[str], session: Any) -> Any:
        """
        Take down the instance's earlier try and take back what it left, as clearing does; its run stays as it is.

        :return: the instance of the next try, which is a row of its own from 3.4 on.
        """
        if instance.state is not None:
            instance = self._cleared(instance, session)
        if pool is not None:
            instance.pool = pool
        session.flush()
        return instance

    @abstractmethod
    def _cleared(self, instance: Any, session: Any) -> Any: ...

    def schedule(self, run: Any, instance: Any, session: Any) -> None:
        """Have the scheduler send the instance to its executor; whether its dependencies are met is not looked at."""
        run.schedule_tis([instance], session=session)
        self.go_on(run, session)
        session.refresh(instance, ["state", "try_number"])

    def go_on(self, run: Any, session: Any) -> None:
        """Have the scheduler look at the run, if it does not."""
        from airflow.utils.state import DagRunState

        if run.state not in (DagRunState.RUNNING, DagRunState.QUEUED):
            run.set_state(DagRunState.RUNNING)
        session.flush()

    def claim(self, instance: Any, job_id: str, only_one_try: bool, session: Any) -> None:
        """Begin a try of the instance that the job runs, and nobody else."""
        import pendulum
        from airflow.utils.state import TaskInstanceState

        instance.external_executor_id = MARK.format(job_id)
        instance.state = TaskInstanceState.QUEUED
        instance.queued_by_job_id = None
        instance.queued_dttm = pendulum.now("UTC")
        self._count_try(instance, only_one_try)
        session.flush()

    def is_claimed(self, instance: Any, job_id: str) -> bool:
        """Return whether the instance's latest try is the job's."""
        return bool(instance.external_executor_id == MARK.format(job_id))

    def is_open(self, instance: Any) -> bool:
        """Return whether the instance runs, or is about to."""
        from airflow.utils.state import TaskInstanceState

        return instance.state in (TaskInstanceState.QUEUED, TaskInstanceState.RUNNING, TaskInstanceState.RESTARTING)

    @abstractmethod
    def _count_try(self, instance: Any, only_one_try: bool) -> None: ...

    @abstractmethod
    def run(self, key: Mapping[str, Any], dag: Any, options: Mapping[str, Any], job_id: str) -> None:
        """
        Run an instance that was claimed, as a worker does, to the end of its try.

        :param key: its dag_id, run_id, task_id and map_index.
        :param dag: the DAG as its file defines it.
        :param options: pool, force, ignore_all_dependencies, ignore_dependencies, ignore_depends_on_past.
        """

    @abstractmethod
    def send(self, key: Mapping[str, Any], dag: Any, options: Mapping[str, Any], job_id: str) -> None:
        """Send an instance that was claimed to Airflow's executor."""

    def fail(self, dag: Any, instance: Any, reason: str, session: Any) -> None:
        """End the try of an instance whose process is gone, as Airflow ends one without a heartbeat."""
        instance.task = dag.get_task(instance.task_id)
        instance.handle_failure(error=reason, session=session)


def ignored(options: Mapping[str, Any]) -> Dict[str, Any]:
    """Return what is to be ignored, in the words of Airflow's dependencies."""
    return {
        "ignore_all_deps": options["ignore_all_dependencies"],
        "ignore_task_deps": options["ignore_dependencies"],
        "ignore_depends_on_past": options["ignore_depends_on_past"],
        "ignore_ti_state": options["force"],
    }


def session() -> Any:
    """Return a context with a session of its own."""
    from airflow.utils.session import create_session

    return create_session()


def instance_of(session: Any, key: Mapping[str, Any]) -> Any:
    """Return the instance of that key with its run and its DAG's row, which are looked at after the session."""
    from airflow.models.taskinstance import TaskInstance
    from sqlalchemy import select
    from sqlalchemy.orm import joinedload

    loaded = (joinedload(TaskInstance.dag_run), joinedload(TaskInstance.dag_model))
    return session.scalars(select(TaskInstance).filter_by(**key).options(*loaded)).unique().one()
