"""The ASGI app that runs the WSGI app on Airflow 3."""

from __future__ import annotations

import asyncio
from typing import Any, Dict, Iterator, List

import pytest

from native_api.http.bridge import RunInThreads
from native_api.http.request_body import KEY, Body

SCOPE = {
    "type": "http",
    "method": "GET",
    "root_path": "/base/native_api",
    "path": "/base/native_api/v1/ä",
    "query_string": b"key=\xc3\xa4",
    "headers": [(b"x-a", b"1"), (b"x_a", b"2"), (b"content-type", b"text/plain")],
}


class Recorded:
    """A WSGI app whose response notes that it was closed; it can fail while it is read."""

    def __init__(self, *parts: bytes, fails: bool = False) -> None:
        self.parts, self.fails = parts, fails
        self.environ: Dict[str, Any] = {}
        self.is_closed = False

    def __call__(self, environ: Dict[str, Any], start_response: Any) -> Any:
        self.environ = environ
        start_response("201 Created", [("X-B", "ü"), ("X-B", "2")])
        return self

    def __iter__(self) -> Iterator[bytes]:
        yield from self.parts
        if self.fails:
            raise OSError

    def close(self) -> None:
        self.is_closed = True


def called(app: Recorded, **changes: Any) -> List[Any]:
    """Return the messages that the bridge sends."""
    sent = []

    async def send(message: Any) -> None:
        sent.append(message)

    bridge: Any = RunInThreads(app, "/native_api", threads=1)
    asyncio.run(bridge({**SCOPE, KEY: Body(0), **changes}, None, send))
    return sent


def test_a_response_is_sent_as_a_whole() -> None:
    """In two messages, with every header, and it is closed."""
    app = Recorded(b"one ", b"two")
    assert called(app) == [
        {"type": "http.response.start", "status": 201, "headers": [(b"x-b", b"\xfc"), (b"x-b", b"2")]},
        {"type": "http.response.body", "body": b"one two"},
    ]
    assert app.is_closed


@pytest.mark.parametrize("path", ["/base/native_api/v1/ä", "/v1/ä"], ids=["with the mount", "without the mount"])
def test_the_environment_has_the_full_path(path: str) -> None:
    """Texts are bytes as latin-1, and headers with the same name become one."""
    app = Recorded()
    called(app, path=path)
    expected = {
        "SCRIPT_NAME": "/base",
        "PATH_INFO": "/native_api/v1/Ã¤",
        "QUERY_STRING": "key=Ã¤",
        "HTTP_X_A": "1,2",
        "CONTENT_TYPE": "text/plain",
    }
    assert {name: app.environ[name] for name in expected} == expected


def test_an_error_closes_the_response() -> None:
    """And reaches the server."""
    app = Recorded(b"one", fails=True)
    with pytest.raises(OSError):
        called(app)
    assert app.is_closed


def test_a_websocket_is_closed() -> None:
    """The app is not called."""
    app = Recorded()
    assert called(app, type="websocket") == [{"type": "websocket.close", "code": 1000}]
    assert app.environ == {}
