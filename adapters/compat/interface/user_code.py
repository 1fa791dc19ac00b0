"""What a process needs that runs DAG code: Airflow imported, connections of its own, the DAG's file."""

from __future__ import annotations

import logging
import os
import sys
from abc import ABC, abstractmethod
from importlib import import_module
from pathlib import Path
from typing import Any, Callable, FrozenSet, Iterable, List, Mapping, Optional, Tuple

from native_api.errors import DagFileMissing, DagNotLoaded

log = logging.getLogger(__name__)


#: Takes regular expressions that match secrets.
Tell = Callable[[List[str]], None]


#: What providers' auth managers, and flower, have in the configuration of the web server.
SECRETS_OF_PROVIDERS = {("keycloak_auth_manager", "client_secret"): False, ("celery", "flower_basic_auth"): False}


class UserCode(ABC):
    """What processes that run DAG code need."""

    #: Every module that keeps secrets to mask: one for the server and one for tasks.
    maskers: Tuple[str, ...]

    #: Options that are the web server's alone and secret, and whether something random takes their place in jobs. The
    #: API that tasks ask in their own process wants a secret of its tokens, but lets all of them in.
    secrets_of_web_server: Mapping[Tuple[str, str], bool]

    #: Those of all Airflows: variables that were set for an older one are there still.
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

    #: Imported before any job, so that none of them pays for it.
    modules: Tuple[str, ...]

    def preload(self) -> None:
        """Import what jobs need; what this Airflow does not have is left out."""
        from airflow.models import import_all_models
        from sqlalchemy.orm import configure_mappers

        for module in self.modules:
            try:
                import_module(module)
            except ImportError as exc:
                log.debug("Not preloaded: %s: %s", module, exc)
        import_all_models()
        # Else each job does that with its first query.
        configure_mappers()

    @abstractmethod
    def make_api(self) -> None:
        """Make the in-process execution API, which tasks ask; its first request costs seconds."""

    def enter(self) -> None:
        """Make this fork a process of its own, which finds what is in the database."""
        # Outside of a server the SDK looks for variables and connections in the environment only.
        os.environ["_AIRFLOW_PROCESS_CONTEXT"] = "server"
        self.leave_connections()
        # What is printed is all there is to be read of a job.
        logging.getLogger("airflow.task").propagate = True

    @abstractmethod
    def leave_connections(self) -> None:
        """Have this process open its own connections to the database; its parent's are left to that."""

    def watch_secrets(self, tell: Tell) -> None:
        """Tell the patterns of the secrets that are masked, and of those that come to be."""
        for module in self.maskers:
            _watch(import_module(module)._secrets_masker(), tell)

    def mask(self, texts: Iterable[str]) -> None:
        """Have those texts masked."""
        for module in self.maskers:
            masker = import_module(module)._secrets_masker()
            for text in texts:
                masker.add_mask(text)

    # The file of a DAG

    def dag(self, dag_model: Any, bundle_version: Optional[str] = None) -> Any:
        """
        Return the DAG as its file defines it now, or as it did in that version of its bundle.

        :raises DagFileMissing: this machine does not have the file.
        :raises DagNotLoaded: the file does not load, or does not define it.
        """
        path, folder, bundle_name = self.file_of(dag_model, bundle_version)
        if not os.path.exists(path):
            raise DagFileMissing(dag_model.dag_id, path, bundle_name, os.uname().nodename)
        bag = self.dag_bag(path, folder, bundle_name or "")
        return _dag_in(bag, dag_model.dag_id, path)

    @abstractmethod
    def file_of(self, dag_model: Any, bundle_version: Optional[str] = None) -> Tuple[str, str, Optional[str]]:
        """
        Return the whole path of the DAG's file, and that of the bundle it is in, with the bundle's name.

        :raises Refused: this machine's configuration does not have the bundle.
        """

    def dag_bag(self, path: str, folder: str, bundle_name: str) -> Any:
        """
        Parse a file, and return what it defines.

        :param folder: the folder of the bundle, which the file's modules are imported from.
        """
        if folder not in sys.path:
            sys.path.append(folder)
        return self._dag_bag(path, Path(folder), bundle_name)

    @abstractmethod
    def _dag_bag(self, path: str, folder: Path, bundle_name: str) -> Any: ...

    # The web server that asks

    @abstractmethod
    def web_workers(self) -> int:
        """Return how many processes answer requests."""

    @abstractmethod
    def slots(self) -> Tuple[int, int]:
        """Return how many jobs run at once where the configuration does not say so: for requests, in the background."""

    @abstractmethod
    def waiting(self, queue: int, places: int) -> int:
        """Return how many requests may wait for a place, of *queue* that the configuration allows."""


def _watch(masker: Any, tell: Tell) -> None:
    known = set(masker.patterns)
    tell(sorted(known))
    add_mask = masker.add_mask

    def add_and_tell(*args: Any, **kwargs: Any) -> None:
        add_mask(*args, **kwargs)
        new = masker.patterns - known
        known.update(new)
        if new:
            tell(sorted(new))

    masker.add_mask = add_and_tell


def _dag_in(bag: Any, dag_id: str, path: str) -> Any:
    dag = bag.dags.get(dag_id)
    if dag is None:
        raise DagNotLoaded(dag_id, path, "\n".join(bag.import_errors.values()) or None)
    return dag
