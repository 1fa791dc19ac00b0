"""
Receive request bodies on Airflow 3, whose web server is ASGI, for a WSGI app.

The app runs in one of few threads, where reading the body blocks: a slow client would occupy the thread. So the
app is called without the body first. It refuses the request, or raises :class:`BodyRequired`. Then the body is received
in the event loop, within limits and on disk if it is large, and the app is called again with the complete body.
"""

from __future__ import annotations

import asyncio
import contextlib
import io
import tempfile
from collections import Counter
from dataclasses import dataclass
from typing import IO, Any, Awaitable, Callable, Dict, Iterator, List, Mapping, MutableMapping, Optional, Tuple

from native_api import settings
from native_api.errors import BodyCutOff, BodyTooLarge, BodyTooSlow, NativeApiError, TooManyBodies

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Any, Any, Any], Awaitable[None]]

#: The key of the :class:`Body` in the scope and in the WSGI environment.
KEY = "native_api.body"
#: A larger body is stored on disk, in bytes.
MEMORY_BYTES = 65536
#: The bytes, and the seconds, for which the body of a refused request is read before the connection is closed. A client
#: whose connection closes while it sends does not see the response.
LINGER_BYTES = 2**26
LINGER_SECONDS = 2.0


@dataclass(frozen=True)
class Limit:
    """The maximum size of a body, and the option that sets it."""

    bytes: int
    option: str


@dataclass(frozen=True)
class BodyRequest:
    """The caller whose body the app wants to receive, and its maximum size."""

    caller: str
    limit: Limit


class BodyRequired(Exception):
    """The app needs the body, which has not been received."""


@dataclass
class Body:
    """
    The body of a request, shared by the event loop, which receives it, and the thread of the app.

    *length* is the Content-Length, None for a chunked body. The app sets *requested* when it is called first; when it
    is called again there is a *file* or an *error*.
    """

    length: Optional[int]
    requested: Optional[BodyRequest] = None
    file: Optional[IO[bytes]] = None
    size: int = 0
    error: Optional[Exception] = None
    is_refused: bool = False

    @property
    def is_received(self) -> bool:
        """Whether the body is empty or was received."""
        return self.length == 0 or self.file is not None

    @property
    def is_unread(self) -> bool:
        """Whether the client can still be sending when the response is sent."""
        if self.is_received and self.error is None:
            return False
        return self.is_refused or self.error is not None or self.length is None or self.length > MEMORY_BYTES


class BodyQuota:
    """The limits of the bodies that are being received, of all callers and of each; it is used in one event loop."""

    def __init__(self) -> None:
        self._bodies: Counter[str] = Counter()
        self._bytes: Counter[str] = Counter()

    @contextlib.contextmanager
    def receiving(self, caller: str) -> Iterator[Callable[[int], None]]:
        """
        Count a body; the context manager returns a function that is called with the size of each chunk.

        :raises TooManyBodies: the number or the total size is at its maximum, or at half of that for this caller.
        """
        self._require_room(self._bodies, caller, 1, settings.get("bodies"), "bodies")
        own = 0

        def add_bytes(size: int) -> None:
            nonlocal own
            # The largest DAG file always fits, and one of another caller, too.
            most = max(settings.get("bodies_bytes"), 2 * largest_upload().bytes)
            self._require_room(self._bytes, caller, size, most, "bodies_bytes")
            self._bytes[caller] += size
            own += size

        self._bodies[caller] += 1
        try:
            yield add_bytes
        finally:
            self._subtract(self._bodies, caller, 1)
            self._subtract(self._bytes, caller, own)

    def _require_room(self, counted: Counter[str], caller: str, more: int, most: int, option: str) -> None:
        if sum(counted.values()) + more > most or counted[caller] + more > most // 2:
            raise TooManyBodies(f"[native_api] {option}")

    def _subtract(self, counted: Counter[str], caller: str, count: int) -> None:
        counted[caller] -= count
        if not counted[caller]:
            del counted[caller]


def largest_upload() -> Limit:
    """Return the maximum size of a body with a DAG file, which includes the other fields of the form."""
    return Limit(settings.get("upload_bytes") + MEMORY_BYTES, "[native_api] upload_bytes")


