"""
The supervisor of a task of Airflow 3 that is tested: it reads through Airflow's own API, and writes nothing.

In the sandbox of a web server the API runs in the process. On a worker, where the test runs within a task of the
executor, it is that of the server, which the supervisor of that task asks.
"""

from __future__ import annotations

import os
from contextlib import contextmanager, nullcontext
from importlib import import_module
from typing import Any, ContextManager, Dict, Iterator, Mapping, Optional, Tuple

from native_api.adapters.compat.installed import airflow

#: Messages with the state of a task, which a test does not record.
NOT_RECORDED = frozenset(
    """
    SucceedTask TaskState RetryTask DeferTask RescheduleTask SkipDownstreamTasks
    SetRenderedFields SetRenderedMapIndex SetExecutionTimeout UpdateDagRunNote
    """.split()
)


class InMemorySupervisor:
    """The supervisor of one task instance, which writes nothing about it."""

    def __init__(self, runtime: Any, previous_success: Optional[Mapping[str, Any]], outer: Any) -> None:
        self._runtime = runtime
        self._previous_success = previous_success
        self._outer = outer
        self._xcoms: Dict[Tuple[Any, ...], Any] = {}
        self._states: Dict[str, Any] = {}
        self._supervisor: Any = None
        self._own = (runtime.dag_id, runtime.run_id, runtime.task_id, _index(runtime))

    def xcom(self, key: str) -> Any:
        """Return what the task has pushed under that key, as it would be stored."""
        return self._xcoms.get((*self._own, key))

    def send(self, msg: object) -> Any:
        """Return the response to a message of the task."""
        name = type(msg).__name__
        if name in NOT_RECORDED:
            return None
        own = getattr(self, f"_{name}", None)
        if own is not None:
            return own(msg)
        return self._asked(msg)

    async def asend(self, msg: object) -> Any:
        """Return the response to a message of a trigger."""
        return self.send(msg)

    def reachable(self) -> ContextManager[object]:
        """Return a context manager in which processes of the task can reach Airflow, if this version supports it."""
        # Since 3.1 an operator with its own environment reaches the supervisor by a socket.
        setup = None if self._outer is not None else getattr(self._real(), "_setup_subprocess_socket", None)
        return nullcontext() if setup is None else setup()

    def _asked(self, msg: Any) -> Any:
        if self._outer is not None:
            with _comms(self._outer):
                response = self._outer.send(msg)
            _mask(response)
            return response
        with _comms(None):
            self._real()._handle_request(msg, _logger(), 0)
        return self._supervisor.comms.messages.popleft()

    def _real(self) -> Any:
        if self._supervisor is None:
            self._supervisor = _supervisor(self._runtime, self)
        return self._supervisor

    # XComs: those of other tasks are read from the database, its own are kept in memory

    def _SetXCom(self, msg: Any) -> None:
        self._xcoms[_key(msg)] = msg.value

    def _DeleteXCom(self, msg: object) -> None:
        self._xcoms.pop(_key(msg), None)

    def _GetXCom(self, msg: Any) -> Any:
        from airflow.sdk.execution_time.comms import XComResult

        key = _key(msg)
        if key in self._xcoms or (key[:-1] == self._own and not msg.include_prior_dates):
            return XComResult(key=msg.key, value=self._xcoms.get(key))
        return self._asked(msg)

    def _GetXComSequenceSlice(self, msg: Any) -> Any:
        from airflow.sdk.execution_time.comms import XComSequenceSliceResult

        # A pull without map_index requests those of all instances.
        own = (*self._own, msg.key)
        if (msg.dag_id, msg.run_id, msg.task_id, -1) != self._own or msg.include_prior_dates:
            return self._asked(msg)
        mine = [self._xcoms[own]] if own in self._xcoms else []
        return XComSequenceSliceResult(root=mine[msg.start : msg.stop : msg.step])

    # What Airflow looks up by the id of the instance, which does not exist

    def _ValidateInletsAndOutlets(self, msg: object) -> Any:
        from airflow.sdk.execution_time.comms import InactiveAssetsResult

        return InactiveAssetsResult(inactive_assets=[])

    def _GetTaskRescheduleStartDate(self, msg: object) -> Any:
        from airflow.sdk.execution_time.comms import TaskRescheduleStartDate

        return TaskRescheduleStartDate(start_date=None)

    def _GetPrevSuccessfulDagRun(self, msg: Any) -> Any:
        from airflow.sdk.execution_time.comms import PrevSuccessfulDagRunResult

        return PrevSuccessfulDagRunResult(**(self._previous_success or {}))

    def _CreateHITLDetailPayload(self, msg: object) -> Any:
        # Human-in-the-loop tasks exist since 3.1; nobody could respond to one that is not in the database.
        raise RuntimeError("A human-in-the-loop task cannot be tested: nobody can respond.")

    # The state store of tasks, since 3.3

    def _GetTaskStateStore(self, msg: Any) -> Any:
        from airflow.sdk.exceptions import ErrorType
        from airflow.sdk.execution_time.comms import ErrorResponse, TaskStateStoreResult

        if msg.key in self._states:
            return TaskStateStoreResult(value=self._states[msg.key])
        return ErrorResponse(error=ErrorType.TASK_STORE_NOT_FOUND, detail={"key": msg.key})

    def _SetTaskStateStore(self, msg: Any) -> Any:
        self._states[msg.key] = msg.value
        return _ok()

    def _DeleteTaskStateStore(self, msg: Any) -> Any:
        self._states.pop(msg.key, None)
        return _ok()

    def _ClearTaskStateStore(self, msg: object) -> Any:
        self._states.clear()
        return _ok()


