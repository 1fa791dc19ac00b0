"""Requests that could not be read."""

from __future__ import annotations

from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Dict

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
    """The body is larger than an option allows."""

    code = "body_too_large"
    status = HTTPStatus.REQUEST_ENTITY_TOO_LARGE
    limit_bytes: int
    option: str

    def __str__(self) -> str:
        return f"The body is larger than {self.limit_bytes} bytes, which is what the option {self.option} allows."


@dataclass(eq=False)
class FormTooLarge(NativeApiError):
    """A form has too many parts, or too much in them besides its files."""

    code = "form_too_large"
    status = HTTPStatus.REQUEST_ENTITY_TOO_LARGE
    parts: int
    limit_bytes: int
    option: str

    def __str__(self) -> str:
        return (
            f"The form has more than {self.parts} parts, or besides its files more than {self.limit_bytes} bytes, "
            f"which is what the option {self.option} allows."
        )


@dataclass(eq=False)
class BodyCutOff(BadRequest):
    """The body ended before it was complete, and nothing was done with it."""

    code = "body_cut_off"
    reason: str = field(default="The body ended before it was complete.", metadata={"public": False})


@dataclass(eq=False)
class BodyTooSlow(NativeApiError):
    """The body did not arrive in time."""

    code = "body_too_slow"
    status = HTTPStatus.REQUEST_TIMEOUT
    seconds: int
    option: str

    def __str__(self) -> str:
        return f"The body did not arrive within {self.seconds} s, which is what the option {self.option} allows."


@dataclass(eq=False)
class TooManyBodies(NativeApiError):
    """The server is receiving as many request bodies as an option allows."""

    code = "too_many_bodies"
    status = HTTPStatus.SERVICE_UNAVAILABLE
    option: str
    retry_after_seconds: int = 5

    def __str__(self) -> str:
        return f"The server is receiving as many request bodies as the option {self.option} allows; try again."

    def headers(self) -> Dict[str, str]:
        return {"Retry-After": str(self.retry_after_seconds)}
