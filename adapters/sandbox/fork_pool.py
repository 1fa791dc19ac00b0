"""Run a function on many items within one job, each item in a fork: a crash does not affect the other items."""

from __future__ import annotations

import json
import os
import signal
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Callable, Generic, Iterator, List, Optional, Sequence, Tuple, TypeVar

from native_api.adapters.compat import airflow
from native_api.adapters.sandbox import process_tree
from native_api.adapters.sandbox.messages import CallOutcome, ErrorData
from native_api.adapters.sandbox.worker import ending, outcome_of_call

Item = TypeVar("Item")


@dataclass(frozen=True)
class ForkResult:
    """The outcome for one item: the state is success, failed, crashed or timeout, *seconds* is the duration."""

    state: str
    seconds: float
    result: Any = None
    error: Optional[ErrorData] = None
    exit_code: Optional[int] = None


#: An item is not started if fewer seconds are left.
_MINIMUM = 0.05


def run_in_forks(
    function: Callable[[Item], object], items: Sequence[Item], *, seconds: float, parallel: int, until: float
) -> Iterator[Tuple[Item, ForkResult]]:
    """
    Run ``function(item)`` for each item in a fork of this process, and yield each result as soon as it ends.

    No session can be open in this process: the forks would share its connection, and close it when they end.

    :param seconds: the timeout of one item.
    :param parallel: the number of forks that run at once.
    :param until: the deadline of all items, on the monotonic clock. While items wait, the timeout of each is at most
        half of the time that is left. An item that has not started at the deadline has the state timeout.
    """
    process_tree.adopt_orphans()
    left = list(items)
    running: List[_Fork[Item]] = []
    with tempfile.TemporaryDirectory() as folder:
        try:
            while left or running:
                while left and len(running) < parallel:
                    some_wait = len(left) > parallel - len(running)
                    allowed = min(seconds, (until - time.monotonic()) / (2 if some_wait else 1))
                    if allowed < _MINIMUM:
                        yield left.pop(0), ForkResult("timeout", 0)
                    else:
                        running.append(_Fork(function, left.pop(0), Path(folder), allowed))
                time.sleep(0.005)
                for fork in [fork for fork in running if fork.has_ended()]:
                    running.remove(fork)
                    yield fork.item, fork.fork_result()
        finally:
            for fork in running:
                fork.kill()


class _Fork(Generic[Item]):
    def __init__(self, function: Callable[[Item], object], item: Item, folder: Path, seconds: float) -> None:
        self.item, self._seconds, self._begun = item, seconds, time.monotonic()
        self._code: Optional[int] = None
        self._is_late = False
        parent = os.getpid()
        self._pid = os.fork()
        self._result = folder / str(self._pid or os.getpid())
        if self._pid == 0:
            self._become(parent, function)

    def _become(self, parent: int, function: Callable[[Item], object]) -> None:
        with ending():
            os.setsid()
            process_tree.die_with_parent(parent)
            airflow().user_code.leave_connections()
            outcome = outcome_of_call(lambda: function(self.item))
            self._result.write_text(json.dumps(outcome, default=str))

    def has_ended(self) -> bool:
        if self._code is None:
            pid, status = os.waitpid(self._pid, os.WNOHANG)
            if pid:
                self._code = -os.WTERMSIG(status) if os.WIFSIGNALED(status) else os.WEXITSTATUS(status)
                self._kill_group()
            elif time.monotonic() - self._begun > self._seconds:
                self._is_late = True
                self.kill()
        return self._code is not None

    def kill(self) -> None:
        """Kill the fork and its session."""
        if self._code is None:
            self._kill_group()
            os.kill(self._pid, signal.SIGKILL)
            os.waitpid(self._pid, 0)
            self._code = -signal.SIGKILL

    def _kill_group(self) -> None:
        try:
            os.killpg(self._pid, signal.SIGKILL)
        except (ProcessLookupError, PermissionError):
            # The session has ended, or does not exist yet.
            return

    def fork_result(self) -> ForkResult:
        """Return the outcome of an ended fork."""
        seconds = round(time.monotonic() - self._begun, 3)
        if self._is_late:
            return ForkResult("timeout", seconds, exit_code=self._code)
        if self._code or not self._result.exists():
            return ForkResult("crashed", seconds, exit_code=self._code)
        outcome: CallOutcome = json.loads(self._result.read_text())
        return ForkResult("failed" if "error" in outcome else "success", seconds, **outcome)
