"""Running one task instance for real in Airflow 3: in a process of ours, or by the scheduler."""

from __future__ import annotations

import os
import signal
from contextlib import suppress
from importlib import import_module
from typing import TYPE_CHECKING, Any, Callable

import pendulum

from native_api.adapters.compat.interface.running import OneRowForAllTries, Running, instance_of, session
from native_api.errors import NotSupported

if TYPE_CHECKING:
    from airflow.models.dagrun import DagRun
    from airflow.models.taskinstance import TaskInstance
    from sqlalchemy.orm import Session

    from native_api.adapters.compat.interface.running import RunOptions
    from native_api.adapters.compat.objects import Dag, InstanceKey

#: The interval at which the supervisor of a task checks whether its process has ended, in seconds.
LOOK_SECONDS = 1


class Running3(Running):
    """Airflow 3.4."""

    has_command = False

    on_executor = False

    def way(self, instance: TaskInstance) -> str:
        return "scheduler"

    def _cleared(self, instance: TaskInstance, session: Session) -> Any:
        taskinstance: Any = import_module("airflow.models.taskinstance")
        task, run = instance.task, instance.dag_run
        (instance,) = taskinstance.clear_task_instances([instance], session, dag_run_state=False)
        instance.task = task
        # The loaded task instances of the run are stale.
        session.expire(run, ["task_instances"])
        return instance

    def _count_try(self, instance: TaskInstance, only_one_try: bool) -> None:
        # Clearing or a failed try has incremented it, except for the first try.
        instance.try_number = max(1, instance.try_number)
        if only_one_try:
            instance.max_tries = instance.try_number - 1

    def run(self, key: InstanceKey, dag: Dag, options: RunOptions, job_id: str) -> None:
        from airflow.executors.workloads import ExecuteTask
        from airflow.sdk.execution_time import supervisor

        with session() as opened:
            workload = ExecuteTask.make(instance_of(opened, key))
        # The process of the task reads variables and connections as on a worker.
        os.environ.pop("_AIRFLOW_PROCESS_CONTEXT", None)
        # It notices the end of a process only when it sends a heartbeat, every 5 s.
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
        """Forward SIGTERM from the supervisor to the task, so that on_kill runs; only 3.3 does so itself."""
        supervisor: Any = import_module("airflow.sdk.execution_time.supervisor")
        supervisor.ActivitySubprocess.wait = _telling_the_task(supervisor.ActivitySubprocess.wait)

    def _client(self, dag: Dag) -> Any:
        from airflow.sdk.execution_time.supervisor import InProcessTestSupervisor

        return InProcessTestSupervisor._api_client()

    def send(self, key: InstanceKey, dag: Dag, options: RunOptions, job_id: str) -> None:
        raise NotSupported("run_task", "In Airflow 3 the scheduler sends task instances to the executor.")


class Running33(OneRowForAllTries, Running3):
    """Airflow 3.3, where a try is no row of its own."""

    def _pass_on_signals(self) -> None:
        """It does so by itself."""


class Running32(Running33):
    """Airflow 3.2."""

    def _supervise(self, **what: object) -> None:
        Running3._pass_on_signals(self)
        supervisor: Any = import_module("airflow.sdk.execution_time.supervisor")
        # 3.3 renamed it.
        supervisor.supervise(**what)


class Running31(Running32):
    """Airflow 3.1."""

    def claim(self, instance: TaskInstance, job_id: str, only_one_try: bool, session: Session) -> None:
        _have_begun(instance.dag_run)
        super().claim(instance, job_id, only_one_try, session)

    def fail(self, dag: Dag, instance: TaskInstance, reason: str, session: Session) -> None:
        _have_begun(instance.dag_run)
        super().fail(dag, instance, reason, session)


class Running30(Running31):
    """Airflow 3.0."""

    def _client(self, dag: Dag) -> Any:
        from airflow.sdk.execution_time.supervisor import InProcessTestSupervisor

        # The in-process API of 3.0 only has the DAGs that are passed to it.
        return InProcessTestSupervisor._api_client(dag)


def _telling_the_task(wait: Callable[[object], int]) -> Callable[[object], int]:
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


def _have_begun(run: DagRun) -> None:
    """Set the start date of a run, without which up to 3.1 its tasks do not run; a run that was marked has none."""
    run.start_date = run.start_date or pendulum.now("UTC")