class ReceiveBodyFirst:
    """ASGI middleware for a WSGI app, which receives each body completely before the app reads it."""

    def __init__(self, app: App, room: BodyQuota) -> None:
        self._app = app
        self._room = room

    async def __call__(self, scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        """Handle a request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        body = Body(_content_length(scope["headers"]))
        scope[KEY] = body
        sender = _Sender(scope, body, receive, send)
        await self._app(scope, _receive_nothing, sender.send_unless_required)
        if body.requested is None:
            return
        with contextlib.ExitStack() as stack:
            try:
                body.file = stack.enter_context(tempfile.SpooledTemporaryFile(MEMORY_BYTES))
                add_bytes = stack.enter_context(self._room.receiving(body.requested.caller))
                await _receive(body, body.requested.limit, body.file, add_bytes, receive)
            except (NativeApiError, OSError) as exc:
                body.error = exc
            await self._app(scope, _receive_nothing, sender.send)


async def _receive_nothing() -> Message:
    """Report the client as disconnected, so that reading the body never blocks."""
    return {"type": "http.disconnect"}


def _content_length(headers: List[Tuple[bytes, bytes]]) -> Optional[int]:
    """Return the Content-Length, None for a chunked body."""
    values = dict(headers)
    if b"transfer-encoding" in values:
        return None
    return int(values.get(b"content-length", b"0"))


async def _receive(
    body: Body, limit: Limit, file: IO[bytes], add_bytes: Callable[[int], None], receive: Receive
) -> None:
    """
    Receive a body and write it to a file.

    :param add_bytes: called with the size of each chunk; raises :class:`TooManyBodies`.
    :raises NativeApiError: the body is too large, too slow or incomplete, or the total size is at its maximum.
    """
    loop = asyncio.get_running_loop()
    seconds = settings.get("body_seconds")
    deadline = loop.time() + seconds
    more = True
    while more:
        try:
            message = await asyncio.wait_for(receive(), deadline - loop.time())
        except asyncio.TimeoutError as exc:
            raise BodyTooSlow(seconds, "[native_api] body_seconds") from exc
        if message["type"] != "http.request":
            raise BodyCutOff()
        chunk = message.get("body", b"")
        body.size += len(chunk)
        if body.size > limit.bytes:
            raise BodyTooLarge(limit.bytes, limit.option)
        add_bytes(len(chunk))
        if body.size > MEMORY_BYTES:
            await loop.run_in_executor(None, file.write, chunk)
        else:
            file.write(chunk)
        more = message.get("more_body", False)
    if body.length not in (None, body.size):
        raise BodyCutOff()
    file.seek(0)


class _Sender:
    """Sends the response; it closes the connection if the body is unread."""

    def __init__(self, scope: Mapping[str, Any], body: Body, receive: Receive, send: Send) -> None:
        self._is_http1 = scope.get("http_version", "1.1").startswith("1")
        self._body = body
        self._receive = receive
        self._send = send
        self._closes = False

    async def send_unless_required(self, message: Message) -> None:
        """Send a message, unless it belongs to the response of :class:`BodyRequired`."""
        if self._body.requested is None:
            await self.send(message)

    async def send(self, message: Message) -> None:
        """Send a message of the response."""
        if message["type"] == "http.response.start":
            self._closes = self._is_http1 and self._body.is_unread
            if self._closes:
                message["headers"] = [*message["headers"], (b"connection", b"close")]
        elif self._closes and not message.get("more_body", False):
            await self._linger()
        await self._send(message)

    async def _linger(self) -> None:
        """Read the rest of the body for a while before the last message of the response."""
        left = LINGER_BYTES
        loop = asyncio.get_running_loop()
        deadline = loop.time() + LINGER_SECONDS
        while left > 0:
            try:
                message = await asyncio.wait_for(self._receive(), deadline - loop.time())
            except asyncio.TimeoutError:
                return
            if message["type"] != "http.request" or not message.get("more_body", False):
                return
            left -= len(message.get("body", b""))


def environment(scope: Mapping[str, Any]) -> Dict[str, object]:
    """Return the entries of the WSGI environment for a complete body, or for an empty one."""
    body: Body = scope[KEY]
    is_whole = body.file is not None and body.error is None
    return {
        KEY: body,
        "wsgi.input": body.file if is_whole else io.BytesIO(),
        # Otherwise werkzeug ignores a chunked body.
        "wsgi.input_terminated": True,
        "CONTENT_LENGTH": str(body.size) if is_whole else "0",
    }
