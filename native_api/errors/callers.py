"""Errors of authentication and authorization."""

from __future__ import annotations

from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Dict, Optional

from native_api.errors.base import NativeApiError


@dataclass(eq=False)
class Unauthorized(NativeApiError):
    """The credentials are missing or invalid."""

    code = "unauthorized"
    status = HTTPStatus.UNAUTHORIZED
    reason: str = field(metadata={"public": False})
    challenge: Optional[str] = field(default=None, metadata={"public": False})

    def __str__(self) -> str:
        return self.reason

    def headers(self) -> Dict[str, str]:
        """Return the ``WWW-Authenticate`` header."""
        return {"WWW-Authenticate": self.challenge} if self.challenge else {}


@dataclass(eq=False)
class TokenRefused(Unauthorized):
    """The static token is wrong."""

    code = "token_refused"
    reason: str = field(default="Token Authentication Failed", metadata={"public": False})


@dataclass(eq=False)
class Forbidden(NativeApiError):
    """The caller lacks a permission."""

    code = "permission_denied"
    status = HTTPStatus.FORBIDDEN
    permission: str

    def __str__(self) -> str:
        return f"This requires the permission to {self.permission}."


@dataclass(eq=False)
class SensitiveValue(Forbidden):
    """The value is sensitive, and the caller lacks the permission to edit it."""

    code = "sensitive_value"

    def __str__(self) -> str:
        return f"The value is sensitive: reading it requires the permission to {self.permission}."


@dataclass(eq=False)
class EffectNotAllowed(NativeApiError):
    """The configuration disables operations of this effect for the caller."""

    code = "effect_not_allowed"
    status = HTTPStatus.FORBIDDEN
    effect: str
    doing: str = field(metadata={"public": False})
    option: str

    def __str__(self) -> str:
        return f"Operations that {self.doing} are not allowed by the option {self.option}."


@dataclass(eq=False)
class SensitiveForToken(EffectNotAllowed):
    """The value is sensitive, and token_effects does not include write."""

    code = "sensitive_value_for_token"

    def __str__(self) -> str:
        return f"The value is sensitive: reading it requires '{self.effect}' in the option {self.option}."


@dataclass(eq=False)
class CrossSiteRequest(NativeApiError):
    """A credential that browsers send automatically came without proof that a page of Airflow sent the request."""

    code = "cross_site_request"
    status = HTTPStatus.FORBIDDEN
    reason: str = field(metadata={"public": False})

    def __str__(self) -> str:
        return self.reason


@dataclass(eq=False)
class OutsideFolders(NativeApiError):
    """A path is not in the DAGs folder or in a DAG bundle."""

    code = "path_outside_dag_folders"
    status = HTTPStatus.FORBIDDEN
    path: str

    def __str__(self) -> str:
        return f"The path '{self.path}' is neither in the DAGs folder nor in a DAG bundle."


@dataclass(eq=False)
class NotInFilesDir(NativeApiError):
    """A path is not in files_dir, or is not a regular file."""

    code = "path_outside_files_dir"
    status = HTTPStatus.FORBIDDEN
    file: str

    def __str__(self) -> str:
        return f"The path '{self.file}' does not lead to a file below the option [native_api] files_dir."
