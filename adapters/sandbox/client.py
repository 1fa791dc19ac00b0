"""The side of the web worker: it has a channel to the supervisor of each of its jobs."""

from __future__ import annotations

import math
import time
from contextlib import suppress
from typing import Callable, List

from native_api.adapters.sandbox.channel import Channel
from native_api.adapters.sandbox.connection import START_SECONDS, warm_process
from native_api.adapters.sandbox.messages import Message, Request
from native_api.errors import SandboxUnavailable

#: The timeout for the rest of a message of which a part has arrived, in seconds.
_REST_SECONDS = 10
#: The delays before each attempt to start a job, in seconds: a warm process that has just ended can seem alive.
_PAUSES = (0.0, 0.05, 0.2, 0.5, 1.0)


def warm() -> None:
    """
    Start the warm process of this web server at idle priority if there is none, without waiting for its imports.

    :raises OSError: it cannot be started.
    """
    warm_process().connect(at_once=False).close()


def begin(request: Request, needs_execution_api: bool) -> RunningJob:
    """
    Start a job with a new supervisor.

    :param request: the first message to the supervisor.
    :param needs_execution_api: see :class:`~native_api.adapters.sandbox.Job`.
    :raises SandboxUnavailable: no supervisor starts.
    """
    for pause in _PAUSES:
        time.sleep(pause)
        with suppress(OSError, EOFError):
            channel = warm_process().connect(at_once=True)
            try:
                return RunningJob(channel, _first_message(channel, request, needs_execution_api))
            except BaseException:
                channel.close()
                raise
    raise SandboxUnavailable("its process ends as soon as it is asked for a job.")


def _first_message(channel: Channel, request: Request, needs_execution_api: bool) -> Message:
    """Send a request, have a supervisor forked, and return its first message."""
    channel.send(needs_execution_api)
    with suppress(OSError):
        # Without Airflow the warm process sends its error instead of reading the request.
        channel.send(request)
    try:
        message: Message = channel.receive(request["queue_seconds"] + START_SECONDS)
    except TimeoutError as exc:
        raise SandboxUnavailable(f"Airflow was not imported within {START_SECONDS} s.") from exc
    if message["state"] == "unavailable":
        error = message["error"]
        raise SandboxUnavailable(f"Airflow could not be imported: {error['exception']}: {error['message']}")
    return message


class ClientDisconnected(Exception):
    """The client of the request has disconnected."""


class RunningJob:
    """The channel to the supervisor of a job. Closing it terminates the job, unless it runs in the background."""

    def __init__(self, channel: Channel, first: Message) -> None:
        self._channel = channel
        self._messages: List[Message] = [first]

    def next(
        self, seconds: float = math.inf, client_is_gone: Callable[[], bool] = lambda: False, poll_seconds: float = 1
    ) -> Message:
        """
        Wait for the next message of the supervisor and return it.

        :param seconds: the timeout.
        :param client_is_gone: called every *poll_seconds*; returns whether the client has disconnected.
        :raises EOFError: the supervisor was killed.
        :raises TimeoutError: no message arrived in time.
        :raises ClientDisconnected: the client has disconnected.
        """
        if self._messages:
            return self._messages.pop()
        until = time.monotonic() + seconds
        while not self._channel.has_more(max(0, min(poll_seconds, until - time.monotonic()))):
            if time.monotonic() >= until:
                raise TimeoutError
            if client_is_gone():
                raise ClientDisconnected
        message: Message = self._channel.receive(_REST_SECONDS)
        return message

    def go_to_background(self) -> None:
        """Continue the job without a waiting caller."""
        with suppress(OSError):
            self._channel.send("background")

    def close(self) -> None:
        """Close the channel."""
        self._channel.close()
