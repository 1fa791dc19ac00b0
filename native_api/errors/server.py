"""Errors of the server."""

from __future__ import annotations

from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Dict

from native_api.errors.base import NativeApiError


@dataclass(eq=False)
class Unforeseen(NativeApiError):
    """Unexpected error; the web server's log has the traceback under the id."""

    code = "internal_error"
    error_id: str

    def __str__(self) -> str:
        return f"An unexpected error occurred; search the web server's log for the id {self.error_id}."


@dataclass(eq=False)
class NotSupported(NativeApiError):
    """The operation is not available in this version of Airflow."""

    code = "not_supported"
    status = HTTPStatus.NOT_IMPLEMENTED
    operation: str
    reason: str = field(metadata={"public": False})

    def __str__(self) -> str:
        return self.reason


@dataclass(eq=False)
class DatabaseUnavailable(NativeApiError):
    """Airflow's metadata database is not available."""

    code = "database_unavailable"
    status = HTTPStatus.SERVICE_UNAVAILABLE
    retry_after_seconds: int = 5

    def __str__(self) -> str:
        return "Airflow's metadata database is not available; try again."

    def headers(self) -> Dict[str, str]:
        """Return the ``Retry-After`` header, in seconds."""
        return {"Retry-After": str(self.retry_after_seconds)}


@dataclass(eq=False)
class DatabaseBusy(DatabaseUnavailable):
    """The database cancelled the transaction, because others hold locks that it needs."""

    code = "database_busy"
    retry_after_seconds: int = 1
    #: Whether the same transaction is repeated at once, which can end a deadlock; a lock that was waited for is not.
    is_repeatable: bool = field(default=False, metadata={"public": False})

    def __str__(self) -> str:
        return "Other transactions hold locks in Airflow's metadata database that this one needs; try again."
