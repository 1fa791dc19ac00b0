"""A job within a request is cancelled when its client disconnects."""

from __future__ import annotations

import asyncio
import socket
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Awaitable, Callable, Dict, List

import pytest
from flask import Flask, request

import native_api
from native_api import errors
from native_api.adapters import sandbox
from native_api.http.disconnects import WatchDisconnects, client_is_gone
from tests.support import jobs_under_test
from tests.support.versions import by_default_on

pytestmark = by_default_on("2.7", "2.11", "3.0", "3.3")


@pytest.fixture
def soon(monkeypatch: Any) -> None:
    """Check often whether the client is connected."""
    monkeypatch.setattr(sandbox, "CLIENT_POLL_SECONDS", 0.02)


def test_a_running_job_is_terminated(soon: None, fresh: Any) -> None:
    """It can clean up, and nothing of it remains."""
    gone = threading.Event()
    with ThreadPoolExecutor(1) as threads:
        waits = threads.submit(jobs_under_test.run, "sleep", client_is_gone=gone.is_set)
        jobs_under_test.until(jobs_under_test.running_supervisors)
        gone.set()
        with pytest.raises(errors.JobCancelled):
            waits.result(60)
    jobs_under_test.until(lambda: not jobs_under_test.running_supervisors())
    # The record is locked until what is left of the job is cleaned up.
    jobs_under_test.until(lambda: native_api.call("health")["jobs"] == {"running": 0, "queued": 0})


def test_a_queued_job_never_starts(soon: None, monkeypatch: Any, fresh: Any) -> None:
    monkeypatch.setenv("AIRFLOW__NATIVE_API__JOB_SLOTS", "1")
    monkeypatch.setenv("AIRFLOW__WEBSERVER__WORKERS", "4")
    gone, end = threading.Event(), threading.Event()
    with ThreadPoolExecutor(2) as threads:
        runs = threads.submit(jobs_under_test.run, "sleep", client_is_gone=end.is_set)
        jobs_under_test.until(jobs_under_test.running_supervisors)
        waits = threads.submit(jobs_under_test.run, "sleep", client_is_gone=gone.is_set)
        jobs_under_test.until(lambda: native_api.call("health")["jobs"]["queued"] == 1)
        gone.set()
        with pytest.raises(errors.JobCancelled):
            waits.result(60)
        jobs_under_test.until(lambda: native_api.call("health")["jobs"] == {"running": 1, "queued": 0})
        end.set()
        with pytest.raises(errors.JobCancelled):
            runs.result(60)


def test_run_task_continues_in_the_background(soon: None, fresh: Any) -> None:
    """As at the timeout of the request; its caller can find and cancel the job."""
    with ThreadPoolExecutor(1) as threads:
        gone = threading.Event()
        waits = threads.submit(jobs_under_test.run, "sleep", {"seconds": 0.5}, outlive=True, client_is_gone=gone.is_set)
        jobs_under_test.until(jobs_under_test.running_supervisors)
        gone.set()
        assert waits.result(60) is None
    (job,) = native_api.call("list_jobs")["jobs"]
    assert jobs_under_test.wait(job["job_id"], "success")["result"] == "slept"


@pytest.mark.parametrize("name", ["gunicorn.socket", "werkzeug.socket"])
def test_a_closed_socket_of_the_wsgi_server_is_noticed(name: str) -> None:
    """As on Airflow 2."""
    ours, theirs = socket.socketpair()
    with ours, Flask("a test").test_request_context(environ_overrides={name: ours}):
        is_gone = client_is_gone(request)
        theirs.send(b"GET /the-next-request")
        assert not is_gone()
        theirs.close()
        assert is_gone()
    assert is_gone()


def test_a_client_counts_as_connected_if_the_wsgi_server_has_no_socket() -> None:
    with Flask("a test").test_request_context():
        assert not client_is_gone(request)()


def asgi(messages: List[Dict[str, Any]], response: Callable[[Callable[[], bool]], None]) -> None:
    """Handle a request in a thread, with these messages from the client, as on Airflow 3."""

    async def small(scope: Any, receive: Callable[[], Awaitable[Any]], send: Any) -> None:
        with Flask("a test").test_request_context(environ_overrides={"asgi.scope": scope}):
            is_gone = client_is_gone(request)
        await asyncio.get_running_loop().run_in_executor(None, response, is_gone)

    async def receive() -> Dict[str, Any]:
        while not messages:
            await asyncio.sleep(0.01)
        return messages.pop(0)

    asyncio.run(WatchDisconnects(small)({"type": "http"}, receive, None))  # type: ignore[arg-type]


def test_an_asgi_client_that_disconnects_is_noticed() -> None:
    """Also if it has sent a body that was not read."""
    messages: List[Dict[str, Any]] = [{"type": "http.request", "body": b"x", "more_body": True}]

    def response(is_gone: Callable[[], bool]) -> None:
        assert not is_gone()
        messages.append({"type": "http.request", "body": b"", "more_body": False})
        assert not is_gone()
        messages.append({"type": "http.disconnect"})
        jobs_under_test.until(is_gone)

    asgi(messages, response)


def test_nothing_waits_for_an_asgi_client_after_the_response() -> None:
    asgi([], lambda is_gone: None)
    asgi([], lambda is_gone: pytest.fail("it has left") if is_gone() else None)
