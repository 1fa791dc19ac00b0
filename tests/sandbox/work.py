"""Functions that tests run in the sandbox: well-behaved ones, and others."""

from __future__ import annotations

import ctypes
import math
import os
import signal
import subprocess
import sys
import time
from importlib import import_module
from pathlib import Path
from typing import Any, Dict, List


def add(a: int, b: int) -> int:
    """Print the numbers and return their sum."""
    print("adding", a, b)
    print("on stderr", file=sys.stderr)
    return a + b


def sleep(seconds: float = 600) -> str:
    """Print something, and sleep."""
    print("sleeping", flush=True)
    time.sleep(seconds)
    return "slept"


def what_is_made() -> Dict[str, bool]:
    """Return what existed before this job: the mappers of Airflow's models, and the execution API."""
    from airflow.models.dagrun import DagRun
    from sqlalchemy import inspect

    try:
        from airflow.sdk.execution_time.supervisor import in_process_api_server
    except ImportError:
        return {"models": inspect(DagRun).configured, "api": False}
    made = getattr(in_process_api_server, "cache_info", None)
    return {"models": inspect(DagRun).configured, "api": made is not None and made().currsize > 0}


def touch(path: str) -> None:
    """Create a file."""
    Path(path).touch()


def leave(code: int) -> None:
    """End the process immediately."""
    print("leaving", flush=True)
    os._exit(code)


def leave_politely(code: int) -> None:
    """Call sys.exit()."""
    sys.exit(code)


def fail() -> None:
    """Raise an exception."""
    print("failing")
    raise ValueError("what went wrong")


def interrupt() -> None:
    """Raise KeyboardInterrupt."""
    raise KeyboardInterrupt


def fail_as_the_api_does() -> None:
    """Raise a NativeApiError."""
    from native_api.errors import TaskNotFound

    raise TaskNotFound("a_dag", "a_task")


