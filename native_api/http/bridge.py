"""
Run a WSGI app in the ASGI server of Airflow 3.

The app runs in a thread, and its response is sent as a whole. Changing threads for each part of a response, as a2wsgi
does, takes 0.2 ms more.
"""

from __future__ import annotations

import asyncio
import contextvars
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from typing import Any, Callable, Dict, List, Mapping, Tuple

from native_api.http import request_body
from native_api.http.request_body import Receive, Send

_Headers = List[Tuple[str, str]]


class RunInThreads:
    """
    An ASGI app that runs a WSGI app, whose paths are those before the mount.

    :param prefix: where the ASGI app is mounted, at the end of the root path of its requests.
    :param threads: the maximum number of requests that are handled at the same time.
    """

    def __init__(self, wsgi_app: Callable[..., Any], prefix: str, threads: int) -> None:
        self._wsgi_app = wsgi_app
        self._prefix = prefix
        self._executor = ThreadPoolExecutor(threads, thread_name_prefix="native_api")

    async def __call__(self, scope: Mapping[str, Any], receive: Receive, send: Send) -> None:
        """Handle a request; websockets are closed."""
        if scope["type"] != "http":
            await send({"type": "websocket.close", "code": 1000})
            return
        context = contextvars.copy_context()
        call = asyncio.get_running_loop().run_in_executor
        start, body = await call(self._executor, context.run, self._respond, self._environ(scope))
        await send(start)
        await send({"type": "http.response.body", "body": body})

    def _respond(self, environ: Dict[str, Any]) -> Tuple[Dict[str, Any], bytes]:
        """Return the messages of the response: its start, and the body."""
        start: Dict[str, Any] = {"type": "http.response.start"}
        parts: List[bytes] = []

        def start_response(status: str, headers: _Headers, exc_info: object = None) -> Callable[[bytes], None]:
            start["status"] = int(status.split(" ", 1)[0])
            start["headers"] = [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in headers]
            return parts.append

        with closing(self._wsgi_app(environ, start_response)) as response:
            parts.extend(response)
        return start, b"".join(parts)

    def _environ(self, scope: Mapping[str, Any]) -> Dict[str, Any]:
        """Return the WSGI environment of a request (PEP 3333)."""
        mount = scope.get("root_path", "")
        # Older versions of Starlette remove the mount from the path.
        path = scope["path"] if scope["path"].startswith(mount) else mount + scope["path"]
        root = mount[: -len(self._prefix)]
        host, port = scope.get("server") or ("localhost", 80)
        client, client_port = scope.get("client") or ("", "")
        environ: Dict[str, Any] = {
            "REQUEST_METHOD": scope["method"],
            "SCRIPT_NAME": _as_wsgi(root),
            "PATH_INFO": _as_wsgi(path[len(root) :]),
            "QUERY_STRING": scope["query_string"].decode("latin-1"),
            "SERVER_PROTOCOL": f"HTTP/{scope.get('http_version', '1.1')}",
            "SERVER_NAME": host,
            "SERVER_PORT": str(port or 0),
            "REMOTE_ADDR": client,
            "REMOTE_PORT": str(client_port),
            "wsgi.version": (1, 0),
            "wsgi.url_scheme": scope.get("scheme", "http"),
            "wsgi.errors": sys.stderr,
            "wsgi.multithread": True,
            "wsgi.multiprocess": True,
            "wsgi.run_once": False,
            "asgi.scope": scope,
        }
        for name, value in scope["headers"]:
            key = name.decode("latin-1").upper().replace("-", "_")
            key = key if key in ("CONTENT_TYPE", "CONTENT_LENGTH") else f"HTTP_{key}"
            text = value.decode("latin-1")
            environ[key] = f"{environ[key]},{text}" if key in environ else text
        environ.update(request_body.environment(scope))
        return environ


def _as_wsgi(path: str) -> str:
    """Return a path as WSGI has it: its bytes as latin-1."""
    return path.encode("utf-8", "surrogateescape").decode("latin-1")
