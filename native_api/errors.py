"""Every error of this API: its HTTP status, its sentence and its data, and nothing of HTTP besides."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any, ClassVar, Dict, List, Optional


@dataclass(eq=False)
class NativeApiError(Exception):
    """An answer that says what went wrong; its data are its attributes, its sentence is ``str(error)``."""

    status: ClassVar[HTTPStatus] = HTTPStatus.INTERNAL_SERVER_ERROR

    def headers(self) -> Dict[str, str]:
        """Return the HTTP headers that belong to this error."""
        return {}

    def problem(self) -> Dict[str, Any]:
        """Return the body of RFC 9457 (``application/problem+json``) for this error."""
        data = {f.name: getattr(self, f.name) for f in dataclasses.fields(self) if f.metadata.get("public", True)}
        return {
            "type": "about:blank",
            "title": self.status.phrase,
            "status": int(self.status),
            "detail": str(self),
            **{name: value for name, value in data.items() if value is not None},
        }


# 400: the request could not be read


@dataclass(eq=False)
class BadRequest(NativeApiError):
    """The request could not be read at all."""

    status = HTTPStatus.BAD_REQUEST
    reason: str = field(metadata={"public": False})

    def __str__(self) -> str:
        return self.reason


@dataclass(eq=False)
class UnsupportedMediaType(NativeApiError):
    """The body is of a type that the API does not read."""

    status = HTTPStatus.UNSUPPORTED_MEDIA_TYPE
    content_type: str

    def __str__(self) -> str:
        return (
            f"A body of type '{self.content_type}' is not read here; send application/json, "
            "application/x-www-form-urlencoded or multipart/form-data."
        )


@dataclass(eq=False)
class BodyTooLarge(NativeApiError):
    """The body is larger than the server allows."""

    status = HTTPStatus.REQUEST_ENTITY_TOO_LARGE
    limit_bytes: Optional[int] = None

    def __str__(self) -> str:
        limit = "the server allows" if self.limit_bytes is None else f"{self.limit_bytes} bytes"
        return f"The body is larger than {limit}."


# 401 and 403: who is calling, and may they


@dataclass(eq=False)
class Unauthorized(NativeApiError):
    """The credentials are missing, or are not those of anybody here."""

    status = HTTPStatus.UNAUTHORIZED
    reason: str = field(metadata={"public": False})
    challenge: Optional[str] = field(default=None, metadata={"public": False})

    def __str__(self) -> str:
        return self.reason

    def headers(self) -> Dict[str, str]:
        return {"WWW-Authenticate": self.challenge} if self.challenge else {}


@dataclass(eq=False)
class TokenRefused(Unauthorized):
    """The static token is not the one that is configured."""

    reason: str = field(default="Token Authentication Failed", metadata={"public": False})


@dataclass(eq=False)
class Forbidden(NativeApiError):
    """The caller is known and lacks a right."""

    status = HTTPStatus.FORBIDDEN
    permission: str

    def __str__(self) -> str:
        return f"This needs the permission to {self.permission}."


@dataclass(eq=False)
class SensitiveValue(Forbidden):
    """The value is sensitive, and the caller may not edit it: a mask would be stored as if it were the value."""

    def __str__(self) -> str:
        return f"The value is sensitive: reading it needs the permission to {self.permission}."


@dataclass(eq=False)
class EffectNotAllowed(NativeApiError):
    """The configuration keeps this caller from operations of this effect."""

    status = HTTPStatus.FORBIDDEN
    effect: str
    option: str

    def __str__(self) -> str:
        return f"Operations that {self.effect} are not allowed by the option {self.option}."


@dataclass(eq=False)
class CrossSiteRequest(NativeApiError):
    """A credential that browsers send by themselves came without the proof that a page of Airflow sent it."""

    status = HTTPStatus.FORBIDDEN
    reason: str = field(metadata={"public": False})

    def __str__(self) -> str:
        return self.reason


@dataclass(eq=False)
class OutsideFolders(NativeApiError):
    """A path leads out of the folders that Airflow reads DAGs from."""

    status = HTTPStatus.FORBIDDEN
    path: str

    def __str__(self) -> str:
        return f"The path '{self.path}' lies neither in the DAGs folder nor in a DAG bundle."


@dataclass(eq=False)
class NotInFilesDir(NativeApiError):
    """A path leads out of the folder for files on the server, or to what is no file."""

    status = HTTPStatus.FORBIDDEN
    file: str

    def __str__(self) -> str:
        return f"The path '{self.file}' does not lead to a file below the option [native_api] files_dir."


# 404: it is not there


@dataclass(eq=False)
class NotFound(NativeApiError):
    """Something that the request names does not exist."""

    status = HTTPStatus.NOT_FOUND


@dataclass(eq=False)
class Missing(NotFound):
    """Airflow did not find something, and says so in a sentence of its own."""

    reason: str = field(metadata={"public": False})

    def __str__(self) -> str:
        return self.reason


@dataclass(eq=False)
class PageNotFound(NotFound):
    """No page of this API has that address."""

    path: str

    def __str__(self) -> str:
        return f"There is nothing at '{self.path}'; the operations are listed in /native_api/openapi.json."


@dataclass(eq=False)
class OperationNotFound(NotFound):
    """No operation has that name."""

    operation: str

    def __str__(self) -> str:
        return f"There is no operation '{self.operation}'; /native_api/openapi.json lists them."


@dataclass(eq=False)
class DagNotFound(NotFound):
    """No active DAG has that id."""

    dag_id: str

    def __str__(self) -> str:
        return f"The DAG ID '{self.dag_id}' does not exist"


@dataclass(eq=False)
class DagNotBelow(NotFound):
    """The DAG's file is not below the path that the caller named."""

    dag_id: str
    subdir: str

    def __str__(self) -> str:
        return f"The file of the DAG '{self.dag_id}' is not below '{self.subdir}'."


