"""Why a DAG file was not deployed."""

from __future__ import annotations

from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Dict, List, Optional

from native_api.errors.base import NativeApiError
from native_api.errors.conflicts import Conflict
from native_api.errors.missing import NotFound


@dataclass(eq=False)
class DagFileExists(Conflict):
    """The DAG file exists already, and the caller did not ask to replace it."""

    code = "dag_file_exists"
    path: str
    hostname: str

    def __str__(self) -> str:
        return f"The file '{self.path}' already exists on host '{self.hostname}'; force replaces it."


@dataclass(eq=False)
class DagsFolderReadOnly(Conflict):
    """The DAGs folder, or a folder in it, cannot be written on this host."""

    code = "dags_folder_read_only"
    folder: str
    bundle_name: Optional[str]
    hostname: str

    def __str__(self) -> str:
        of_bundle = "" if self.bundle_name is None else f" of the bundle '{self.bundle_name}'"
        return (
            f"The folder {self.folder}{of_bundle} cannot be written on the host '{self.hostname}': mount it writable "
            "there, or deploy through a web server that can write it."
        )


@dataclass(eq=False)
class DagFileNotFound(NotFound):
    """There is no such DAG file."""

    code = "dag_file_not_found"
    path: str

    def __str__(self) -> str:
        return f"There is no file '{self.path}'."


@dataclass(eq=False)
class DeploymentRuns(Conflict):
    """Another deployment is changing the same DAG file."""

    code = "deployment_running"
    file: str

    def __str__(self) -> str:
        return f"Another deployment of '{self.file}' is in progress."


@dataclass(eq=False)
class DeploymentNotFound(NotFound):
    """No such version of the DAG file is stored."""

    code = "deployment_not_found"
    file: str
    deployment_id: Optional[str] = None
    hostname: Optional[str] = None
    deployed_on: Optional[str] = None

    def __str__(self) -> str:
        which = "earlier version" if self.deployment_id is None else f"deployment '{self.deployment_id}'"
        where = f" on the host '{self.hostname}'" if self.hostname else ""
        sentence = f"There is no {which} of '{self.file}' to roll back to{where}."
        if self.deployed_on:
            sentence += f" It is on the host '{self.deployed_on}': call a web server there."
        return sentence


@dataclass(eq=False)
class DagsElsewhere(Conflict):
    """Other files define DAGs of the file; *dags* maps their ids to those files."""

    code = "dag_defined_elsewhere"
    dags: Dict[str, str]
    hostname: Optional[str] = None

    def __str__(self) -> str:
        where = f", which is not on the host '{self.hostname}'" if self.hostname else ""
        sentences = [f"The DAG '{dag_id}' is defined by {file} already{where}" for dag_id, file in _pairs(self.dags)]
        if where:
            sentences.append("refresh_all_dags with remove_missing deactivates the DAGs of deleted files")
        return "; ".join(sentences)


def _pairs(dags: Any) -> Any:
    return sorted(dags.items()) if isinstance(dags, dict) else [(dags, dags)]


@dataclass(eq=False)
class DagFileBroken(NativeApiError):
    """The file does not load."""

    code = "dag_file_broken"
    status = HTTPStatus.UNPROCESSABLE_ENTITY
    import_errors: List[Dict[str, str]]

    def __str__(self) -> str:
        first = next(iter(self.import_errors), None)
        last = first["stacktrace"].strip().splitlines()[-1] if isinstance(first, dict) else ""
        return f"The file does not load: {last}"


@dataclass(eq=False)
class NoDagInFile(NativeApiError):
    """The file defines no DAG."""

    code = "no_dag_in_file"
    status = HTTPStatus.UNPROCESSABLE_ENTITY
    file: str

    def __str__(self) -> str:
        return (
            f"'{self.file}' defines no DAG that Airflow finds: it parses only files that contain the words 'dag' and "
            "'airflow'. allow_empty deploys a module that DAGs import."
        )
