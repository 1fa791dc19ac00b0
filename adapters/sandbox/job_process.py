"""Run the function of a job in a fork, and its cleanup: what supervisors of the sandbox and of the executor share."""

from __future__ import annotations

import json
import os
import signal
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Callable, List, Mapping, Optional, Tuple

from native_api.adapters.sandbox import process_tree, worker
from native_api.adapters.sandbox.capture import Capture, Secrets
from native_api.adapters.sandbox.messages import Call, JobRequest, State
from native_api.adapters.sandbox.watched_process import Process, Watch


@dataclass
class JobProcess:
    """
    The process of a job.

    :param supervisor: the supervisor of the job.
    :param request: the job, and its limits.
    :param output: the log.
    :param result: the file that the process writes its result to.
    :param own_descriptors: descriptors of the supervisor, which the process closes.
    :param guard: runs a function in place of this process; see :func:`native_api.adapters.sandbox.guard.run_held`.
    :param on_executor: whether the supervisor is a task that Airflow's executor runs.
    """

    supervisor: Watch
    request: JobRequest
    output: Capture
    secrets: Secrets
    result: Path
    own_descriptors: List[int] = field(default_factory=list)
    guard: Callable[[Callable[[], None]], None] = lambda run: run()
    on_executor: bool = False

    def run(self) -> State:
        """Run the function of the job and, if its process did not end by itself, the cleanup; return the outcome."""
        start, seconds = time.monotonic(), self.request["seconds"]
        started = self._start(self.request["function"], self.request["arguments"], seconds)
        reason, code = Process(self.supervisor, started, self.output, self.secrets).end(seconds)
        outcome: State = {**_outcome(reason, code, self.result), "seconds": round(time.monotonic() - start, 3)}
        if outcome["state"] not in ("success", "failed"):
            self.clean_up(self.request["facts"]["cleanup"])
        return outcome

    def clean_up(self, cleanup: Optional[Call]) -> None:
        """Run a cleanup function; *cleanup* can be None."""
        if cleanup:
            seconds = self.request["cleanup_seconds"]
            function, arguments = cleanup
            started = self._start(function, arguments, seconds)
            Process(self.supervisor, started, self.output, self.secrets).end(seconds, ignore_cancel=True)

    def _start(self, function: str, arguments: Mapping[str, object], seconds: float) -> Tuple[int, int, int]:
        """Run a function in a fork; return its process id and the descriptors of its output and of its secrets."""
        parent = os.getpid()
        output, output_end = os.pipe()
        secrets, secrets_end = os.pipe()
        pid = os.fork()
        if pid == 0:
            self._become_worker(parent, output_end, [output, secrets])
            self.guard(lambda: self._work(function, arguments, secrets_end, seconds))
        os.close(output_end)
        os.close(secrets_end)
        return pid, output, secrets

    def _work(self, function: str, arguments: Mapping[str, object], secrets: int, seconds: float) -> None:
        worker.run(
            function,
            arguments,
            result=self.result,
            secrets_descriptor=secrets,
            result_bytes=self.request["result_bytes"],
            memory_mb=self.request["memory_mb"],
            seconds=seconds,
            on_executor=self.on_executor,
        )

    def _become_worker(self, parent: int, output: int, others: List[int]) -> None:
        os.setsid()
        process_tree.die_with_parent(parent)
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        for descriptor in (1, 2):
            os.dup2(output, descriptor)
        for descriptor in [*self.own_descriptors, *others, output]:
            os.close(descriptor)


def wake_on_signals() -> Tuple[int, int]:
    """Return both ends of a pipe that has data whenever this process has got a signal."""
    woken, wake = os.pipe()
    for descriptor in (woken, wake):
        os.set_blocking(descriptor, False)
    signal.set_wakeup_fd(wake, warn_on_full_buffer=False)
    signal.signal(signal.SIGCHLD, lambda number, frame: None)
    return woken, wake


def _outcome(reason: Optional[str], code: int, result: Path) -> State:
    """Return the state of the job, and its result, its error or its exit code."""
    if reason:
        return {"state": reason, "exit_code": code}
    try:
        outcome: State = json.loads(result.read_text())
    except (OSError, ValueError):
        return {"state": "crashed", "exit_code": code}
    if code:
        return {"state": "crashed", "exit_code": code}
    outcome["state"] = "failed" if "error" in outcome else "success"
    return outcome
