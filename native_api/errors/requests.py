"""Errors of requests that cannot be read."""

from __future__ import annotations

from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Dict

from native_api.errors.base import NativeApiError


@dataclass(eq=False)
class BadRequest(NativeApiError):
    """The request cannot be read."""

    code = "bad_request"
    status = HTTPStatus.BAD_REQUEST
    reason: str = field(metadata={"public": False})

    def __str__(self) -> str:
        return self.reason


@dataclass(eq=False)
class NotAcceptable(NativeApiError):
    """The Accept header excludes JSON."""

    code = "not_acceptable"
    status = HTTPStatus.NOT_ACCEPTABLE
    accept: str

    def __str__(self) -> str:
        return f"Responses are application/json, which 'Accept: {self.accept}' excludes; omit the header, or add it."


@dataclass(eq=False)
class UnsupportedMediaType(NativeApiError):
    """The media type of the body is not supported."""

    code = "unsupported_media_type"
    status = HTTPStatus.UNSUPPORTED_MEDIA_TYPE
    content_type: str

    def __str__(self) -> str:
        return (
            f"A body of type '{self.content_type}' is not supported; send application/json, "
            "application/x-www-form-urlencoded or multipart/form-data."
        )


@dataclass(eq=False)
class BodyTooLarge(NativeApiError):
    """The body is larger than the configuration allows."""

    code = "body_too_large"
    status = HTTPStatus.REQUEST_ENTITY_TOO_LARGE
    limit_bytes: int
    option: str

    def __str__(self) -> str:
        return f"The body is larger than {self.limit_bytes} bytes, the maximum of the option {self.option}."


@dataclass(eq=False)
class FormTooLarge(NativeApiError):
    """The form has too many fields, or too much data besides its files."""

    code = "form_too_large"
    status = HTTPStatus.REQUEST_ENTITY_TOO_LARGE
    parts: int
    limit_bytes: int
    option: str

    def __str__(self) -> str:
        return (
            f"The form has more than {self.parts} parts, or besides its files more than {self.limit_bytes} bytes, "
            f"the maximum of the option {self.option}."
        )


@dataclass(eq=False)
class BodyCutOff(BadRequest):
    """The body ended before it was complete; the request had no effect."""

    code = "body_cut_off"
    reason: str = field(default="The body ended before it was complete.", metadata={"public": False})


@dataclass(eq=False)
class BodyTooSlow(NativeApiError):
    """The body was not received within the timeout."""

    code = "body_too_slow"
    status = HTTPStatus.REQUEST_TIMEOUT
    seconds: int
    option: str

    def __str__(self) -> str:
        return f"The body was not received within {self.seconds} s, the timeout of the option {self.option}."


@dataclass(eq=False)
class TooManyBodies(NativeApiError):
    """The server is already receiving the maximum number of request bodies."""

    code = "too_many_bodies"
    status = HTTPStatus.SERVICE_UNAVAILABLE
    option: str
    retry_after_seconds: int = 5

    def __str__(self) -> str:
        return f"The server is receiving as many request bodies as the option {self.option} allows; try again."

    def headers(self) -> Dict[str, str]:
        """Return the ``Retry-After`` header, in seconds."""
        return {"Retry-After": str(self.retry_after_seconds)}
