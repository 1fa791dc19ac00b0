"""On the worker: the task that runs a job, and supervises its process as the sandbox does."""

from __future__ import annotations

import os
import select
import signal
import sys
import tempfile
from pathlib import Path
from types import FrameType
from typing import Any, List, Optional

import native_api.adapters.catalogue  # noqa: F401
from native_api.adapters.executor import functions, sealing
from native_api.adapters.executor.dag import OUTCOME
from native_api.adapters.sandbox import environment, process_tree, redaction
from native_api.adapters.sandbox.capture import Capture, Secrets, tail
from native_api.adapters.sandbox.guard import run_held
from native_api.adapters.sandbox.job_process import JobProcess, wake_on_signals
from native_api.adapters.sandbox.messages import JobRequest, Message
from native_api.errors import NativeApiError
from native_api.host import hostname


def run(dag_run: Any, task_instance: Any) -> None:
    """
    Run the job of a DAG run, and push its outcome as an XCom.

    :param dag_run: the run, whose conf has the request.
    :param task_instance: the running task instance.
    :raises JobError: the job has not succeeded, or this API has not created the run and nothing is executed.
    """
    sealed = (dag_run.conf or {}).get("request")
    if sealed is None:
        raise JobError("This run was not created by airflow-native-api: nothing is executed.")
    try:
        request = _request_of(sealed, dag_run.run_id)
    except _Refused as exc:
        task_instance.xcom_push(key=OUTCOME, value={"refused": str(exc)})
        raise JobError(str(exc)) from exc
    outcome = _Supervisor(request).run()
    task_instance.xcom_push(key=OUTCOME, value={"sealed": sealing.seal({**outcome, "hostname": hostname()})})
    if outcome["state"] != "success":
        raise JobError(f"The job has the state {outcome['state']}.")


class JobError(Exception):
    """The task of a job fails: its DAG run shows the state of the job."""


class _Refused(Exception):
    """This worker does not run a request."""


def _request_of(sealed: str, run_id: str) -> JobRequest:
    """Return the request of a run, if it was made for this run and names a function of ours."""
    try:
        request: JobRequest = sealing.unseal(sealed, lifetime=sealing.LIFETIME)
    except NativeApiError as exc:
        raise _Refused(f"The worker on the host '{hostname()}' has no key: {exc}") from exc
    except sealing.NotSealed as exc:
        raise _Refused(
            f"The worker on the host '{hostname()}' cannot read the request: its [core] fernet_key is another one than "
            "that of the web server, the request is older than a day, or it was not created by airflow-native-api."
        ) from exc
    if request["facts"]["job_id"] != run_id:
        raise _Refused("The request was created for another run.")
    cleanup = request["facts"]["cleanup"]
    for path in [request["function"], *([cleanup[0]] if cleanup else [])]:
        if not functions.is_allowed(path):
            raise _Refused(
                f"The function {path} of the request does not exist in the version of airflow-native-api on the host "
                f"'{hostname()}'."
            )
    return request


class _Supervisor:
    """The task, while the process of its job runs."""

    def __init__(self, request: JobRequest) -> None:
        self._request = request
        self._cancel_requested = False
        self._woken = -1

    @property
    def grace_seconds(self) -> float:
        """The seconds between SIGTERM and SIGKILL."""
        return float(self._request["grace_seconds"])

    @property
    def watch_seconds(self) -> float:
        """The interval at which timeout and cancellation are checked, in seconds."""
        return float(self._request["watch_seconds"])

    def run(self) -> Message:
        """Run the job and return its outcome, with its log tail."""
        _open_standard_descriptors()
        process_tree.adopt_orphans()
        redaction.mask_configured(environment.texts_to_mask())
        before = signal.signal(signal.SIGTERM, self._on_sigterm)
        self._woken, wake = wake_on_signals()
        try:
            with tempfile.TemporaryDirectory(prefix="native-api-job-") as folder:
                return self._run_in(Path(folder), [self._woken, wake])
        finally:
            signal.set_wakeup_fd(-1)
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            signal.signal(signal.SIGTERM, before)
            for descriptor in (self._woken, wake):
                os.close(descriptor)

    def _run_in(self, folder: Path, own_descriptors: List[int]) -> Message:
        request, secrets = self._request, Secrets()
        log = folder / "log"
        output = _Echo(log, request["log_bytes"], secrets)
        process = JobProcess(
            self, request, output, secrets, folder / "result.json", own_descriptors, run_held, on_executor=True
        )
        try:
            outcome = process.run()
        finally:
            # An error of the task itself must not leave the process of the job behind.
            process_tree.kill_descendants()
        output.close()
        text, cut = tail(log, request["tail_bytes"])
        return {**outcome, "log": text, "log_cut": cut}

    def _on_sigterm(self, number: int, frame: Optional[FrameType]) -> None:
        self._cancel_requested = True

    def wait(self, seconds: float, descriptors: List[int]) -> List[int]:
        """Wait at most *seconds* for a signal or data; return the descriptors that have data."""
        readable, _, _ = select.select([*descriptors, self._woken], [], [], seconds)
        if self._woken in readable:
            os.read(self._woken, 4096)
        return [descriptor for descriptor in descriptors if descriptor in readable]

    def stop_reason(self) -> Optional[str]:
        """Return ``cancelled`` after SIGTERM, which Airflow sends to a task whose state has been set, or None."""
        return "cancelled" if self._cancel_requested else None


def _open_standard_descriptors() -> None:
    """Open 0, 1 and 2, if Airflow has closed them: a pipe with such a number would become an output of the job."""
    descriptor = 0
    while descriptor <= 2:
        descriptor = os.open(os.devnull, os.O_RDWR)
    os.close(descriptor)


class _Echo(Capture):
    """The log of the job, which is written to the log of the task, too."""

    def _append(self, data: bytes) -> None:
        super()._append(data)
        sys.stdout.write(data.decode(errors="replace"))
        sys.stdout.flush()
