"""What processes that run DAG code need in Airflow 2."""

from __future__ import annotations

import logging
import os
from importlib import import_module
from typing import Any, Optional, Tuple

from native_api.adapters.compat.interface.user_code import SECRETS_OF_PROVIDERS, UserCode


class UserCode2(UserCode):
    """Airflow 2."""

    maskers = ("airflow.utils.log.secrets_masker",)

    secrets_of_web_server = {
        ("webserver", "secret_key"): True,
        ("core", "internal_api_secret_key"): True,
        **SECRETS_OF_PROVIDERS,
    }

    modules = (
        "airflow.models",
        "airflow.models.dagbag",
        "airflow.operators.bash",
        "airflow.operators.python",
        "airflow.operators.empty",
        "airflow.operators.subdag",
        "airflow.decorators",
        "airflow.sensors.python",
        "airflow.serialization.serialized_objects",
        "airflow.executors.executor_loader",
        "airflow.jobs.local_task_job_runner",
        "airflow.jobs.job",
        "airflow.jobs.backfill_job_runner",
        "airflow.task.task_runner.standard_task_runner",
        "airflow.utils.task_instance_session",
        "airflow.utils.dot_renderer",
        "airflow.datasets.metadata",
        "airflow.listeners.listener",
        "airflow.listeners.spec.dagrun",
        "airflow.listeners.spec.dataset",
        "airflow.listeners.spec.importerrors",
        "airflow.listeners.spec.lifecycle",
        "airflow.listeners.spec.taskinstance",
        "airflow.version",
        "jinja2.ext",
        # Imported by the code that syncs the permissions of a DAG.
        "airflow.www.security_appless",
    )

    def create_execution_api(self) -> None:
        """There is none."""

    def enter_task(self) -> None:
        from airflow.logging_config import configure_logging

        super().enter_task()
        # As in a process of its own: the task log is read, or written, by the handlers of the configuration.
        configure_logging()
        logging.getLogger("airflow.task").propagate = True
        # The session of the task of the job: its connection is that of the parent process.
        vars(import_module("airflow.utils.task_instance_session"))["__current_task_instance_session"] = None
        self.leave_connections()

    def _configure_without_pool(self) -> None:
        from airflow import settings

        settings.configure_orm(disable_connection_pool=True)

    def file_of(self, dag_model: Any, bundle_version: Optional[str] = None) -> Tuple[str, str, Optional[str]]:
        from airflow import settings
        from airflow.utils.file import correct_maybe_zipped

        return os.fspath(correct_maybe_zipped(dag_model.fileloc)), settings.DAGS_FOLDER, None

    def _dag_bag(self, path: str, folder: Any, bundle_name: str) -> Any:
        from airflow.models.dagbag import DagBag

        return DagBag(path, include_examples=False)

    def web_workers(self) -> int:
        from airflow.configuration import conf

        return conf.getint("webserver", "workers", fallback=4)

    def slots(self) -> Tuple[int, int]:
        # A request occupies its web worker; jobs never occupy all of them.
        requests = min(max(self.web_workers() // 2, 1), 4)
        return requests, max(requests, 2)

    def waiting(self, queue: int, places: int) -> int:
        # A waiting request occupies its web worker; one always stays free.
        return min(queue, max(self.web_workers() - places - 1, 0))
