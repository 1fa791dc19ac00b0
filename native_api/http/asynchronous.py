"""The URL of the state of asynchronous work, and the start of the warm process."""

from __future__ import annotations

import os
from urllib.parse import urlencode

from flask import request

from native_api import settings
from native_api.adapters import sandbox
from native_api.dispatch import OperationResponse

_warmed_by = 0


def state_url(response: OperationResponse) -> str:
    """Return the URL that returns the state of the work, with the base path of this server."""
    name, arguments = response.state_call or ("", {})
    return f"{request.script_root}/native_api/v1/{name}?{urlencode(arguments)}"


def warm_sandbox() -> None:
    """Start the warm process of this web worker, once, if an option allows operations that need it."""
    global _warmed_by
    if _warmed_by == os.getpid():
        return
    _warmed_by = os.getpid()
    if settings.get("execute_on") == "executor":
        return
    if settings.get("allow_execute") or settings.get("allow_deploy"):
        sandbox.warm()
