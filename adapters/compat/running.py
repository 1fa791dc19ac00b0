"""Running one task instance for real in Airflow 3: in a process of ours, or by the scheduler."""

from __future__ import annotations

import os
import signal
from contextlib import suppress
from importlib import import_module
from typing import Any, Callable, Dict, Mapping, Optional

from native_api.errors import NotSupported

#: What a task instance has for the id of its executor while a job of ours runs it.
MARK = "native_api:{}"

#: How often the supervisor of a task looks whether its process has ended, in seconds.
LOOK_SECONDS = 1


class Running:
    """The newest Airflow, 3.4."""

    #: Whether ``airflow tasks run`` exists.
    has_command = False

    def way(self, instance: Any) -> str:
        """Return who runs an instance unless a process of ours is asked for: scheduler, executor or sandbox."""
        return "scheduler"

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

    def _cleared(self, instance: Any, session: Any) -> Any:
        taskinstance: Any = import_module("airflow.models.taskinstance")
        task, run = instance.task, instance.dag_run
        (instance,) = taskinstance.clear_task_instances([instance], session, dag_run_state=False)
        instance.task = task
        # What it holds of the run's instances is from before.
        session.expire(run, ["task_instances"])
        return instance

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

    def _count_try(self, instance: Any, only_one_try: bool) -> None:
        # Clearing, or the failure before, has counted it already, but for the first one.
        instance.try_number = max(1, instance.try_number)
        if only_one_try:
            instance.max_tries = instance.try_number - 1

    def run(self, key: Mapping[str, Any], dag: Any, options: Mapping[str, Any], job_id: str) -> None:
        """
        Run an instance that was claimed, as a worker does, to the end of its try.

        :param key: its dag_id, run_id, task_id and map_index.
        :param dag: the DAG as its file defines it.
        :param options: pool, force, ignore_all_dependencies, ignore_dependencies, ignore_depends_on_past.
        """
        from airflow.executors.workloads import ExecuteTask
        from airflow.sdk.execution_time import supervisor

        with session() as opened:
            workload = ExecuteTask.make(instance_of(opened, key))
        # The task's process reads variables and connections as on a worker.
        os.environ.pop("_AIRFLOW_PROCESS_CONTEXT", None)
        # It does not see the end of a process at once but when it sends a heartbeat, every 5 s.
        supervisor.MIN_HEARTBEAT_INTERVAL = LOOK_SECONDS
        self._supervise(
            ti=workload.ti,
            bundle_info=workload.bundle_info,
            dag_rel_path=workload.dag_rel_path,
            token="",
            server="http://in-process.invalid./",
            client=self._client(dag),
            log_path=workload.log_path,
        )

    def _supervise(self, **what: Any) -> None:
        from airflow.sdk.execution_time.supervisor import supervise_task

        self._pass_on_signals()
        supervise_task(**what)

    def _pass_on_signals(self) -> None:
        """Have a supervisor that is told to end tell the task, whose on_kill runs; only 3.3 does so by itself."""
        supervisor: Any = import_module("airflow.sdk.execution_time.supervisor")
        supervisor.ActivitySubprocess.wait = _telling_the_task(supervisor.ActivitySubprocess.wait)

    def _client(self, dag: Any) -> Any:
        from airflow.sdk.execution_time.supervisor import InProcessTestSupervisor

        return InProcessTestSupervisor._api_client()

    def send(self, key: Mapping[str, Any], dag: Any, options: Mapping[str, Any], job_id: str) -> None:
        """Send an instance that was claimed to Airflow's executor."""
        raise NotSupported("run_task", "In Airflow 3 the scheduler sends task instances to the executor.")

    def fail(self, dag: Any, instance: Any, reason: str, session: Any) -> None:
        """End the try of an instance whose process is gone, as Airflow ends one without a heartbeat."""
        instance.task = dag.get_task(instance.task_id)
        instance.handle_failure(error=reason, session=session)


class Running33(Running):
    """Airflow 3.3, where a try is no row of its own."""

    def _cleared(self, instance: Any, session: Any) -> Any:
        from airflow.models.taskinstance import clear_task_instances

        clear_task_instances([instance], session, dag_run_state=False)
        return instance

    def _count_try(self, instance: Any, only_one_try: bool) -> None:
        if only_one_try:
            instance.max_tries = instance.try_number
        instance.try_number += 1

    def _pass_on_signals(self) -> None:
        """It does so by itself."""


class Running32(Running33):
    """Airflow 3.2."""

    def _supervise(self, **what: Any) -> None:
        Running._pass_on_signals(self)
        supervisor: Any = import_module("airflow.sdk.execution_time.supervisor")
        # 3.3 renamed it.
        supervisor.supervise(**what)


class Running31(Running32):
    """Airflow 3.1."""

    def claim(self, instance: Any, job_id: str, only_one_try: bool, session: Any) -> None:
        _have_begun(instance.dag_run)
        super().claim(instance, job_id, only_one_try, session)

    def fail(self, dag: Any, instance: Any, reason: str, session: Any) -> None:
        _have_begun(instance.dag_run)
        super().fail(dag, instance, reason, session)


class Running30(Running31):
    """Airflow 3.0."""

    def _client(self, dag: Any) -> Any:
        from airflow.sdk.execution_time.supervisor import InProcessTestSupervisor

        # 3.0's in-process API knows of no DAGs but those it is given.
        return InProcessTestSupervisor._api_client(dag)


LINES = (((3, 4), Running), ((3, 3), Running33), ((3, 2), Running32), ((3, 1), Running31), ((3, 0), Running30))


def _telling_the_task(wait: Callable[[Any], int]) -> Callable[[Any], int]:
    """Return a supervisor's *wait* that passes on to the task that it is to end, and waits for that."""

    def wait_and_tell(process: Any) -> int:
        def tell(number: int, frame: Any) -> None:
            with suppress(ProcessLookupError):
                os.kill(process.pid, number)

        before = signal.signal(signal.SIGTERM, tell)
        try:
            return wait(process)
        finally:
            signal.signal(signal.SIGTERM, before)

    return wait_and_tell


def _have_begun(run: Any) -> None:
    """Have the run a start: up to 3.1 its tasks are told of it, and do not run without; one marked by hand has none."""
    import pendulum

    run.start_date = run.start_date or pendulum.now("UTC")


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
