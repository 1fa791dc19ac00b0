"""What every error of this API is."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, ClassVar, Dict, Iterator, Type

#: The names of RFC 9110; Python has these two since 3.13.
_TITLES = {413: "Content Too Large", 422: "Unprocessable Content"}


@dataclass(eq=False)
class NativeApiError(Exception):
    """
    An error response: its data are its attributes, its detail is ``str(error)``.

    Clients compare ``code``, which does not change when the detail or the class is renamed.
    """

    code: ClassVar[str] = "error"
    status: ClassVar[HTTPStatus] = HTTPStatus.INTERNAL_SERVER_ERROR

    def headers(self) -> Dict[str, str]:
        """Return the HTTP headers that belong to this error."""
        return {}

    def problem(self) -> Dict[str, Any]:
        """Return the body of RFC 9457 (``application/problem+json``) for this error."""
        data = {name: getattr(self, name) for name in self.public_data()}
        return {
            "type": "about:blank",
            "title": title_of(type(self)),
            "status": int(self.status),
            "detail": str(self),
            "code": self.code,
            **{name: value for name, value in data.items() if value is not None},
        }

    @classmethod
    def public_data(cls) -> Iterator[str]:
        """Yield the names of the additional data in a response."""
        return (f.name for f in dataclasses.fields(cls) if f.metadata.get("public", True))


def title_of(error: Type[NativeApiError]) -> str:
    """Return the name of the status of the error."""
    return _TITLES.get(error.status, error.status.phrase)


def kinds(cls: Type[NativeApiError] = NativeApiError) -> Iterator[Type[NativeApiError]]:
    """Yield the error classes that are raised: those with a code of their own, and those without subclasses."""
    children = cls.__subclasses__()
    if not children or (cls is not NativeApiError and "code" in vars(cls)):
        yield cls
    for child in children:
        yield from kinds(child)