@contextmanager
def in_memory_supervisor(runtime: Any, previous_success: Optional[Mapping[str, Any]]) -> Iterator[InMemorySupervisor]:
    """
    Return a context manager in which an in-memory supervisor handles the messages of the task.

    :param previous_success: the facts of the last successful run before.
    """
    supervisor = InMemorySupervisor(runtime, previous_success, outer_comms())
    with _comms(supervisor):
        yield supervisor


def _comms(comms: Optional[InMemorySupervisor]) -> Any:
    from airflow.sdk.execution_time.supervisor import set_supervisor_comms

    return set_supervisor_comms(comms)


def _mask(response: Any) -> None:
    """Mask what is sensitive in a response, as a supervisor does in its own process."""
    kind = type(response).__name__
    if kind == "VariableResult":
        _mask_text(response.value, response.key)
    elif kind == "ConnectionResult":
        _mask_text(response.password, None)
        _mask_text(response.extra, None)


def _mask_text(text: Optional[str], name: Optional[str]) -> None:
    for module in airflow().user_code.maskers if text else ():
        import_module(module).mask_secret(text, name)


def outer_comms() -> Any:
    """Return the link to the supervisor of the task that this process belongs to; None if it belongs to none."""
    from airflow.sdk.execution_time import task_runner

    return getattr(task_runner, "SUPERVISOR_COMMS", None)


def _logger() -> Any:
    import structlog

    return structlog.get_logger(logger_name="supervisor")


def _supervisor(runtime: Any, in_memory: InMemorySupervisor) -> Any:
    """Return Airflow's own supervisor for a task in this process, without the task."""
    import psutil
    from airflow.sdk.execution_time.supervisor import InProcessSupervisorComms, InProcessTestSupervisor

    process: Any = psutil.Process()
    supervisor = InProcessTestSupervisor(
        id=runtime.id,
        pid=os.getpid(),
        process=process,
        process_log=_logger(),
        client=InProcessTestSupervisor._api_client(runtime.task.dag),
    )
    supervisor.comms = InProcessSupervisorComms(supervisor=supervisor)
    supervisor.ti = runtime
    return supervisor


def _key(msg: Any) -> Tuple[object, ...]:
    return (msg.dag_id, msg.run_id, msg.task_id, _index(msg), msg.key)


def _index(named: Any) -> int:
    return -1 if named.map_index is None else int(named.map_index)


def _ok() -> Any:
    from airflow.sdk.execution_time.comms import OKResponse

    return OKResponse(ok=True)
