"""The health of the plugin, for load balancers. It needs no authentication, so the response has no details."""

from __future__ import annotations

import threading
import time
from http import HTTPStatus
from typing import Callable, Optional

from flask import Response, request
from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError

from native_api.errors import MethodNotAllowed
from native_api.http import typed
from native_api.http.responses import in_shape, json_response

#: Seconds for which a result is cached, so that frequent requests do not query the database.
KEPT_SECONDS = 1.0
#: The timeout of the database query, in seconds.
LIMIT_SECONDS = 2.0


class Check:
    """
    A check whose result is cached, and which runs in one thread at a time.

    While it runs, other requests get the last result, so that at most one request waits.

    :param check: returns whether it passes.
    """

    def __init__(self, check: Callable[[], bool]) -> None:
        self._check = check
        self._lock = threading.Lock()
        self._thread: Optional[threading.Thread] = None
        self._result: Optional[bool] = None
        self._since = 0.0

    def passes(self) -> bool:
        """Return whether the check passes; one that exceeds the timeout fails."""
        with self._lock:
            thread, is_new = self._thread, False
            if thread is None or not thread.is_alive():
                if self._result is not None and time.monotonic() - self._since < KEPT_SECONDS:
                    return self._result
                thread, is_new = threading.Thread(target=self._make, daemon=True), True
                self._thread, self._since = thread, time.monotonic()
                thread.start()
            left = self._since + LIMIT_SECONDS - time.monotonic()
        if is_new or (self._result is None and left > 0):
            thread.join(max(left, 0))
        is_late = thread.is_alive() and time.monotonic() - self._since >= LIMIT_SECONDS
        return bool(self._result) and not is_late

    def _make(self) -> None:
        result = False
        try:
            result = self._check()
        finally:
            self._result, self._since = result, time.monotonic()


def _reaches_database() -> bool:
    from airflow import settings

    try:
        with settings.engine.connect() as connection:  # type: ignore[union-attr]
            connection.execute(text("SELECT 1"))
    except SQLAlchemyError:
        return False
    return True


database = Check(_reaches_database)


@in_shape(typed.problem)
def health() -> Response:
    """Return 200 and ``ok``, or 503 and ``unhealthy``."""
    if request.method not in ("GET", "HEAD"):
        raise MethodNotAllowed("health", "GET")
    if database.passes():
        return json_response({"status": "ok"})
    return json_response({"status": "unhealthy"}, HTTPStatus.SERVICE_UNAVAILABLE)
