"""Work that goes on after its answer: where it is followed; and the sandbox, warm before it is first needed."""

from __future__ import annotations

import os
from urllib.parse import urlencode

from flask import request

from native_api import settings
from native_api.adapters import sandbox
from native_api.dispatch import Answer

_warmed_by = 0


def url_of(answer: Answer) -> str:
    """Return where the work that the answer speaks of is followed, below this server's base path."""
    name, arguments = answer.followed or ("", {})
    return f"{request.script_root}/native_api/v1/{name}?{urlencode(arguments)}"


def warm_sandbox() -> None:
    """Start importing Airflow in this web worker's sandbox, unless that is done or nothing may run there."""
    global _warmed_by
    if _warmed_by == os.getpid():
        return
    _warmed_by = os.getpid()
    if settings.get("allow_execute") or settings.get("allow_deploy"):
        sandbox.warm()