def be_stubborn() -> None:
    """Sleep, and ignore SIGTERM."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    time.sleep(600)


def finish_late(path: str) -> None:
    """Sleep, and clean up on SIGTERM."""
    try:
        print("begun", flush=True)
        time.sleep(600)
    finally:
        Path(path).touch()


def leave_processes(mark: str, after: str) -> None:
    """Leave a child, one in another session, and two that were forked twice; then do *after*."""
    command = [sys.executable, "-S", "-c", "import time; time.sleep(600)", mark]
    subprocess.Popen(command)
    subprocess.Popen(command, start_new_session=True)
    # It ends when no fork has its writing end any more: the executed ones do not inherit it.
    begun, begins = os.pipe()
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            os.execv(sys.executable, command)
        if os.fork() == 0:
            os.setsid()
            os.close(begins)
            time.sleep(600)
        os._exit(0)
    os.close(begins)
    os.read(begun, 1)
    {"return": lambda: None, "exit": lambda: os._exit(1), "hang": lambda: time.sleep(600)}[after]()


def crash() -> None:
    """Cause a segmentation fault."""
    ctypes.string_at(0)


def eat_memory() -> int:
    """Allocate 8 GiB."""
    return len(bytearray(8 * 1024**3))


def print_much(size: int) -> None:
    """Print that many bytes in numbered lines."""
    line = "x" * 90
    for number in range(size // 100):
        print(f"{number:8} {line}")


def print_and_end(size: int, ends: str) -> None:
    """Print that many bytes, and end the process or continue for ever."""
    sys.stdout.write(("x" * 99 + "\n") * (size // 100))
    sys.stdout.flush()
    {"crashes": lambda: os._exit(3), "hangs": lambda: time.sleep(600)}[ends]()


def print_without_end() -> None:
    """Print for ever."""
    while True:
        print("x" * 1000)


def return_what_json_cannot_hold() -> Any:
    """Return an object."""
    return object()


def return_no_number() -> float:
    """Return NaN."""
    return float("nan")


def return_too_much() -> str:
    """Return 20 MiB."""
    return "x" * 20 * 1024 * 1024


def return_much(size: int) -> str:
    """Return that many characters."""
    return "x" * size


def tell_secrets(key: str, then: str) -> Any:
    """Read a variable, print it, let a subprocess print it, and return or raise it."""
    from airflow.models.variable import Variable

    value = Variable.get(key)
    print("the value is", value, flush=True)
    subprocess.run(["echo", "echoed", value], check=True)
    if then == "raise":
        raise ValueError(f"the value is {value}")
    if then == "exit":
        os._exit(1)
    from native_api.adapters.sandbox.redaction import redacted

    return redacted({"value": value, value: ["nested", value]})


def name_secrets(key: str) -> Any:
    """Read a variable, and return ids with the same text, and a value of DAG code."""
    return {"id": _read(key), _read(key): 1, "theirs": tell_secrets(key, "return")}


def _read(key: str) -> str:
    from airflow.models.variable import Variable

    return str(Variable.get(key))


def count_variables() -> int:
    """Query the database."""
    from airflow.models.variable import Variable
    from sqlalchemy import func, select

    from native_api.adapters.compat import airflow

    with airflow().session() as session:
        count: int = session.scalar(select(func.count()).select_from(Variable))
    return count


def wait_for(path: str) -> str:
    """Wait until a file exists."""
    print("waiting", flush=True)
    while not Path(path).exists():
        time.sleep(0.02)
    return "it is there"


def descriptors() -> List[str]:
    """Return the open file descriptors of this process."""
    numbers = os.listdir("/proc/self/fd")
    return [os.readlink(f"/proc/self/fd/{number}") for number in numbers if os.path.exists(f"/proc/self/fd/{number}")]


def connections(forks: int) -> Any:
    """Return, of this process and of its forks, the initially open connections, and the one that each opens."""
    from native_api.adapters.sandbox.fork_pool import run_in_forks

    own = own_connection(0)
    pieces = run_in_forks(own_connection, range(forks), seconds=60, parallel=forks, until=math.inf)
    return [own, *(fork_result.result for _, fork_result in pieces)]


def run_in_forks_too_late() -> Any:
    """Return the outcomes of items that have no time left."""
    from native_api.adapters.sandbox.fork_pool import run_in_forks

    pieces = run_in_forks(Path.touch, ["a", "b"], seconds=60, parallel=1, until=time.monotonic())
    return [[item, fork_result.state, fork_result.seconds] for item, fork_result in pieces]


def own_connection(number: int) -> Any:
    """Return the initially open connections, and on PostgreSQL the backend process of this one."""
    from sqlalchemy import text

    from native_api.adapters.compat import airflow

    at_first = descriptors()
    with airflow().session() as session:
        is_postgres = session.get_bind().dialect.name == "postgresql"
        found = session.scalar(text("SELECT pg_backend_pid()" if is_postgres else "SELECT 0"))
    return [at_first, found]


def be_there(path: str) -> None:
    """Write the id of this process to a file, and sleep."""
    file = Path(path)
    file.with_suffix(".part").write_text(str(os.getpid()))
    file.with_suffix(".part").rename(file)
    time.sleep(60)


def process_ids() -> Any:
    """Return the ids of this process, its parent, and the warm process."""
    return [os.getpid(), os.getppid()]


def set_variable(key: str, value: str) -> None:
    """Write to the database."""
    import native_api

    native_api.call("set_variable", key=key, value=value)


def as_its_owner(function: str, arguments: Dict[str, Any]) -> Any:
    """Call a job's function with the permissions of the file modes, also if it runs as root."""
    _give_up(_CAP_DAC_OVERRIDE, _CAP_DAC_READ_SEARCH)
    module, name = function.split(":")
    return getattr(import_module(module), name)(**arguments)


_CAP_DAC_OVERRIDE, _CAP_DAC_READ_SEARCH = 1, 2
_CAPABILITY_VERSION_3 = 0x20080522


def _give_up(*capabilities: int) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    header = (ctypes.c_uint32 * 2)(_CAPABILITY_VERSION_3, 0)
    # Effective, permitted and inheritable of the first 32 capabilities, then of the others.
    sets = (ctypes.c_uint32 * 6)()
    if libc.capget(header, sets):
        raise OSError(ctypes.get_errno(), "capget")
    for capability in capabilities:
        sets[0] &= ~(1 << capability)
    if libc.capset(header, sets):
        raise OSError(ctypes.get_errno(), "capset")


def environments() -> List[Dict[str, str]]:
    """Return the environment of this process, and those that it and its ancestors were executed with."""
    parents = [os.getpid(), os.getppid()]
    executed = [Path(f"/proc/{pid}/environ").read_text().split("\0") for pid in parents]
    return [dict(os.environ), *(dict(line.split("=", 1) for line in lines if "=" in line) for lines in executed)]


def configured(section: str, key: str) -> str:
    """Return an option of Airflow."""
    from airflow.configuration import conf

    return str(conf.get(section, key, fallback=""))


def show(path: str) -> Any:
    """Print the content of a file, and return it as a value of DAG code."""
    from native_api.adapters.sandbox.redaction import redacted

    text = Path(path).read_text()
    print(text)
    return redacted(text)
