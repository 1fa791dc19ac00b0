"""A function in a process of its own, watched over until nothing of it is left."""

from __future__ import annotations

import json
import os
import signal
import time
from typing import TYPE_CHECKING, List, Optional, Tuple

from native_api.adapters.sandbox import process_tree
from native_api.adapters.sandbox.capture import Capture, Secrets

if TYPE_CHECKING:
    from native_api.adapters.sandbox.supervisor import Supervisor


class Process:
    """One function in a process of its own, and what it prints."""

    def __init__(self, watch: Supervisor, started: Tuple[int, int, int], capture: Capture, secrets: Secrets) -> None:
        self._watch, self._capture, self._secrets = watch, capture, secrets
        self._pid, self._output, self._told = started
        for descriptor in (self._output, self._told):
            os.set_blocking(descriptor, False)
        self._rest = b""
        self._code: Optional[int] = None

    def end(self, seconds: Optional[float], *, stubborn: bool = False) -> Tuple[Optional[str], int]:
        """
        Wait for the end, and bring it about after *seconds*; nothing of the process is left then.

        :param stubborn: go on though nobody wants it any more.
        :return: why it was ended, or None, and its exit code, which is a signal's number below zero.
        """
        begun = time.monotonic()
        reason: Optional[str] = None
        while reason is None and self._is_running():
            self._take(self._watch.look(self._watch.watch_seconds, self._open))
            if seconds is not None and time.monotonic() - begun > seconds:
                reason = "timeout"
            elif not stubborn:
                reason = self._watch.reason_to_end()
        if reason and self._is_running():
            self._tell_to_end()
        process_tree.kill_descendants()
        self._take(self._open)
        for descriptor in self._open:
            os.close(descriptor)
        return reason, self._code or 0

    @property
    def _open(self) -> List[int]:
        return [descriptor for descriptor in (self._told, self._output) if descriptor >= 0]

    def _is_running(self) -> bool:
        while self._code is None:
            # Orphans of the job come to us too.
            pid, status = os.waitpid(-1, os.WNOHANG)
            if pid == self._pid:
                self._code = _exit_code(status)
            elif not pid:
                return True
        return False

    def _tell_to_end(self) -> None:
        """Terminate the process, and kill it after the grace period."""
        os.kill(self._pid, signal.SIGTERM)
        deadline = time.monotonic() + self._watch.grace_seconds
        while self._is_running() and time.monotonic() < deadline:
            self._take(self._watch.look(0.05, self._open))
        if self._is_running():
            os.kill(self._pid, signal.SIGKILL)
            while self._is_running():
                time.sleep(0.005)

    def _take(self, readable: List[int]) -> None:
        """Take what was printed, a part at a time while the process runs; the secrets in it were told before."""
        more = self._output in readable
        while more:
            data = _read(self._output)
            self._learn()
            if data == b"":
                os.close(self._output)
                self._output = -1
            elif data:
                self._capture.write(data)
            more = bool(data) and self._code is not None
        self._learn()

    def _learn(self) -> None:
        data = _read(self._told) if self._told >= 0 else None
        while data:
            *lines, self._rest = (self._rest + data).split(b"\n")
            self._secrets.add(json.loads(line) for line in lines)
            data = _read(self._told)
        if data == b"":
            os.close(self._told)
            self._told = -1


def _read(descriptor: int) -> Optional[bytes]:
    """Return what can be read: nothing at the end, None where there is nothing yet."""
    try:
        return os.read(descriptor, 1 << 16)
    except BlockingIOError:
        return None


def _exit_code(status: int) -> int:
    # os.waitstatus_to_exitcode is younger than Python 3.8.
    return -os.WTERMSIG(status) if os.WIFSIGNALED(status) else os.WEXITSTATUS(status)
