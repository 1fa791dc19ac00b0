"""Processes that tests start, and how to wait for them."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import time
from contextlib import suppress
from pathlib import Path
from typing import Callable, Mapping, Optional, Sequence, TypeVar

import psutil

Response = TypeVar("Response")

#: Generous, since nothing is measured here: a busy machine takes long to start an Airflow.
DEADLINE_SECONDS = 120.0
PAUSE_SECONDS = 0.2


def eventually(question: Callable[[], Optional[Response]], what: str, *, seconds: float = DEADLINE_SECONDS) -> Response:
    """Wait until a function returns a true value, and return it; fail at the deadline with *what*."""
    end = time.monotonic() + seconds
    while True:
        response = question()
        if response:
            return response
        if time.monotonic() > end:
            raise AssertionError(f"Waited {seconds:.0f} s in vain: {what}")
        time.sleep(PAUSE_SECONDS)


def free_port() -> int:
    """Return a free port of this host."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port


class Process:
    """A process in its own session, whose output goes to a file."""

    def __init__(self, command: Sequence[str], environment: Mapping[str, str], log: Path) -> None:
        self.log = log
        self._command = command
        with log.open("ab") as output:
            self._started = subprocess.Popen(
                command,
                # Airflow 2 imports from there first, and a home has a folder native_api.
                cwd=log.parent.parent,
                env=dict(environment),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    @property
    def pid(self) -> int:
        """The id of the process."""
        return self._started.pid

    def require_running(self) -> None:
        """Fail with the end of the output if the process has ended."""
        if self._started.poll() is not None:
            raise AssertionError(f"{self} ended with {self._started.returncode}:\n{self.tail()}")

    def finish(self, seconds: float = DEADLINE_SECONDS) -> None:
        """Wait for the process to succeed; fail with the end of the output otherwise."""
        try:
            status = self._started.wait(seconds)
        except subprocess.TimeoutExpired:
            self.stop()
            raise AssertionError(f"{self} does not end:\n{self.tail()}") from None
        assert status == 0, f"{self} ended with {status}:\n{self.tail()}"

    def stop(self, number: signal.Signals = signal.SIGTERM) -> None:
        """Stop the process and its descendants, with that signal first."""
        family = self._family()
        self._signal(number)
        with suppress(subprocess.TimeoutExpired):
            self._started.wait(15)
        _, alive = psutil.wait_procs(family, timeout=1)
        for process in alive:
            try:
                process.kill()
            except psutil.NoSuchProcess:
                continue
        self._started.wait()

    def tail(self, size: int = 6000) -> str:
        """Return the end of the output."""
        return self.log.read_text(errors="replace")[-size:]

    def __str__(self) -> str:
        return f"'{' '.join(self._command)}'"

    def _family(self) -> Sequence[psutil.Process]:
        try:
            parent = psutil.Process(self._started.pid)
            return [parent, *parent.children(recursive=True)]
        except psutil.NoSuchProcess:
            return []

    def _signal(self, number: int) -> None:
        try:
            os.killpg(self._started.pid, number)
        except ProcessLookupError:
            return
