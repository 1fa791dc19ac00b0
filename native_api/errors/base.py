"""What every error of this API is."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, ClassVar, Dict

#: The names of RFC 9110; Python has these two since 3.13.
_TITLES = {413: "Content Too Large", 422: "Unprocessable Content"}


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
            "title": _TITLES.get(self.status, self.status.phrase),
            "status": int(self.status),
            "detail": str(self),
            **{name: value for name, value in data.items() if value is not None},
        }
