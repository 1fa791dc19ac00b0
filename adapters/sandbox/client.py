"""The web worker's side: its warm server, started when it is first needed, and the link to each job's supervisor."""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
import threading
import time
from contextlib import suppress
from typing import Any, Callable, Dict, List, Optional

from native_api.adapters.sandbox import environment
from native_api.adapters.sandbox.channel import Channel
from native_api.adapters.sandbox.server import ANY, WITH_TASK
from native_api.errors import SandboxUnavailable

#: How long importing Airflow may take, in seconds; on a loaded machine it is half a minute.
_START_SECONDS = 180
#: How long the rest of a message may take whose beginning is there, in seconds.
_REST_SECONDS = 10
#: Pauses between the tries to begin a job, in seconds: a server that has just died can look alive.
_PAUSES = (0.0, 0.05, 0.2, 0.5, 1.0)

_COMMAND = """
import json, sys
sys.path[:] = json.loads(sys.argv[2])
from native_api.adapters.warm_process import main
main(int(sys.argv[1]))
"""


class Server:
    """The warm process of this web worker."""

    def __init__(self) -> None:
        self._control, theirs = Channel.pair()
        self._is_ready = False
        self._lock = threading.Lock()
        try:
            self._process = subprocess.Popen(
                # What was printed is there when a job ends its process at once.
                [sys.executable, "-u", "-c", _COMMAND, str(theirs.fileno()), json.dumps(sys.path)],
                stdin=subprocess.DEVNULL,
                pass_fds=[theirs.fileno()],
                env=environment.of_jobs(),
                start_new_session=True,
            )
        finally:
            theirs.close()
        self._pid = os.getpid()
        # Where it has ended already, whoever begins a job hears of it.
        with suppress(OSError):
            self._control.send(environment.to_mask())

    def is_ours(self) -> bool:
        """Return whether it lives and this process has started it; after a fork it is another process's."""
        return self._pid == os.getpid() and self._process.poll() is None

    def begin(self, has_task: bool) -> Channel:
        """
        Return the link to a new supervisor.

        :param has_task: see :class:`~native_api.adapters.sandbox.Job`.
        :raises OSError: the server is gone.
        """
        ours, theirs = Channel.pair()
        with self._lock:
            self._wait()
            self._control.pass_on(theirs, WITH_TASK if has_task else ANY)
        theirs.close()
        return ours

    def _wait(self) -> None:
        """Wait until Airflow is imported."""
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

    def let_go(self) -> None:
        """Hold on to it no longer; it ends when nobody does."""
        self._control.close()

    def close(self) -> None:
        """End it; jobs in the background go on."""
        self.let_go()
        self._process.wait()


_server: Optional[Server] = None
_starting = threading.Lock()


def warm() -> Server:
    """Return this process's server, which is started where there is none; it imports Airflow meanwhile."""
    global _server
    with _starting:
        if _server is not None and not _server.is_ours():
            _server.let_go()
            _server = None
        if _server is None:
            _server = Server()
        return _server


def begin(request: Dict[str, Any], has_task: bool) -> Begun:
    """
    Send a job to a new supervisor.

    :raises SandboxUnavailable: there is none to be had.
    """
    for pause in _PAUSES:
        time.sleep(pause)
        with suppress(OSError, EOFError):
            channel = warm().begin(has_task)
            try:
                channel.send(request)
                return Begun(channel, channel.receive(request["queue_seconds"] + _START_SECONDS))
            except BaseException:
                channel.close()
                raise
    raise SandboxUnavailable("its process ends as soon as it is asked for a job.")


class Unwanted(Exception):
    """Nobody waits for the job any longer."""


class Begun:
    """A job that a supervisor has taken; closing it ends the job, unless it runs in the background."""

    def __init__(self, channel: Channel, first: Dict[str, Any]) -> None:
        self._link = channel
        self._messages: List[Dict[str, Any]] = [first]

    def next(
        self, seconds: float = math.inf, is_unwanted: Callable[[], bool] = lambda: False, look_seconds: float = 1
    ) -> Dict[str, Any]:
        """
        Return what the supervisor says next.

        :param is_unwanted: asked every *look_seconds*.
        :raises EOFError: it is gone.
        :raises TimeoutError: nothing within *seconds*.
        :raises Unwanted: nobody wants to hear it.
        """
        if self._messages:
            return self._messages.pop()
        until = time.monotonic() + seconds
        while not self._link.has_more(max(0, min(look_seconds, until - time.monotonic()))):
            if time.monotonic() >= until:
                raise TimeoutError
            if is_unwanted():
                raise Unwanted
        message: Dict[str, Any] = self._link.receive(_REST_SECONDS)
        return message

    def go_to_background(self) -> None:
        """Continue the job without a waiting caller."""
        with suppress(OSError):
            self._link.send("background")

    def close(self) -> None:
        """Wait no longer."""
        self._link.close()
