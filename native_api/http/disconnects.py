"""Whether the client of a request has disconnected: a job that it waits for is cancelled then."""

from __future__ import annotations

import asyncio
import select
from concurrent.futures import Future
from typing import Any, Awaitable, Callable, Mapping, MutableMapping, Optional

from flask import Request

_Message = MutableMapping[str, Any]
_Receive = Callable[[], Awaitable[_Message]]

_KEY = "native_api.client"
#: The keys of the socket in the WSGI environment: of gunicorn, and of the debug server of Airflow 2.
_CONNECTIONS = ("gunicorn.socket", "werkzeug.socket")
#: The poll events of a closed connection; only Linux reports one that is half closed.
_CLOSED = getattr(select, "POLLRDHUP", 0) | select.POLLHUP | select.POLLERR


def client_is_gone(request: Request) -> Callable[[], bool]:
    """Return a function that returns whether the client has disconnected; call it after the body is read."""
    client: Optional[_Client] = request.environ.get("asgi.scope", {}).get(_KEY)
    if client is not None:
        return client.is_gone
    connection = next((request.environ[name] for name in _CONNECTIONS if name in request.environ), None)
    return lambda: connection is not None and _is_closed(connection.fileno())


def _is_closed(descriptor: int) -> bool:
    if descriptor < 0:
        return True
    poll = select.poll()
    poll.register(descriptor, _CLOSED)
    return bool(poll.poll(0))


class WatchDisconnects:
    """ASGI middleware for :func:`client_is_gone`."""

    def __init__(self, app: Callable[..., Awaitable[None]]) -> None:
        self._app = app

    async def __call__(self, scope: Mapping[str, object], receive: _Receive, send: Any) -> None:
        client = _Client(receive)
        try:
            await self._app({**scope, _KEY: client}, receive, send)
        finally:
            client.forget()


class _Client:
    """The client of a request in the event loop, used by the thread of the request."""

    def __init__(self, receive: _Receive) -> None:
        self._receive, self._loop = receive, asyncio.get_running_loop()
        self._gone: Optional[Future[None]] = None

    def is_gone(self) -> bool:
        if self._gone is None:
            self._gone = asyncio.run_coroutine_threadsafe(self._leave(), self._loop)
        return self._gone.done()

    async def _leave(self) -> None:
        # The rest of an unread body comes first.
        while (await self._receive())["type"] != "http.disconnect":
            pass

    def forget(self) -> None:
        if self._gone is not None:
            self._gone.cancel()
