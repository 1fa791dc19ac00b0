"""The process that runs DAG code: its imports, its database connections and the DAG file."""

from __future__ import annotations

import logging
import os
import sys
from abc import ABC, abstractmethod
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, Callable, FrozenSet, Iterable, List, Mapping, Optional, Set, Tuple

from jinja2 import Environment
from sqlalchemy.orm import configure_mappers
from sqlalchemy.pool import NullPool

from native_api.errors import DagFileMissing, DagNotLoaded
from native_api.host import hostname

if TYPE_CHECKING:
    from airflow.models.dag import DagModel

log = logging.getLogger(__name__)


#: Receives regular expressions that match secrets.
Report = Callable[[List[str]], None]


#: The format of Airflow 2's task logs.
_LOG_FORMAT = "[%(asctime)s] {%(filename)s:%(lineno)d} %(levelname)s - %(message)s"


#: The secrets of providers' auth managers, and of Flower, in the configuration of the web server.
SECRETS_OF_PROVIDERS = {("keycloak_auth_manager", "client_secret"): False, ("celery", "flower_basic_auth"): False}


class UserCode(ABC):
    """The process that runs DAG code."""

    #: The modules with a secrets masker: one for the server and one for tasks.
    maskers: Tuple[str, ...]

    #: The secret options of the web server, and whether a job gets a random value instead. The in-process execution
    #: API needs a secret for its tokens, but accepts all of them.
    secrets_of_web_server: Mapping[Tuple[str, str], bool]

    #: Those of every Airflow: environment variables can remain from an older one.
    secrets_of_web_servers: FrozenSet[Tuple[str, str]] = frozenset(
        {
            ("api", "secret_key"),
            ("api_auth", "jwt_secret"),
            ("api_auth", "jwt_private_key_path"),
            ("webserver", "secret_key"),
            ("core", "internal_api_secret_key"),
            *SECRETS_OF_PROVIDERS,
        }
    )

    #: Imported before the first job, so that no job needs to.
    modules: Tuple[str, ...]

    #: The modules that load Airflow's plugins.
    plugin_managers: Tuple[str, ...] = ("airflow.plugins_manager",)

    def preload(self) -> None:
        """Import the modules that jobs need and that this Airflow has, and load the plugins, as each job would."""
        from airflow.models import import_all_models

        self._read_from_database()
        for module in self.modules:
            try:
                import_module(module)
            except ImportError as exc:
                log.debug("Not preloaded: %s: %s", module, exc)
        import_all_models()
        configure_mappers()
        self.leave_connections()
        for module in self.plugin_managers:
            import_module(module).integrate_macros_plugins()
        # Jinja caches its lexer.
        Environment().from_string("{{ ds }}")

    @abstractmethod
    def create_execution_api(self) -> None:
        """Create the in-process execution API, which tasks call, and send it a request: the first one takes seconds."""

    def enter(self) -> None:
        """Prepare this fork to run DAG code: variables and connections are read from the database."""
        self._read_from_database()
        self.leave_connections()
        # The output of the process is the log of the job.
        logging.getLogger("airflow.task").propagate = True

    def _read_from_database(self) -> None:
        # Outside of a server the SDK reads variables and connections from the environment only.
        os.environ["_AIRFLOW_PROCESS_CONTEXT"] = "server"

    def enter_task(self) -> None:
        """Prepare this fork of a task, which Airflow's executor runs, to run DAG code: its output is its log."""
        root = logging.getLogger()
        for logger in [root, *(root.manager.loggerDict.values())]:
            if isinstance(logger, logging.Logger):
                # Those of the task write to the task log by themselves.
                logger.handlers, logger.propagate = [], True
        handler = logging.StreamHandler(sys.stdout)
        handler.setFormatter(logging.Formatter(_LOG_FORMAT))
        root.addHandler(handler)

    def leave_connections(self) -> None:
        """Forget the database connections that were inherited from the parent, leave those open, and pool none."""
        from airflow import settings

        engine = getattr(settings, "engine", None)
        # A worker of Airflow 3 has no database.
        if engine is not None:
            engine.dispose(close=False)
            if not isinstance(engine.pool, NullPool):
                self._configure_without_pool()

    @abstractmethod
    def _configure_without_pool(self) -> None:
        """Replace the engine by one without a pool."""

    def secrets(self) -> List[str]:
        """Return the regular expressions of the masked secrets."""
        return sorted({pattern for masker in self._maskers() for pattern in masker.patterns})

    def watch_secrets(self, report: Report) -> None:
        """Report the regular expressions of the masked secrets, and of each that is added later."""
        present = self.secrets()
        report(present)
        known = set(present)
        for masker in self._maskers():
            _watch(masker, known, report)

    def mask(self, texts: Iterable[str]) -> None:
        """Mask those texts."""
        for masker in self._maskers():
            for text in texts:
                masker.add_mask(text)

    def _maskers(self) -> List[Any]:
        return [import_module(module)._secrets_masker() for module in self.maskers]

    # The file of a DAG

    def dag(self, dag_model: Any, bundle_version: Optional[str] = None) -> Any:
        """
        Parse the file of a DAG, in a version of its bundle if one is given, and return the DAG.

        :raises DagFileMissing: this host does not have the file.
        :raises DagNotLoaded: the file has an import error, or does not define the DAG.
        """
        path, folder, bundle_name = self.file_of(dag_model, bundle_version)
        if not os.path.exists(path):
            raise DagFileMissing(dag_model.dag_id, path, bundle_name, hostname())
        bag = self.dag_bag(path, folder, bundle_name or "")
        return _dag_in(bag, dag_model.dag_id, path)

    @abstractmethod
    def file_of(self, dag_model: DagModel, bundle_version: Optional[str] = None) -> Tuple[str, str, Optional[str]]:
        """
        Return the absolute path of a DAG's file, and the path and the name of its bundle.

        :raises Refused: the bundle is not configured on this host.
        """

    def dag_bag(self, path: str, folder: str, bundle_name: str) -> Any:
        """
        Parse a file and return its DagBag.

        :param folder: the folder of the bundle, from which the file imports modules.
        """
        if folder not in sys.path:
            sys.path.append(folder)
        return self._dag_bag(path, Path(folder), bundle_name)

    @abstractmethod
    def _dag_bag(self, path: str, folder: Path, bundle_name: str) -> Any: ...

    # The web server

    @abstractmethod
    def web_workers(self) -> int:
        """Return the number of web worker processes."""

    @abstractmethod
    def slots(self) -> Tuple[int, int]:
        """Return the default number of jobs that run at once: within requests, and in the background."""

    @abstractmethod
    def waiting(self, queue: int, places: int) -> int:
        """Return how many requests can wait for a slot, at most *queue*, the configured number."""


def _watch(masker: Any, known: Set[str], report: Report) -> None:
    """Report each regular expression that is added to a masker and is not *known*, and add it to these."""
    add_mask = masker.add_mask

    def add_and_report(*args: object, **kwargs: object) -> None:
        add_mask(*args, **kwargs)
        new = masker.patterns - known
        known.update(new)
        if new:
            report(sorted(new))

    masker.add_mask = add_and_report


def _dag_in(bag: Any, dag_id: str, path: str) -> Any:
    dag = bag.dags.get(dag_id)
    if dag is None:
        raise DagNotLoaded(dag_id, path, "\n".join(bag.import_errors.values()) or None)
    return dag