@dataclass(eq=False)
class DagRunNotFound(NotFound):
    """The DAG has no such run."""

    dag_id: str
    run_id: Optional[str] = None
    logical_date: Optional[str] = None

    def __str__(self) -> str:
        which = f"with the id '{self.run_id}'" if self.run_id else f"for the date {self.logical_date}"
        return f"The DAG '{self.dag_id}' has no run {which}."


@dataclass(eq=False)
class TaskNotFound(NotFound):
    """The DAG has no such task."""

    dag_id: str
    task_id: str

    def __str__(self) -> str:
        return f"Task {self.task_id} not found in the DAG '{self.dag_id}'."


@dataclass(eq=False)
class TaskInstanceNotFound(NotFound):
    """The run has no such task instance."""

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

    dag_id: str
    task_id: str
    run_id: str
    map_index: int

    def __str__(self) -> str:
        return f"Airflow has stored no rendered fields of the task '{self.task_id}' in the run '{self.run_id}'."


@dataclass(eq=False)
class TryNotFound(NotFound):
    """The task instance has no such try."""

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

    dag_id: str
    version_number: Optional[int] = None

    def __str__(self) -> str:
        which = "" if self.version_number is None else f" in the version {self.version_number}"
        return f"Airflow has stored no code of the DAG '{self.dag_id}'{which}."


@dataclass(eq=False)
class VariableNotFound(NotFound):
    """No variable has that key."""

    key: str

    def __str__(self) -> str:
        return f"Variable {self.key} does not exist"


@dataclass(eq=False)
class ServerFileNotFound(NotFound):
    """There is no such file on the server."""

    file: str

    def __str__(self) -> str:
        return f"There is no file '{self.file}' below the option [native_api] files_dir."


@dataclass(eq=False)
class ConnectionNotFound(NotFound):
    """No connection has that id."""

    conn_id: str

    def __str__(self) -> str:
        return f"There is no connection '{self.conn_id}'."


@dataclass(eq=False)
class PoolNotFound(NotFound):
    """No pool has that name."""

    name: str

    def __str__(self) -> str:
        return f"Pool '{self.name}' doesn't exist"


# 405, 409, 422: not this way, not now, not like that


@dataclass(eq=False)
class MethodNotAllowed(NativeApiError):
    """The operation is called by another HTTP method."""

    status = HTTPStatus.METHOD_NOT_ALLOWED
    operation: str
    allowed: str

    def __str__(self) -> str:
        return f"The operation '{self.operation}' is called by {self.allowed}."

    def headers(self) -> Dict[str, str]:
        return {"Allow": self.allowed}


@dataclass(eq=False)
class Conflict(NativeApiError):
    """The state of Airflow does not allow it now."""

    status = HTTPStatus.CONFLICT


@dataclass(eq=False)
class Refused(Conflict):
    """Airflow refused, and says why in a sentence of its own."""

    reason: str = field(metadata={"public": False})

    def __str__(self) -> str:
        return self.reason


@dataclass(eq=False)
class VariablesExist(Conflict):
    """Variables that were to be new are there already."""

    keys: List[str]

    def __str__(self) -> str:
        return f"These variables exist already: {', '.join(self.keys)}."


@dataclass(eq=False)
class ConnectionExists(Conflict):
    """A connection has that id already."""

    conn_id: str

    def __str__(self) -> str:
        return f"There is a connection '{self.conn_id}' already; replace puts another one in its place."


@dataclass(eq=False)
class DefaultPool(Conflict):
    """Airflow needs its default pool."""

    name: str

    def __str__(self) -> str:
        return f"The pool '{self.name}' is the one of every task that names none; it cannot be deleted."


@dataclass(eq=False)
class DagRunExists(Conflict):
    """The DAG has a run with that id or date already."""

    dag_id: str
    run_id: str
    logical_date: Optional[str]

    def __str__(self) -> str:
        return f"The run '{self.run_id}' of the DAG '{self.dag_id}' exists already, for the date {self.logical_date}."


@dataclass(eq=False)
class DagIsDefined(Conflict):
    """The DAG's file still defines it."""

    dag_id: str
    fileloc: Optional[str]

    def __str__(self) -> str:
        return f"The DAG '{self.dag_id}' is still defined by {self.fileloc}: remove it there first, or use force."


@dataclass(eq=False)
class DagHasImportErrors(Conflict):
    """The DAG's file does not load at present, so that its tasks could not run."""

    dag_id: str

    def __str__(self) -> str:
        return f"The DAG '{self.dag_id}' has import errors and cannot be triggered."


@dataclass(eq=False)
class Invalid(NativeApiError):
    """The request was read and is not valid; *errors* names what is wrong with each field."""

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


# 500 and above: the server


@dataclass(eq=False)
class Unforeseen(NativeApiError):
    """An error nobody thought of; the id finds it in the server's log."""

    error_id: str

    def __str__(self) -> str:
        return f"An unforeseen error happened; the server's log has it under the id {self.error_id}."


@dataclass(eq=False)
class NotSupported(NativeApiError):
    """The operation does not exist here."""

    status = HTTPStatus.NOT_IMPLEMENTED
    operation: str
    reason: str = field(metadata={"public": False})

    def __str__(self) -> str:
        return self.reason


@dataclass(eq=False)
class DatabaseUnavailable(NativeApiError):
    """Airflow's metadata database does not answer."""

    status = HTTPStatus.SERVICE_UNAVAILABLE
    retry_after_seconds: int = 5

    def __str__(self) -> str:
        return "Airflow's metadata database does not answer; try again."

    def headers(self) -> Dict[str, str]:
        return {"Retry-After": str(self.retry_after_seconds)}
