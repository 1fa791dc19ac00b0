"""The URL of the state of asynchronous work, and the start of the warm process."""

from __future__ import annotations

import logging
import os
import threading
from typing import TYPE_CHECKING
from urllib.parse import urlencode

from flask import request

from native_api import settings
from native_api.adapters.compat import web_server

if TYPE_CHECKING:
    from native_api.dispatch import OperationResponse

log = logging.getLogger(__name__)

_warmed_by = 0


def state_url(response: OperationResponse) -> str:
    """Return the URL that returns the state of the work, with the base path of this server."""
    name, arguments = response.state_call or ("", {})
    return f"{request.script_root}/native_api/v1/{name}?{urlencode(arguments)}"


def warm_sandbox() -> None:
    """Start the warm process of this web server, once, if an option allows operations that need it."""
    global _warmed_by
    if _warmed_by == os.getpid():
        return
    _warmed_by = os.getpid()
    if settings.get("execute_on") == "executor":
        return
    if settings.get("allow_execute") or settings.get("allow_deploy"):
        # Not before: a web server that is not called imports little.
        from native_api.adapters import sandbox

        try:
            sandbox.warm()
        except OSError:
            # The first job tries it again, and reports the error.
            log.warning("The warm process could not be started", exc_info=True)


def warm_with_server() -> None:
    """Start the warm process when a web server creates the app, without delaying it."""
    if web_server.forks_workers():
        # A thread could hold a lock when a worker is forked.
        warm_sandbox()
    elif web_server.is_running():
        threading.Thread(target=warm_sandbox, daemon=True).start()
