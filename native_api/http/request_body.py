"""
Request bodies on Airflow 3, where Airflow's server is ASGI and our app is WSGI.

a2wsgi gives a WSGI app a stream that waits for the client, in one of few threads: a client that sends nothing would
hold it. So the app is asked first without the body. It refuses the request, or says whose body it takes and how much
of it; the body is received in the event loop, within bounds and to the disk where it is large, and the app is asked
again with all of it.
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

#: Where the scope of a request has its body.
KEY = "native_api.body"
#: What of a body is kept in memory; what is larger goes to disk.
MEMORY_BYTES = 65536
#: How much a client that was refused may still send, and how long, before its connection is closed: one that is cut off
#: while it sends would not see why.
LINGER_BYTES = 2**26
LINGER_SECONDS = 2.0


@dataclass(frozen=True)
class Limit:
    """How large a body may be, and the option that says so."""

    bytes: int
    option: str


@dataclass(frozen=True)
class Wanted:
    """Whose body is taken, and how much of it."""

    caller: str
    limit: Limit


class BodyWanted(Exception):
    """The app takes the body, which is not here yet."""


@dataclass
class Body:
    """
    The body of a request, between the event loop that receives it and the thread that reads it.

    *length* is what the client announced, None for a body in chunks. What is *wanted* of it the app says, when it is
    asked first; then there is a *file*, or an *error*.
    """

    length: Optional[int]
    wanted: Optional[Wanted] = None
    file: Optional[IO[bytes]] = None
    size: int = 0
    error: Optional[Exception] = None
    is_refused: bool = False

    @property
    def is_here(self) -> bool:
        """Whether there is nothing to wait for."""
        return self.length == 0 or self.file is not None

    @property
    def stays_unread(self) -> bool:
        """Whether the client may still be sending when it gets its answer."""
        if self.is_here and self.error is None:
            return False
        return self.is_refused or self.error is not None or self.length is None or self.length > MEMORY_BYTES


class Room:
    """The bodies that are being received, and each caller's part of them; used in one event loop, so without a lock."""

    def __init__(self) -> None:
        self._bodies: Counter[str] = Counter()
        self._bytes: Counter[str] = Counter()

    @contextlib.contextmanager
    def place(self, caller: str) -> Iterator[Callable[[int], None]]:
        """
        Count a body of the caller's; what is given is called with the size of each piece of it.

        :raises TooManyBodies: there are as many as may be, or the caller has half of that.
        """
        self._require(self._bodies, caller, 1, settings.get("bodies"), "bodies")
        own = 0

        def grow(size: int) -> None:
            nonlocal own
            # Any file that may be deployed fits, also beside one of somebody else.
            most = max(settings.get("bodies_bytes"), 2 * largest_upload().bytes)
            self._require(self._bytes, caller, size, most, "bodies_bytes")
            self._bytes[caller] += size
            own += size

        self._bodies[caller] += 1
        try:
            yield grow
        finally:
            self._forget(self._bodies, caller, 1)
            self._forget(self._bytes, caller, own)

    def _require(self, counted: Counter[str], caller: str, more: int, most: int, option: str) -> None:
        if sum(counted.values()) + more > most or counted[caller] + more > most // 2:
            raise TooManyBodies(f"[native_api] {option}")

    def _forget(self, counted: Counter[str], caller: str, count: int) -> None:
        counted[caller] -= count
        if not counted[caller]:
            del counted[caller]


def largest_upload() -> Limit:
    """Return how large a body may be that has a DAG file in it, and what belongs to a form besides."""
    return Limit(settings.get("upload_bytes") + MEMORY_BYTES, "[native_api] upload_bytes")


class BodiesFirst:
    """An ASGI app that has *app*, a WSGI app in a2wsgi, read no body that is not here as a whole."""

    def __init__(self, app: App, room: Room) -> None:
        self._app = app
        self._room = room

    async def __call__(self, scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        """Handle a request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        body = Body(_announced(scope["headers"]))
        scope[KEY] = body
        answer = _Answer(scope, body, receive, send)
        await self._app(scope, _nothing, answer.send_unless_wanted)
        if body.wanted is None:
            return
        with contextlib.ExitStack() as stack:
            try:
                body.file = stack.enter_context(tempfile.SpooledTemporaryFile(MEMORY_BYTES))
                grow = stack.enter_context(self._room.place(body.wanted.caller))
                await _receive(body, body.wanted.limit, body.file, grow, receive)
            except (NativeApiError, OSError) as exc:
                body.error = exc
            await self._app(scope, _nothing, answer.send)


async def _nothing() -> Message:
    """Stand for a client that sends nothing more: whatever reads it must not wait."""
    return {"type": "http.disconnect"}


def _announced(headers: List[Tuple[bytes, bytes]]) -> Optional[int]:
    """Return how long the client says that the body is, None where it comes in chunks."""
    values = dict(headers)
    if b"transfer-encoding" in values:
        return None
    return int(values.get(b"content-length", b"0"))


async def _receive(body: Body, limit: Limit, file: IO[bytes], grow: Callable[[int], None], receive: Receive) -> None:
    """
    Write the body to the file.

    :raises NativeApiError: it is too large, too slow or not complete, or there is no room for it.
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
        piece = message.get("body", b"")
        body.size += len(piece)
        if body.size > limit.bytes:
            raise BodyTooLarge(limit.bytes, limit.option)
        grow(len(piece))
        if body.size > MEMORY_BYTES:
            await loop.run_in_executor(None, file.write, piece)
        else:
            file.write(piece)
        more = message.get("more_body", False)
    if body.length not in (None, body.size):
        raise BodyCutOff()
    file.seek(0)


class _Answer:
    """What goes to the client; a connection is closed over which the rest of a body would come that nobody reads."""

    def __init__(self, scope: Mapping[str, Any], body: Body, receive: Receive, send: Send) -> None:
        self._is_http1 = scope.get("http_version", "1.1").startswith("1")
        self._body = body
        self._receive = receive
        self._send = send
        self._closes = False

    async def send_unless_wanted(self, message: Message) -> None:
        """Send the message, unless it is the app's wish for the body."""
        if self._body.wanted is None:
            await self.send(message)

    async def send(self, message: Message) -> None:
        """Send the message."""
        if message["type"] == "http.response.start":
            self._closes = self._is_http1 and self._body.stays_unread
            if self._closes:
                message["headers"] = [*message["headers"], (b"connection", b"close")]
        elif self._closes and not message.get("more_body", False):
            await self._linger()
        await self._send(message)

    async def _linger(self) -> None:
        """Read on for a little while, with the answer on its way and for its last message."""
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


def environment(scope: Mapping[str, Any]) -> Dict[str, Any]:
    """Return what the WSGI environment of a request has of its body: all of it, or nothing."""
    body: Body = scope[KEY]
    is_whole = body.file is not None and body.error is None
    return {
        KEY: body,
        "wsgi.input": body.file if is_whole else io.BytesIO(),
        # Without this a body that came in chunks counts as none.
        "wsgi.input_terminated": True,
        "CONTENT_LENGTH": str(body.size) if is_whole else "0",
    }
