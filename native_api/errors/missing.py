"""Errors of what does not exist."""

from __future__ import annotations

from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Optional

from native_api.errors.base import NativeApiError


@dataclass(eq=False)
class NotFound(NativeApiError):
    """Something that the request names does not exist."""

    status = HTTPStatus.NOT_FOUND


@dataclass(eq=False)
class Missing(NotFound):
    """Airflow did not find something; the message is Airflow's own."""

    code = "not_found"
    reason: str = field(metadata={"public": False})

    def __str__(self) -> str:
        return self.reason


@dataclass(eq=False)
class PageNotFound(NotFound):
    """There is no page at this URL."""

    code = "page_not_found"
    path: str

    def __str__(self) -> str:
        if "//" in self.path:
            return f"There is nothing at '{self.path}': it has two slashes in a row."
        return f"There is nothing at '{self.path}'; the operations are listed in /native_api/openapi.json."


@dataclass(eq=False)
class OperationNotFound(NotFound):
    """No operation has that name."""

    code = "operation_not_found"
    operation: str
    nearest: Optional[str] = None

    def __str__(self) -> str:
        hint = f"; did you mean '{self.nearest}'?" if self.nearest else "."
        return f"There is no operation '{self.operation}'{hint} /native_api/openapi.json lists them."


@dataclass(eq=False)
class DagNotFound(NotFound):
    """No active DAG has that id."""

    code = "dag_not_found"
    dag_id: str
    import_error: Optional[str] = None

    def __str__(self) -> str:
        sentence = f"The DAG ID '{self.dag_id}' does not exist"
        if self.import_error:
            sentence += f": {self.import_error}, which names it, has an import error; see list_import_errors"
        return sentence


@dataclass(eq=False)
class DagNotBelow(NotFound):
    """The DAG's file is not below the path that the caller named."""

    code = "dag_not_in_subdir"
    dag_id: str
    subdir: str

    def __str__(self) -> str:
        return f"The file of the DAG '{self.dag_id}' is not below '{self.subdir}'."


@dataclass(eq=False)
class DagRunNotFound(NotFound):
    """The DAG has no such run."""

    code = "dag_run_not_found"
    dag_id: str
    run_id: Optional[str] = None
    logical_date: Optional[str] = None

    def __str__(self) -> str:
        which = f"with the id '{self.run_id}'" if self.run_id else f"for the date {self.logical_date}"
        return f"The DAG '{self.dag_id}' has no run {which}."


@dataclass(eq=False)
class TaskNotFound(NotFound):
    """The DAG has no such task."""

    code = "task_not_found"
    dag_id: str
    task_id: str

    def __str__(self) -> str:
        return f"Task {self.task_id} not found in the DAG '{self.dag_id}'."


@dataclass(eq=False)
class TaskInstanceNotFound(NotFound):
    """The DAG run has no such task instance."""

    code = "task_instance_not_found"
    dag_id: str
    task_id: str
    run_id: str
    map_index: int
    last_map_index: Optional[int] = None

    def __str__(self) -> str:
        which = f"the task '{self.task_id}'" + (f" with map_index {self.map_index}" if self.map_index >= 0 else "")
        sentence = f"The run '{self.run_id}' of the DAG '{self.dag_id}' has no instance of {which}."
        if self.last_map_index is not None:
            sentence += f" The task is mapped: name a map_index from 0 to {self.last_map_index}."
        return sentence


@dataclass(eq=False)
class NothingRendered(NotFound):
    """No rendered fields are stored for the task instance."""

    code = "rendered_fields_not_found"
    dag_id: str
    task_id: str
    run_id: str
    map_index: int

    def __str__(self) -> str:
        return f"Airflow has stored no rendered fields of the task '{self.task_id}' in the run '{self.run_id}'."


@dataclass(eq=False)
class XComNotFound(NotFound):
    """The task instance has stored no XCom of that key."""

    code = "xcom_not_found"
    dag_id: str
    task_id: str
    run_id: str
    map_index: int
    key: str
    last_map_index: Optional[int] = None

    def __str__(self) -> str:
        which = f" with map_index {self.map_index}" if self.map_index >= 0 else ""
        sentence = f"The task '{self.task_id}'{which} has stored no XCom '{self.key}' in the run '{self.run_id}'."
        if self.last_map_index is not None:
            sentence += f" The task is mapped: name a map_index from 0 to {self.last_map_index}."
        return sentence


@dataclass(eq=False)
class TryNotFound(NotFound):
    """The task instance has no such try."""

    code = "try_not_found"
    dag_id: str
    task_id: str
    run_id: str
    map_index: int
    try_number: int
    latest_try_number: int

    def __str__(self) -> str:
        return (
            f"The task '{self.task_id}' has no try {self.try_number} in the run '{self.run_id}'; "
            f"its latest is {self.latest_try_number}."
        )


@dataclass(eq=False)
class CodeNotStored(NotFound):
    """No code of the DAG is stored, or none of that version."""

    code = "dag_code_not_found"
    dag_id: str
    version_number: Optional[int] = None

    def __str__(self) -> str:
        which = "" if self.version_number is None else f" in the version {self.version_number}"
        return f"Airflow has stored no code of the DAG '{self.dag_id}'{which}."


@dataclass(eq=False)
class VariableNotFound(NotFound):
    """No variable has that key."""

    code = "variable_not_found"
    key: str

    def __str__(self) -> str:
        return f"Variable {self.key} does not exist"


@dataclass(eq=False)
class ServerFileNotFound(NotFound):
    """There is no such file on the server."""

    code = "server_file_not_found"
    file: str

    def __str__(self) -> str:
        return f"There is no file '{self.file}' below the option [native_api] files_dir."


@dataclass(eq=False)
class ConnectionNotFound(NotFound):
    """No connection has that id."""

    code = "connection_not_found"
    conn_id: str

    def __str__(self) -> str:
        return f"There is no connection '{self.conn_id}'."


@dataclass(eq=False)
class PoolNotFound(NotFound):
    """No pool has that name."""

    code = "pool_not_found"
    name: str

    def __str__(self) -> str:
        return f"Pool '{self.name}' doesn't exist"
