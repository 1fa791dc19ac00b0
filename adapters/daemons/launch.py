"""
The short program between the web server and a daemon.

It is run by its path in a new interpreter, reads what to start from its standard input, leaves the web server's
process tree, writes the daemon's record and becomes the daemon. So no daemon runs without a record, none is a child
of a web worker, and none holds anything of one.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from typing import Dict, List, Optional, TypedDict


class NewRecord(TypedDict):
    """What is known of a daemon before its process starts."""

    name: str
    daemon: str
    hostname: str
    started_at: str
    stopped_at: Optional[str]
    #: Its command line, with secrets masked.
    command: List[str]
    pid_file: str
    log_file: str
    stdout: str
    stderr: str
    #: The size of *stderr* at its start.
    errors_begin: int


class Record(NewRecord):
    """The record of a daemon."""

    pid: int
    #: See :func:`identity`.
    identity: str


class Launch(TypedDict):
    """What the launcher reads: the record, its path, and what to execute."""

    record: NewRecord
    path: str
    command: List[str]
    environment: Dict[str, str]


def identity(pid: int) -> str:
    """
    Return the boot id and start time of a process, which identify it among all processes with the same pid.

    :raises OSError: there is no such process.
    """
    try:
        with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as opened:
            boot = opened.read().strip()
    except FileNotFoundError:
        return _created(pid)
    with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as opened:
        # The name, which may have anything in it, ends with the last parenthesis; the 22nd field is the start.
        return f"{boot} {opened.read().rpartition(')')[2].split()[19]}"


def _created(pid: int) -> str:
    import psutil

    try:
        return str(int(psutil.Process(pid).create_time()))
    except psutil.NoSuchProcess as exc:
        raise ProcessLookupError(pid) from exc


def replace(path: str, text: str) -> None:
    """Replace a file by one that only its owner can read."""
    new = f"{path}.{os.getpid()}"
    descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as opened:
        opened.write(text)
    os.replace(new, path)


def run_daemon(job: Launch, error_pipe: int) -> None:
    """Become the daemon; if that fails, write the reason to *error_pipe* and exit."""
    try:
        _detach_from_web_server()
        record: Record = {**job["record"], "pid": os.getpid(), "identity": identity(os.getpid())}
        replace(record["pid_file"], f"{os.getpid()}\n")
        try:
            replace(job["path"], json.dumps(record))
            os.execve(job["command"][0], job["command"], job["environment"])
        except OSError:
            os.unlink(record["pid_file"])
            raise
    except OSError as exc:
        os.write(error_pipe, str(exc).encode())
        os._exit(1)


def _detach_from_web_server() -> None:
    os.setsid()
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    for number in range(1, signal.NSIG):
        if number not in (signal.SIGKILL, signal.SIGSTOP):
            _reset_signal(number)


def _reset_signal(number: int) -> None:
    try:
        signal.signal(number, signal.SIG_DFL)
    except (OSError, ValueError):
        # The C library keeps some for itself.
        return


def main() -> None:
    """Start what standard input describes; the pipe whose number is the argument is closed once it runs."""
    job = json.load(sys.stdin)
    error_pipe = int(sys.argv[1])
    if os.fork() == 0:
        os.set_inheritable(error_pipe, False)
        run_daemon(job, error_pipe)
    os._exit(0)


if __name__ == "__main__":
    main()
