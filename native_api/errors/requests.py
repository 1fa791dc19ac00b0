"""Requests that could not be read."""

from __future__ import annotations

from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Optional

from native_api.errors.base import NativeApiError


@dataclass(eq=False)
class BadRequest(NativeApiError):
    """The request could not be read at all."""

    code = "bad_request"
    status = HTTPStatus.BAD_REQUEST
    reason: str = field(metadata={"public": False})

    def __str__(self) -> str:
        return self.reason


@dataclass(eq=False)
class UnsupportedMediaType(NativeApiError):
    """The body is of a type that the API does not read."""

    code = "unsupported_media_type"
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

    code = "body_too_large"
    status = HTTPStatus.REQUEST_ENTITY_TOO_LARGE
    limit_bytes: Optional[int] = None

    def __str__(self) -> str:
        limit = "the server allows" if self.limit_bytes is None else f"{self.limit_bytes} bytes"
        return f"The body is larger than {limit}."
