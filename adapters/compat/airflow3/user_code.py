"""What processes that run DAG code need in Airflow 3."""

from __future__ import annotations

import logging
import os
import sys
from functools import lru_cache
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, Dict, Mapping, Optional, Tuple

from native_api.adapters.compat.installed import airflow
from native_api.adapters.compat.interface.user_code import SECRETS_OF_PROVIDERS, UserCode
from native_api.errors import Refused

if TYPE_CHECKING:
    from airflow.models.dag import DagModel


class UserCode3(UserCode):
    """Airflow 3.3 and 3.4."""

    maskers: Tuple[str, ...] = (
        "airflow._shared.secrets_masker.secrets_masker",
        "airflow.sdk._shared.secrets_masker.secrets_masker",
    )

    secrets_of_web_server: Mapping[Tuple[str, str], bool] = {
        ("api", "secret_key"): True,
        ("api_auth", "jwt_secret"): True,
        ("api_auth", "jwt_private_key_path"): False,
        **SECRETS_OF_PROVIDERS,
    }

    modules: Tuple[str, ...] = (
        "airflow.models",
        "airflow.dag_processing.dagbag",
        "airflow.dag_processing.bundles.local",
        "airflow.dag_processing.bundles.manager",
        "airflow.dag_processing.collection",
        "airflow.serialization.serialized_objects",
        "airflow.providers.standard.decorators.python",
        "airflow.providers.standard.operators.bash",
        "airflow.providers.standard.operators.empty",
        "airflow.providers.standard.operators.python",
        "airflow.sdk.bases.sensor",
        "airflow.sdk.definitions.dag",
        "airflow.sdk.definitions.decorators",
        "airflow.sdk.execution_time.task_runner",
        "airflow.sdk.execution_time.supervisor",
        "airflow.jobs.job",
        "airflow.timetables.trigger",
        "airflow.sdk.definitions.asset.metadata",
        "airflow.version",
        # Of the client of the execution API.
        "a2wsgi",
        "encodings.idna",
        "jinja2.ext",
    )

    plugin_managers: Tuple[str, ...] = ("airflow.plugins_manager", "airflow.sdk.plugins_manager")

    def create_execution_api(self) -> None:
        from asyncio import run

        from airflow.sdk.execution_time.supervisor import in_process_api_server
        from httpx import ASGITransport, AsyncClient

        async def ask() -> None:
            transport = ASGITransport(app=in_process_api_server().app)
            async with AsyncClient(transport=transport, base_url="http://in-process") as client:
                await client.get("/no-such-page")

        run(ask())

    def enter_task(self) -> None:
        # A worker has no database: variables and connections are read through the supervisor of the task.
        import structlog

        super().enter_task()
        # Those of the task of the job.
        structlog.contextvars.clear_contextvars()
        level = logging.getLevelName(logging.getLogger().level)
        structlog.configure(
            processors=[
                structlog.contextvars.merge_contextvars,
                structlog.processors.add_log_level,
                structlog.processors.TimeStamper(fmt="iso"),
                structlog.dev.ConsoleRenderer(colors=False, exception_formatter=structlog.dev.plain_traceback),
            ],
            wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelName(level)),
            logger_factory=structlog.PrintLoggerFactory(sys.stdout),
            cache_logger_on_first_use=False,
        )

    def _configure_without_pool(self) -> None:
        from airflow import settings

        settings.reconfigure_orm(disable_connection_pool=True)

    def file_of(self, dag_model: DagModel, bundle_version: Optional[str] = None) -> Tuple[str, str, Optional[str]]:
        from airflow.dag_processing.bundles.manager import DagBundlesManager

        name, relative = airflow().dag_files.place_of(dag_model)
        if name not in {bundle.name for bundle in airflow().dag_files.bundles()}:
            raise Refused(f"The bundle '{name}' of the DAG '{dag_model.dag_id}' is not in the configuration.")
        bundle = DagBundlesManager().get_bundle(str(name), bundle_version)
        bundle.initialize()
        return os.path.join(bundle.path, relative), str(bundle.path), name

    def _dag_bag(self, path: str, folder: Path, bundle_name: str) -> Any:
        from airflow.dag_processing.dagbag import DagBag

        return DagBag(path, bundle_path=folder, bundle_name=bundle_name, **self._no_examples())

    def _no_examples(self) -> Dict[str, Any]:
        return {}

    # The web server

    def web_workers(self) -> int:
        from airflow.configuration import conf

        return conf.getint("api", "workers", fallback=1)

    def slots(self) -> Tuple[int, int]:
        slots = min(max(self.web_workers() // 2, 2), 4)
        return slots, slots

    def waiting(self, queue: int, places: int) -> int:
        return queue


class UserCode32(UserCode3):
    """Airflow 3.2."""

    def create_execution_api(self) -> None:
        supervisor: Any = import_module("airflow.sdk.execution_time.supervisor")
        # Before 3.3 each call creates one, which takes seconds.
        supervisor.in_process_api_server = lru_cache(maxsize=None)(supervisor.in_process_api_server)
        super().create_execution_api()

    def _no_examples(self) -> Dict[str, object]:
        # 3.3 has the examples in a bundle.
        return {"include_examples": False}


class UserCode31(UserCode32):
    """Airflow 3.1."""

    modules = (*UserCode3.modules, "airflow.models.dagbag")
    # The SDK has its own since 3.2.
    plugin_managers = ("airflow.plugins_manager",)

    def _dag_bag(self, path: str, folder: Path, bundle_name: str) -> Any:
        # It moved, and got bundle_name, in 3.2.
        from airflow.models.dagbag import DagBag

        return DagBag(path, bundle_path=folder, **self._no_examples())


class UserCode30(UserCode31):
    """Airflow 3.0."""

    # Server and tasks share one module; 3.1 deprecates it.
    maskers = ("airflow.sdk.execution_time.secrets_masker",)
