"""Errors of methods, conflicts and invalid requests."""

from __future__ import annotations

from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any, ClassVar, Dict, List, Optional

from native_api.errors.base import NativeApiError


@dataclass(eq=False)
class MethodNotAllowed(NativeApiError):
    """The operation needs another HTTP method."""

    code = "method_not_allowed"
    status = HTTPStatus.METHOD_NOT_ALLOWED
    operation: str
    allowed: str

    def __str__(self) -> str:
        return f"The operation '{self.operation}' requires the method {self.allowed}."

    def headers(self) -> Dict[str, str]:
        """Return the ``Allow`` header."""
        return {"Allow": self.allowed}


@dataclass(eq=False)
class Conflict(NativeApiError):
    """The state of Airflow does not allow it now."""

    status = HTTPStatus.CONFLICT


@dataclass(eq=False)
class Refused(Conflict):
    """Airflow refused the request; *detail* has the reason."""

    code = "refused"
    reason: str = field(metadata={"public": False})

    def __str__(self) -> str:
        return self.reason


@dataclass(eq=False)
class SomeExist(Conflict):
    """Entries to add exist already."""

    nouns: ClassVar[str] = "things"
    keys: List[str]

    def __str__(self) -> str:
        return f"These {self.nouns} exist already: {', '.join(self.keys)}."


@dataclass(eq=False)
class VariablesExist(SomeExist):
    """Variables to add exist already."""

    code = "variables_exist"
    nouns = "variables"


@dataclass(eq=False)
class ConnectionsExist(SomeExist):
    """Connections to add exist already."""

    code = "connections_exist"
    nouns = "connections"


@dataclass(eq=False)
class PoolsExist(SomeExist):
    """Pools to add exist already."""

    code = "pools_exist"
    nouns = "pools"


@dataclass(eq=False)
class ConnectionExists(Conflict):
    """A connection with that id exists already."""

    code = "connection_exists"
    conn_id: str

    def __str__(self) -> str:
        return f"The connection '{self.conn_id}' already exists; use replace to replace it."


@dataclass(eq=False)
class DefaultPool(Conflict):
    """The default pool cannot be deleted."""

    code = "default_pool"
    name: str

    def __str__(self) -> str:
        return f"The pool '{self.name}' is the default pool and cannot be deleted."


@dataclass(eq=False)
class DagRunExists(Conflict):
    """The DAG already has a run with that id or date."""

    code = "dag_run_exists"
    dag_id: str
    run_id: str
    logical_date: Optional[str]

    def __str__(self) -> str:
        return f"The run '{self.run_id}' of the DAG '{self.dag_id}' exists already, for the date {self.logical_date}."


@dataclass(eq=False)
class DagRunIsRunning(Conflict):
    """The DAG run is running."""

    code = "dag_run_running"
    dag_id: str
    run_id: str

    def __str__(self) -> str:
        return (
            f"The run '{self.run_id}' of the DAG '{self.dag_id}' is running and cannot be deleted: wait for its end, "
            "or set its state with set_dag_run_state."
        )


@dataclass(eq=False)
class DagIsDefined(Conflict):
    """The DAG's file still defines it."""

    code = "dag_still_defined"
    dag_id: str
    fileloc: Optional[str]

    def __str__(self) -> str:
        return f"The DAG '{self.dag_id}' is still defined by {self.fileloc}: remove it there first, or use force."


@dataclass(eq=False)
class DagHasImportErrors(Conflict):
    """The DAG's file has import errors, so its tasks cannot run."""

    code = "dag_has_import_errors"
    dag_id: str
    fileloc: Optional[str] = None

    def __str__(self) -> str:
        where = f", in {self.fileloc}," if self.fileloc else ""
        return f"The DAG '{self.dag_id}' has import errors{where} and cannot be triggered; see list_import_errors."


@dataclass(eq=False)
class DagNotLoaded(Conflict):
    """The DAG's file does not define the DAG any more."""

    code = "dag_not_loaded"
    dag_id: str
    fileloc: str
    import_error: Optional[str] = field(default=None, metadata={"of_user_code": True})

    def __str__(self) -> str:
        if self.import_error:
            return f"The file of the DAG '{self.dag_id}' does not load: {self.import_error.strip().splitlines()[-1]}"
        return f"The file {self.fileloc} does not define the DAG '{self.dag_id}' any longer."


@dataclass(eq=False)
class DagFileMissing(Conflict):
    """The file of a DAG is not on this host."""

    code = "dag_file_missing"
    dag_id: str
    file: str
    bundle_name: Optional[str]
    hostname: str

    def __str__(self) -> str:
        return (
            f"The file {self.file}{_of_bundle(self.bundle_name)} of the DAG '{self.dag_id}' is not on the host "
            f"'{self.hostname}'. {_WHERE_FILES_ARE} refresh_all_dags with remove_missing deactivates the DAGs of "
            "deleted files."
        )


@dataclass(eq=False)
class DagFileOutdated(Conflict):
    """The DAG's file on this host is older than the code that Airflow has recorded."""

    code = "dag_file_outdated"
    dag_id: str
    file: str
    bundle_name: Optional[str]
    hostname: str
    recorded_at: str

    def __str__(self) -> str:
        return (
            f"The file {self.file}{_of_bundle(self.bundle_name)} of the DAG '{self.dag_id}' on the host "
            f"'{self.hostname}' differs from the code that Airflow recorded at {self.recorded_at}, and was last "
            "changed before that. Bring the file up to date; if it is the newer one, touch it."
        )


@dataclass(eq=False)
class DagFilesMissing(Conflict):
    """A folder that active DAGs are in has no DAG files on this host."""

    code = "dag_files_missing"
    folder: str
    bundle_name: Optional[str]
    hostname: str
    active_dags: int

    def __str__(self) -> str:
        return (
            f"The folder {self.folder}{_of_bundle(self.bundle_name)} has no DAG files on the host '{self.hostname}', "
            f"and the database has {self.active_dags} active DAG(s) of it. {_WHERE_FILES_ARE}"
        )


_WHERE_FILES_ARE = "Mount the DAG files there, or call a web server that has them."


def _of_bundle(bundle_name: Optional[str]) -> str:
    return "" if bundle_name is None else f" (bundle '{bundle_name}')"


@dataclass(eq=False)
class Invalid(NativeApiError):
    """The request is invalid; *errors* has a message for each invalid field."""

    code = "invalid_arguments"
    status = HTTPStatus.UNPROCESSABLE_ENTITY
    errors: Dict[str, Any]

    def __str__(self) -> str:
        return "; ".join(f"{name}: {_flat(messages)}" for name, messages in self.errors.items())


def _flat(messages: Any) -> str:
    """Return marshmallow's tree of messages as one line."""
    if isinstance(messages, dict):
        return ", ".join(f"{key}: {_flat(value)}" for key, value in messages.items())
    if isinstance(messages, (list, tuple)):
        return " ".join(_flat(message) for message in messages)
    return str(messages)
