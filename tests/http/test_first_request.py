"""The app of Airflow 3 is created with its first request."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from typing import Any, List

import pytest

from native_api.http.first_request import CreatedByFirstRequest
from tests.support.versions import AIRFLOW

MOUNTS = """
import json, sys
from native_api.plugin import NativeApiPlugin
apps = NativeApiPlugin().fastapi_apps
print(json.dumps([len(apps), "native_api.dispatch" in sys.modules, "native_api.registry" in sys.modules]))
"""


def test_concurrent_requests_create_it_once() -> None:
    """Each of them waits for it."""
    created = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send(scope)

    def create() -> Any:
        created.append(app)
        return {"/one": app, "/other": app}

    async def request(prefix: str) -> Any:
        sent: List[object] = []

        async def send(message: Any) -> None:
            sent.append(message)

        await apps.at(prefix)({"type": "http"}, None, send)
        return sent

    async def requests() -> Any:
        return await asyncio.gather(*(request(prefix) for prefix in 3 * ["/one", "/other"]))

    apps = CreatedByFirstRequest(create)
    assert created == []
    assert asyncio.run(requests()) == [[{"type": "http"}]] * 6
    assert created == [app]


def test_a_failed_import_is_tried_again() -> None:
    outcomes = iter([ImportError("not yet"), None])

    async def app(scope: Any, receive: Any, send: Any) -> None:
        """Send nothing."""

    def create() -> Any:
        outcome = next(outcomes)
        if outcome is not None:
            raise outcome
        return {"/one": app}

    apps = CreatedByFirstRequest(create)
    with pytest.raises(ImportError):
        asyncio.run(apps.at("/one")({}, None, None))
    asyncio.run(apps.at("/one")({}, None, None))


@pytest.mark.skipif(AIRFLOW < (3, 0), reason="gunicorn's workers share what was imported before they were forked")
def test_mounting_it_imports_no_operation(airflow: Any) -> None:
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", MOUNTS], capture_output=True, text=True, check=True)
    assert json.loads(done.stdout.splitlines()[-1]) == [2, False, False]
