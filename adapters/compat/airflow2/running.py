"""Running one task instance for real in Airflow 2: in a process of ours, or by the executor."""

from __future__ import annotations

import os
from importlib import import_module
from typing import TYPE_CHECKING, Any, Optional

from sqlalchemy import select

from native_api.adapters.compat.interface.running import (
    MARK,
    OneRowForAllTries,
    Running,
    RunOptions,
    ignored,
    instance_of,
    session,
)
from native_api.adapters.compat.objects import key_of

if TYPE_CHECKING:
    from airflow.models.taskinstance import TaskInstance

    from native_api.adapters.compat.objects import Dag, InstanceKey

#: Executors that run tasks on their own host, for which a process of this API can stand in.
LOCAL = ("SequentialExecutor", "LocalExecutor", "DebugExecutor")


class Running2(OneRowForAllTries, Running):
    """Airflow 2.10 and 2.11."""

    # 3.0 removed it.
    has_command = True

    on_executor = True

    def way(self, instance: TaskInstance) -> str:
        from airflow.configuration import conf

        # Since 2.10 there can be several executors, with aliases, and a task can select one.
        configured = conf.get_mandatory_value("core", "executor").split(",")
        name = getattr(instance, "executor", None) or configured[0].strip()
        return "sandbox" if name.rpartition(":")[2].rpartition(".")[2] in LOCAL else "executor"

    def run(self, key: InstanceKey, dag: Dag, options: RunOptions, job_id: str) -> None:
        from airflow.jobs.job import Job, run_job

        # Otherwise downstream tasks would be scheduled when the task ends.
        os.environ["AIRFLOW__SCHEDULER__SCHEDULE_AFTER_TASK_EXECUTION"] = "False"
        instance = self._instance(key, dag, options["pool"])
        instance.init_run_context(raw=False)
        runner = self._runner()(
            job=Job(dag_id=key["dag_id"]),
            task_instance=instance,
            pool=options["pool"],
            external_executor_id=MARK.format(job_id),
            **ignored(options),
        )
        command: Any = import_module("airflow.cli.commands.task_command")
        with command._move_task_handlers_to_root(instance), command._redirect_stdout_to_ti_log(instance):
            run_job(job=runner.job, execute_callable=runner._execute)

    def _runner(self) -> Any:
        return import_module("airflow.jobs.local_task_job_runner").LocalTaskJobRunner

    def _instance(self, key: InstanceKey, dag: Dag, pool: Optional[str]) -> Any:
        with session() as opened:
            instance = instance_of(opened, key)
            opened.expunge_all()
        instance.refresh_from_task(dag.get_task(key["task_id"]), pool_override=pool)
        return instance

    def send(self, key: InstanceKey, dag: Dag, options: RunOptions, job_id: str) -> None:
        from airflow.executors.executor_loader import ExecutorLoader

        with session() as opened:
            # The running scheduler adopts it, and fails the try if the worker is lost.
            instance_of(opened, key).queued_by_job_id = _scheduler(opened)
        instance = self._instance(key, dag, options["pool"])
        named = getattr(instance, "executor", None)
        executor: Any = ExecutorLoader.load_executor(named) if named else ExecutorLoader.get_default_executor()
        executor.job_id = None
        executor.start()
        executor.queue_task_instance(instance, pool=options["pool"], **ignored(options))
        executor.heartbeat()
        executor.end()
        with session() as opened:
            sent = instance_of(opened, key)
            if sent.external_executor_id == MARK.format(job_id):
                # A worker that has started the task has set its own id.
                sent.external_executor_id = None


class Running29(Running2):
    """Airflow 2.9."""

    def tries(self, instance: TaskInstance) -> int:
        # Up to 2.9 the attribute is a property with the number of the next try; the column has that of the latest.
        return int(instance._try_number)

    def _count_try(self, instance: TaskInstance, only_one_try: bool) -> None:
        # Up to 2.9 a try is counted when it starts; until then try_number is that of the next one.
        if only_one_try:
            instance.max_tries = instance._try_number


class Running28(Running29):
    """Airflow 2.7 and 2.8."""

    def _runner(self) -> Any:
        runner = super()._runner()

        def execute(self: Any) -> Any:
            # Before 2.9 a scheduler considers instances without queued_by_job_id orphaned, and starts them again.
            _set_queued_by(self.task_instance, self.job.id)
            return runner._execute(self)

        return type("QueuedByItself", (runner,), {"_execute": execute})


def _scheduler(opened: Any) -> Optional[int]:
    """Return the id of the scheduler's job, of the latest where there are several, or None where none runs."""
    from airflow.jobs.job import Job
    from airflow.utils.state import JobState

    alive = select(Job.id).where(Job.job_type == "SchedulerJob", Job.state == JobState.RUNNING)
    found: Optional[int] = opened.scalar(alive.order_by(Job.id.desc()).limit(1))
    return found


def _set_queued_by(instance: TaskInstance, job_id: int) -> None:
    with session() as opened:
        instance_of(opened, key_of(instance)).queued_by_job_id = job_id
