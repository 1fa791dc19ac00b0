"""Create apps with the first request: a web server that is not called does not import the operations."""

from __future__ import annotations

import asyncio
import threading
from typing import Any, Awaitable, Callable, Mapping

App = Callable[[Any, Any, Any], Awaitable[None]]


class CreatedByFirstRequest:
    """
    ASGI apps that are created with the first request, in a thread: other requests do not wait for the imports.

    :param create: returns the apps by their prefix.
    """

    def __init__(self, create: Callable[[], Mapping[str, App]]) -> None:
        self._create = create
        self._apps: Mapping[str, App] = {}
        self._creating = threading.Lock()

    def at(self, prefix: str) -> App:
        """Return the app with that prefix."""

        async def app(scope: Any, receive: Any, send: Any) -> None:
            apps = self._apps or await asyncio.get_running_loop().run_in_executor(None, self._created)
            await apps[prefix](scope, receive, send)

        return app

    def _created(self) -> Mapping[str, App]:
        with self._creating:
            self._apps = self._apps or self._create()
            return self._apps
