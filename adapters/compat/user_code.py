"""What a process needs that runs DAG code: Airflow imported, connections of its own, the DAG's file."""

from __future__ import annotations

import logging
import os
import sys
from functools import lru_cache
from importlib import import_module
from pathlib import Path
from typing import Any, Callable, Dict, FrozenSet, Iterable, List, Mapping, Optional, Tuple

from native_api.adapters.compat.installed import airflow
from native_api.errors import DagFileMissing, DagNotLoaded, Refused

log = logging.getLogger(__name__)

#: Takes regular expressions that match secrets.
Tell = Callable[[List[str]], None]


#: What providers' auth managers, and flower, have in the configuration of the web server.
_OF_PROVIDERS = {("keycloak_auth_manager", "client_secret"): False, ("celery", "flower_basic_auth"): False}


class UserCode:
    """The newest Airflow, 3.3."""

    #: Every module that keeps secrets to mask: one for the server and one for tasks.
    maskers: Tuple[str, ...] = (
        "airflow._shared.secrets_masker.secrets_masker",
        "airflow.sdk._shared.secrets_masker.secrets_masker",
    )
    #: Options that are the web server's alone and secret, and whether something random takes their place in jobs. The
    #: API that tasks ask in their own process wants a secret of its tokens, but lets all of them in.
    secrets_of_web_server: Mapping[Tuple[str, str], bool] = {
        ("api", "secret_key"): True,
        ("api_auth", "jwt_secret"): True,
        ("api_auth", "jwt_private_key_path"): False,
        **_OF_PROVIDERS,
    }
    #: Those of all Airflows: variables that were set for an older one are there still.
    secrets_of_web_servers: FrozenSet[Tuple[str, str]] = frozenset(
        {*secrets_of_web_server, ("webserver", "secret_key"), ("core", "internal_api_secret_key")}
    )
    #: Imported before any job, so that none of them pays for it.
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
    )

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

    def make_api(self) -> None:
        """Make the in-process execution API, which tasks ask; its first request costs seconds."""
        from asyncio import run

        from airflow.sdk.execution_time.supervisor import in_process_api_server
        from httpx import ASGITransport, AsyncClient

        async def ask() -> None:
            transport = ASGITransport(app=in_process_api_server().app)
            async with AsyncClient(transport=transport, base_url="http://in-process") as client:
                await client.get("/no-such-page")

        run(ask())

    def enter(self) -> None:
        """Make this fork a process of its own, which finds what is in the database."""
        # Outside of a server the SDK looks for variables and connections in the environment only.
        os.environ["_AIRFLOW_PROCESS_CONTEXT"] = "server"
        self.leave_connections()
        # What is printed is all there is to be read of a job.
        logging.getLogger("airflow.task").propagate = True

    def leave_connections(self) -> None:
        """Have this process open its own connections to the database; its parent's are left to that."""
        from airflow import settings

        settings.engine.dispose(close=False)  # type: ignore[union-attr]
        settings.reconfigure_orm(disable_connection_pool=True)

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

    def file_of(self, dag_model: Any, bundle_version: Optional[str] = None) -> Tuple[str, str, Optional[str]]:
        """
        Return the whole path of the DAG's file, and that of the bundle it is in, with the bundle's name.

        :raises Refused: this machine's configuration does not have the bundle.
        """
        from airflow.dag_processing.bundles.manager import DagBundlesManager

        name, relative = airflow().syncing.place_of(dag_model)
        if name not in {bundle.name for bundle in airflow().syncing.bundles()}:
            raise Refused(f"The bundle '{name}' of the DAG '{dag_model.dag_id}' is not in the configuration.")
        bundle = DagBundlesManager().get_bundle(str(name), bundle_version)
        bundle.initialize()
        return os.path.join(bundle.path, relative), str(bundle.path), name

    def dag_bag(self, path: str, folder: str, bundle_name: str) -> Any:
        """
        Parse a file, and return what it defines.

        :param folder: the folder of the bundle, which the file's modules are imported from.
        """
        if folder not in sys.path:
            sys.path.append(folder)
        return self._dag_bag(path, Path(folder), bundle_name)

    def _dag_bag(self, path: str, folder: Path, bundle_name: str) -> Any:
        from airflow.dag_processing.dagbag import DagBag

        return DagBag(path, bundle_path=folder, bundle_name=bundle_name, **self._no_examples())

    def _no_examples(self) -> Dict[str, Any]:
        return {}

    # The web server that asks

    def web_workers(self) -> int:
        """Return how many processes answer requests."""
        from airflow.configuration import conf

        return conf.getint("api", "workers", fallback=1)

    def slots(self) -> Tuple[int, int]:
        """Return how many jobs run at once where the configuration does not say so: for requests, in the background."""
        slots = min(max(self.web_workers() // 2, 2), 4)
        return slots, slots

    def waiting(self, queue: int, places: int) -> int:
        """Return how many requests may wait for a place, of *queue* that the configuration allows."""
        return queue


class UserCode32(UserCode):
    """Airflow 3.2."""

    def make_api(self) -> None:
        supervisor: Any = import_module("airflow.sdk.execution_time.supervisor")
        # Before 3.3 whoever asks for one makes one, which takes seconds.
        supervisor.in_process_api_server = lru_cache(maxsize=None)(supervisor.in_process_api_server)
        super().make_api()

    def _no_examples(self) -> Dict[str, Any]:
        # 3.3 has the examples in a bundle.
        return {"include_examples": False}


class UserCode31(UserCode32):
    """Airflow 3.1."""

    modules = (*UserCode.modules, "airflow.models.dagbag")

    def _dag_bag(self, path: str, folder: Path, bundle_name: str) -> Any:
        # It moved, and learnt of the bundle's name, in 3.2.
        from airflow.models.dagbag import DagBag

        return DagBag(path, bundle_path=folder, **self._no_examples())


class UserCode30(UserCode31):
    """Airflow 3.0."""

    # Server and tasks share one; 3.1 only warns of this name.
    maskers = ("airflow.sdk.execution_time.secrets_masker",)


LINES = (((3, 3), UserCode), ((3, 2), UserCode32), ((3, 1), UserCode31), ((3, 0), UserCode30))


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
