"""The side of the web worker: it starts the warm process when needed, and has a channel to each supervisor."""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
import threading
import time
from contextlib import suppress
from typing import Callable, List, Optional

from native_api.adapters.sandbox import environment
from native_api.adapters.sandbox.channel import Channel
from native_api.adapters.sandbox.messages import Message, Request
from native_api.adapters.sandbox.server import ANY, NEEDS_EXECUTION_API
from native_api.errors import SandboxUnavailable

#: The timeout of the import of Airflow, in seconds; on a busy host it takes half a minute.
_START_SECONDS = 180
#: The timeout for the rest of a message of which a part has arrived, in seconds.
_REST_SECONDS = 10
#: The delays before each attempt to start a job, in seconds: a warm process that has just ended can seem alive.
_PAUSES = (0.0, 0.05, 0.2, 0.5, 1.0)

_COMMAND = """
import json, sys
sys.path[:] = json.loads(sys.argv[2])
from native_api.adapters.warm_process import main
main(int(sys.argv[1]))
"""


class Server:
    """The warm process of this web worker; it starts with the instance."""

    def __init__(self) -> None:
        self._control, theirs = Channel.pair()
        self._is_ready = False
        self._lock = threading.Lock()
        try:
            self._process = subprocess.Popen(
                # Unbuffered: the output is complete when a job ends its process without flushing.
                [sys.executable, "-u", "-c", _COMMAND, str(theirs.fileno()), json.dumps(sys.path)],
                stdin=subprocess.DEVNULL,
                pass_fds=[theirs.fileno()],
                env=environment.job_environment(),
                start_new_session=True,
            )
        finally:
            theirs.close()
        self._pid = os.getpid()
        # If it has ended already, begin() raises.
        with suppress(OSError):
            self._control.send(environment.texts_to_mask())

    def is_ours(self) -> bool:
        """Return whether it runs and this process has started it; after a fork it belongs to the parent process."""
        return self._pid == os.getpid() and self._process.poll() is None

    def begin(self, needs_execution_api: bool) -> Channel:
        """
        Fork a supervisor and return the channel to it.

        :param needs_execution_api: see :class:`~native_api.adapters.sandbox.Job`.
        :raises OSError: the warm process has ended.
        :raises SandboxUnavailable: the warm process could not import Airflow, or not in time.
        """
        ours, theirs = Channel.pair()
        with self._lock:
            self._wait()
            self._control.send_channel(theirs, NEEDS_EXECUTION_API if needs_execution_api else ANY)
        theirs.close()
        return ours

    def _wait(self) -> None:
        """Wait until the warm process has imported Airflow."""
        if self._is_ready:
            return
        try:
            self._control.receive(_START_SECONDS)
        except TimeoutError as exc:
            self._process.kill()
            raise SandboxUnavailable(f"Airflow was not imported within {_START_SECONDS} s.") from exc
        except EOFError as exc:
            raise SandboxUnavailable(f"its process ended with the exit code {self._process.wait()}.") from exc
        self._is_ready = True

    def release(self) -> None:
        """Close the channel to the warm process; it ends when no process has one."""
        self._control.close()

    def close(self) -> None:
        """Stop the warm process and wait for its end; jobs in the background continue."""
        self.release()
        self._process.wait()


_server: Optional[Server] = None
_starting = threading.Lock()


def warm() -> Server:
    """Return the warm process of this web worker; start it if there is none, without waiting for its imports."""
    global _server
    with _starting:
        if _server is not None and not _server.is_ours():
            _server.release()
            _server = None
        if _server is None:
            _server = Server()
        return _server


def begin(request: Request, needs_execution_api: bool) -> RunningJob:
    """
    Start a job with a new supervisor.

    :param request: the first message to the supervisor.
    :raises SandboxUnavailable: no supervisor starts.
    """
    for pause in _PAUSES:
        time.sleep(pause)
        with suppress(OSError, EOFError):
            channel = warm().begin(needs_execution_api)
            try:
                channel.send(request)
                return RunningJob(channel, channel.receive(request["queue_seconds"] + _START_SECONDS))
            except BaseException:
                channel.close()
                raise
    raise SandboxUnavailable("its process ends as soon as it is asked for a job.")


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
