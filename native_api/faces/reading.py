"""How a request is read: what a client should have quoted is quoted, and no body is larger than is allowed."""

from __future__ import annotations

import string
from typing import Any, Optional
from urllib.parse import quote

from flask import request

from native_api import settings
from native_api.errors import BodyTooLarge

#: What a form with a file may have besides the file, in bytes.
_FORM_BYTES = 65536


def quote_query() -> None:
    """Make bytes of the query string that the client should have quoted what they would be then."""
    request.query_string = quote(request.query_string, safe=string.printable).encode()


def bound_body() -> None:
    """Refuse a body that is too large: by the length it has, else while it is read."""
    limit = _limit()
    if request.max_content_length is not None:
        limit = min(limit, int(request.max_content_length))
    if request.method in ("GET", "HEAD"):
        return
    length = request.content_length or 0
    if length > limit:
        # A client that is still sending would be cut off, and see that in place of the answer.
        _discard(min(length, 2 * limit))
        raise BodyTooLarge(limit)
    # Werkzeug's own limit of a form is half a megabyte.
    request.max_form_memory_size = limit
    request.environ["wsgi.input"] = _Bounded(request.environ["wsgi.input"], limit)


def _limit() -> int:
    """Return how large the body of this request may be: that of a deployment has a file in it."""
    name = (request.view_args or {}).get("name", request.args.get("api"))
    limit: int = settings.get("body_bytes")
    return max(limit, largest_upload()) if name == "deploy_dag" else limit


def largest_upload() -> int:
    """Return how large a body may be that has a file of DAGs in it, and what belongs to a form besides."""
    limit: int = settings.get("upload_bytes")
    return limit + _FORM_BYTES


def _discard(size: int) -> None:
    stream = request.environ["wsgi.input"]
    while size > 0:
        piece = stream.read(min(size, 65536))
        if not piece:
            return
        size -= len(piece)


class _Bounded:
    """A stream that gives no more than *limit* bytes."""

    def __init__(self, stream: Any, limit: int) -> None:
        self._stream, self._left, self._limit = stream, limit, limit

    def read(self, size: Optional[float] = -1) -> bytes:
        return self._counted(self._stream.read(self._allowed(size)))

    def readline(self, size: Optional[float] = -1) -> bytes:
        return self._counted(self._stream.readline(self._allowed(size)))

    def _allowed(self, size: Optional[float]) -> int:
        # Airflow 2's own limit is a float, which gunicorn's stream does not take.
        return self._left + 1 if size is None or size < 0 else min(int(size), self._left + 1)

    def _counted(self, data: bytes) -> bytes:
        self._left -= len(data)
        # Werkzeug cuts a body of unknown length off at its own limit, and asks for no more.
        if self._left < 0 or (data and not self._left and self._stream.read(1)):
            raise BodyTooLarge(self._limit)
        return data
