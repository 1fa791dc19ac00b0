"""Functions that tests run in the sandbox: some do their work, some do all that user code should not."""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
import time
from importlib import import_module
from pathlib import Path
from typing import Any, Dict


def add(a: int, b: int) -> int:
    """Print the numbers and return their sum."""
    print("adding", a, b)
    print("on stderr", file=sys.stderr)
    return a + b


def sleep(seconds: float = 600) -> str:
    """Say so, and sleep."""
    print("sleeping", flush=True)
    time.sleep(seconds)
    return "slept"


def touch(path: str) -> None:
    """Make a file."""
    Path(path).touch()


def leave(code: int) -> None:
    """End the process at once."""
    print("leaving", flush=True)
    os._exit(code)


def leave_politely(code: int) -> None:
    """End as programs do."""
    sys.exit(code)


def fail() -> None:
    """Raise."""
    print("failing")
    raise ValueError("what went wrong")


def interrupt() -> None:
    """Raise what Ctrl-C raises."""
    raise KeyboardInterrupt


def fail_as_the_api_does() -> None:
    """Raise an error of ours."""
    from native_api.errors import TaskNotFound

    raise TaskNotFound("a_dag", "a_task")


def be_stubborn() -> None:
    """Sleep, and do not heed the signal that ends programs."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    time.sleep(600)


def finish_late(path: str) -> None:
    """Sleep, and tidy up when told to end."""
    try:
        time.sleep(600)
    finally:
        Path(path).touch()


def leave_processes(mark: str, after: str) -> None:
    """Leave one process of each kind behind: a child, one in a session of its own, one forked twice; then *after*."""
    command = [sys.executable, "-S", "-c", "import time; time.sleep(600)", mark]
    subprocess.Popen(command)
    subprocess.Popen(command, start_new_session=True)
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            os.execv(sys.executable, command)
        os._exit(0)
    time.sleep(0.3)
    {"return": lambda: None, "exit": lambda: os._exit(1), "hang": lambda: time.sleep(600)}[after]()


def crash() -> None:
    """Read where nothing is."""
    ctypes.string_at(0)


def eat_memory() -> int:
    """Take 8 GiB."""
    return len(bytearray(8 * 1024**3))


def print_much(size: int) -> None:
    """Print that many bytes in lines, numbered."""
    line = "x" * 90
    for number in range(size // 100):
        print(f"{number:8} {line}")


def print_without_end() -> None:
    """Print for ever."""
    while True:
        print("x" * 1000)


def return_what_json_cannot_hold() -> Any:
    """Return an object."""
    return object()


def return_no_number() -> float:
    """Return what JSON has no word for."""
    return float("nan")


def return_too_much() -> str:
    """Return 20 MiB."""
    return "x" * 20 * 1024 * 1024


def tell_secrets(key: str, then: str) -> Any:
    """Read a variable, print it, have a subprocess print it, and return it or raise it."""
    from airflow.models.variable import Variable

    value = Variable.get(key)
    print("the value is", value, flush=True)
    subprocess.run(["echo", "echoed", value], check=True)
    if then == "raise":
        raise ValueError(f"the value is {value}")
    if then == "exit":
        os._exit(1)
    return {"value": value, value: ["nested", value]}


def count_variables() -> int:
    """Read the database."""
    from airflow.models.variable import Variable
    from sqlalchemy import func, select

    from native_api.adapters.seam import airflow

    with airflow().session() as session:
        count: int = session.scalar(select(func.count()).select_from(Variable))
    return count


def process_ids() -> Any:
    """Return this process, its parent, and the server that both were forked from."""
    return [os.getpid(), os.getppid()]


def set_variable(key: str, value: str) -> None:
    """Write to the database."""
    import native_api

    native_api.call("set_variable", key=key, value=value)


def as_its_owner(function: str, arguments: Dict[str, Any]) -> Any:
    """Call a job's function where root, too, goes by the rights that a file's owner has."""
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
