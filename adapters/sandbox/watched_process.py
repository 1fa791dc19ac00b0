"""The process of a job, watched until it and its descendants have ended."""

from __future__ import annotations

import json
import os
import signal
import time
from typing import List, Optional, Protocol, Tuple

from native_api.adapters.sandbox import process_tree
from native_api.adapters.sandbox.capture import Capture, Secrets


class Watch(Protocol):
    """A supervisor: how long it waits, and what it learns meanwhile."""

    @property
    def grace_seconds(self) -> float:
        """The seconds between SIGTERM and SIGKILL."""

    @property
    def watch_seconds(self) -> float:
        """The interval at which timeout and cancellation are checked, in seconds."""

    def wait(self, seconds: float, descriptors: List[int]) -> List[int]:
        """Wait at most *seconds* for a message, a signal or data; return the descriptors that have data."""

    def stop_reason(self) -> Optional[str]:
        """Return ``cancelled`` if the job is to be terminated, or None."""


class Process:
    """
    The process that runs a function, and its output.

    :param started: the process id, and the descriptors of its output and of its secrets.
    :param capture: the log that the output is written to.
    :param secrets: those that are masked in the log; the process reports more.
    """

    def __init__(self, supervisor: Watch, started: Tuple[int, int, int], capture: Capture, secrets: Secrets) -> None:
        self._supervisor, self._capture, self._secrets = supervisor, capture, secrets
        self._pid, self._output, self._secrets_pipe = started
        for descriptor in (self._output, self._secrets_pipe):
            os.set_blocking(descriptor, False)
        self._rest = b""
        self._code: Optional[int] = None

    def end(self, seconds: Optional[float], *, ignore_cancel: bool = False) -> Tuple[Optional[str], int]:
        """
        Wait for the end of the process, and kill its descendants.

        :param seconds: the timeout, after which the process is terminated.
        :param ignore_cancel: do not terminate the process if the job is cancelled.
        :return: ``timeout``, ``cancelled`` or None, and the exit code, which is the negative number of a signal.
        """
        start = time.monotonic()
        reason: Optional[str] = None
        while reason is None and self._is_running():
            self._read_output(self._supervisor.wait(self._supervisor.watch_seconds, self._open_descriptors))
            if seconds is not None and time.monotonic() - start > seconds:
                reason = "timeout"
            elif not ignore_cancel:
                reason = self._supervisor.stop_reason()
        if reason and self._is_running():
            self._terminate()
        process_tree.kill_descendants()
        self._read_output(self._open_descriptors)
        for descriptor in self._open_descriptors:
            os.close(descriptor)
        return reason, self._code or 0

    @property
    def _open_descriptors(self) -> List[int]:
        return [descriptor for descriptor in (self._secrets_pipe, self._output) if descriptor >= 0]

    def _is_running(self) -> bool:
        while self._code is None:
            # Orphans of the job are children of this process, too.
            pid, status = os.waitpid(-1, os.WNOHANG)
            if pid == self._pid:
                self._code = _exit_code(status)
            elif not pid:
                return True
        return False

    def _terminate(self) -> None:
        """Terminate the process, and kill it after the grace period."""
        os.kill(self._pid, signal.SIGTERM)
        deadline = time.monotonic() + self._supervisor.grace_seconds
        while self._is_running() and time.monotonic() < deadline:
            self._read_output(self._supervisor.wait(0.05, self._open_descriptors))
        if self._is_running():
            os.kill(self._pid, signal.SIGKILL)
            while self._is_running():
                time.sleep(0.005)

    def _read_output(self, readable: List[int]) -> None:
        """Write output to the log. Its secrets have been reported before, so they are read first."""
        more = self._output in readable
        while more:
            data = _read(self._output)
            self._read_secrets()
            if data == b"":
                os.close(self._output)
                self._output = -1
            elif data:
                self._capture.write(data)
            more = bool(data) and self._code is not None
        self._read_secrets()

    def _read_secrets(self) -> None:
        data = _read(self._secrets_pipe) if self._secrets_pipe >= 0 else None
        while data:
            *lines, self._rest = (self._rest + data).split(b"\n")
            self._secrets.add(json.loads(line) for line in lines)
            data = _read(self._secrets_pipe)
        if data == b"":
            os.close(self._secrets_pipe)
            self._secrets_pipe = -1


def _read(descriptor: int) -> Optional[bytes]:
    """Return the available data: empty at the end of the file, None if there is none yet."""
    try:
        return os.read(descriptor, 1 << 16)
    except BlockingIOError:
        return None


def _exit_code(status: int) -> int:
    # Python 3.8 does not have os.waitstatus_to_exitcode.
    return -os.WTERMSIG(status) if os.WIFSIGNALED(status) else os.WEXITSTATUS(status)
