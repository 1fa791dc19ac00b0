"""Jobs of the sandbox for tests, within a request and asynchronous."""

from __future__ import annotations

import socket
import struct
import time
from contextlib import contextmanager, suppress
from typing import Any, Callable, Dict, Iterator, List, Mapping, Optional, Tuple

import psutil

from native_api.adapters import sandbox
from native_api.adapters.compat import airflow
from native_api.adapters.sandbox import connection, job_store
from native_api.adapters.sandbox.job_store import UNFINISHED
from native_api.permissions import THIS_PROCESS, Caller, ThisProcess
from native_api.registry import Context
from tests.sandbox import work

#: Has a warm process not make the API of tasks when it has nothing else to do, which takes as long as all else twice.
WITHOUT_API = """
from native_api.adapters.sandbox import server
server._create_execution_api = lambda: None
"""

Cleanup = Optional[Tuple[Callable[..., Any], Mapping[str, Any]]]


class Somebody(ThisProcess):
    """A caller with another name."""

    def __init__(self, name: str) -> None:
        self.name = self.identity = name


def run(
    function: str,
    arguments: Optional[Mapping[str, Any]] = None,
    cleanup: Cleanup = None,
    needs_execution_api: bool = False,
    caller: Caller = THIS_PROCESS,
    client_is_gone: Callable[[], bool] = lambda: False,
    **how: Any,
) -> Any:
    """Run a function of tests/sandbox/work.py as a job, and return its outcome."""
    with airflow().session() as session:
        context = Context(session, caller, operation="a test", client_is_gone=client_is_gone)
        job = sandbox.Job(getattr(work, function), arguments or {}, cleanup, needs_execution_api=needs_execution_api)
        return sandbox.run(context, job, **how)


def start(
    function: str,
    arguments: Optional[Mapping[str, Any]] = None,
    job_id: Optional[str] = None,
    cleanup: Cleanup = None,
    caller: Caller = THIS_PROCESS,
) -> str:
    """Start a function of tests/sandbox/work.py as an asynchronous job, and return the job's id when it runs."""
    given = {} if job_id is None else {"job_id": job_id}
    job = sandbox.Job(getattr(work, function), arguments or {}, cleanup, **given)
    with airflow().session() as session:
        sandbox.run(Context(session, caller, operation="a test"), job, in_background=True)
    return job.job_id


@contextmanager
def another_server() -> Iterator[None]:
    """
    Let jobs run in a warm process with the present configuration, and then in the former one again. A job that runs a
    task creates the execution API itself.
    """
    command, before = connection._COMMAND, connection._warm_process
    call = "main(json"
    connection._COMMAND, connection._warm_process = command.replace(call, f"{WITHOUT_API}{call}"), None
    try:
        yield
    finally:
        stop_warm_process()
        connection._COMMAND, connection._warm_process = command, before


def warm_pid() -> int:
    """Return the process id of the warm process; start it if there is none."""
    channel = connection.warm_process().connect(at_once=True)
    pid, _, _ = struct.unpack("3i", channel._end.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))
    channel.close()
    return int(pid)


def stop_warm_process() -> None:
    """Kill the warm process, if there is one; jobs in the background continue."""
    with suppress(OSError):
        channel = connection._connected(connection.warm_process()._file.read_text())
        pid, _, _ = struct.unpack("3i", channel._end.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))
        channel.close()
        process = psutil.Process(pid)
        process.kill()
        until(lambda: not process.is_running() or process.status() == psutil.STATUS_ZOMBIE)


def wait(job_id: str, *states: str, seconds: float = 60) -> Dict[str, Any]:
    """Wait until a job has one of the states, or has ended; return its state."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        record = job_store.find(sandbox.jobs_folder(), job_id)
        assert record is not None
        job_state = record.state()
        if job_state["state"] in states or job_state["state"] not in UNFINISHED:
            return job_state
        time.sleep(0.02)
    raise AssertionError(f"The job did not become {states}")


def forget(job_id: str) -> None:
    """Delete the record of a job that has ended."""
    record = job_store.find(sandbox.jobs_folder(), job_id)
    assert record is not None
    until(lambda: not record.is_locked())
    record.remove()


def running_supervisors(server: Optional[int] = None) -> List[psutil.Process]:
    """Return the supervisors of the running jobs, each of which has a guard as its parent."""
    guards = _children(psutil.Process(server or warm_pid()))
    watching = [child for guard in guards for child in _children(guard)]
    return [process for process in watching if _children(process)]


def _children(process: psutil.Process) -> List[psutil.Process]:
    try:
        return list(process.children())
    except psutil.NoSuchProcess:
        return []


def until(condition: Callable[[], Any], seconds: float = 60) -> None:
    """Wait until a condition is true."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not come to hold"
        time.sleep(0.02)
