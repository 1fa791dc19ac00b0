"""
Requests as web servers receive them, complete, incomplete or stalled: with gunicorn's worker on Airflow 2, with ASGI on
3.
"""

from __future__ import annotations

import asyncio
import io
import os
import socket
import threading
from http.client import HTTPResponse
from typing import Any, Dict, List, Mapping, Sequence

from tests.support import airflow_under_test
from tests.support.web_site import TOKEN, Response

WHOLE, CUT_OFF, STALLED = "whole", "cut off", "stalled"
TOKEN_HEADER = {"rest-api-plugin-http-token": TOKEN}
FORM = {"Content-Type": "application/x-www-form-urlencoded"}


def deliver(
    site: Any, path: str, headers: Mapping[str, str], pieces: Sequence[bytes] = (), ending: str = WHOLE
) -> Response:
    """
    Send a POST and return the response.

    :param headers: a ``Content-Length`` among them, or else the body comes in chunks.
    :param ending: what the client does after the last piece: nothing that is missing, leave, or be silent.
    """
    if airflow_under_test.version() < (3, 0):
        return _by_gunicorn(site.app, path, {"Host": "localhost", **headers}, pieces, ending)
    return asyncio.run(_by_asgi(site.client.app, path, headers, pieces, ending))


async def _by_asgi(app: Any, path: str, headers: Mapping[str, str], pieces: Sequence[bytes], ending: str) -> Response:
    sent: List[Dict[str, Any]] = []
    given = iter(pieces)
    last = len(pieces) - 1
    count = 0

    async def receive() -> Dict[str, Any]:
        nonlocal count
        piece = next(given, None)
        if piece is not None:
            count += 1
            return {"type": "http.request", "body": piece, "more_body": count <= last or ending != WHOLE}
        if ending == STALLED:
            await asyncio.Event().wait()
        return {"type": "http.disconnect"}

    async def send(message: Any) -> None:
        sent.append(message)

    own = [("host", "localhost"), *headers.items()]
    if "Content-Length" not in headers:
        own.append(("Transfer-Encoding", "chunked"))
    address, _, query = path.partition("?")
    scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": "POST",
        "scheme": "http",
        "path": address,
        "raw_path": address.encode(),
        "query_string": query.encode(),
        "root_path": "",
        "headers": [(name.lower().encode(), value.encode()) for name, value in own],
        "client": ("127.0.0.1", 1),
        "server": ("localhost", 80),
        "state": {},
    }
    await app(scope, receive, send)
    start = sent[0]
    text = b"".join(message.get("body", b"") for message in sent[1:]).decode()
    return Response(start["status"], {name.decode(): value.decode() for name, value in start["headers"]}, text)


def _by_gunicorn(app: Any, path: str, headers: Mapping[str, str], pieces: Sequence[bytes], ending: str) -> Response:
    from gunicorn.config import Config
    from gunicorn.glogging import Logger
    from gunicorn.workers.sync import SyncWorker

    config = Config()
    worker = SyncWorker(1, os.getppid(), [], None, 30, config, Logger(config))
    worker.wsgi = app
    server, client = socket.socketpair()
    with socket.socket() as listener, client:
        listener.bind(("127.0.0.1", 0))
        sending = threading.Thread(target=_send, args=(client, path, headers, pieces, ending))
        sending.start()
        worker.handle(listener, server, ("127.0.0.1", 1))
        sending.join()
        return _answer(client)


def _send(client: socket.socket, path: str, headers: Mapping[str, str], pieces: Sequence[bytes], ending: str) -> None:
    chunked = "Content-Length" not in headers
    own = {**headers, "Transfer-Encoding": "chunked"} if chunked else headers
    head = "".join(f"{name}: {value}\r\n" for name, value in own.items())
    sent = f"POST {path} HTTP/1.1\r\n{head}\r\n".encode()
    for piece in pieces:
        sent += b"%x\r\n%s\r\n" % (len(piece), piece) if chunked else piece
    if chunked and ending == WHOLE:
        sent += b"0\r\n\r\n"
    try:
        client.sendall(sent)
    except BrokenPipeError:
        # The server has closed the connection.
        return
    if ending == CUT_OFF:
        client.shutdown(socket.SHUT_WR)


def _answer(client: socket.socket) -> Response:
    raw = b"".join(iter(lambda: client.recv(65536), b""))
    response = HTTPResponse(_Raw(raw))  # type: ignore[arg-type]
    response.begin()
    return Response(response.status, dict(response.getheaders()), response.read().decode())


class _Raw:
    """A socket for HTTPResponse."""

    def __init__(self, raw: bytes) -> None:
        self._raw = raw

    def makefile(self, mode: str) -> Any:
        return io.BytesIO(self._raw)
