"""The parent process of a supervisor: if the supervisor is killed, it kills the processes of the job."""

from __future__ import annotations

import os
import signal
from contextlib import suppress
from typing import Any, Callable, NoReturn

from native_api.adapters.sandbox import process_tree


def run_guarded(supervise: Callable[[], None]) -> NoReturn:
    """
    Run a function in a child process and exit after it.

    If the child fails or is killed, all its descendants are killed.
    """
    os.setsid()
    _redirect_to_null()
    process_tree.adopt_orphans()
    supervisor = os.fork()
    if supervisor == 0:
        _run(supervise)
    # A signal to the whole process group reaches the supervisor, too, which terminates the job.
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    _, status = os.waitpid(supervisor, 0)
    if status:
        process_tree.kill_descendants()
    os._exit(0)


def run_held(run: Callable[[], None]) -> NoReturn:
    """
    Run a function in a child process, and exit as the child does.

    If the parent of this process ends, however it does, all processes below this one are killed. SIGTERM goes to the
    child.
    """
    parent, this = os.getppid(), os.getpid()
    process_tree.adopt_orphans()
    child = os.fork()
    if child == 0:
        process_tree.die_with_parent(this)
        _run(run)

    def on_sigterm(number: int, frame: Any) -> None:
        if os.getppid() != parent:
            process_tree.kill_descendants()
            os._exit(1)
        with suppress(ProcessLookupError):
            os.kill(child, signal.SIGTERM)

    signal.signal(signal.SIGTERM, on_sigterm)
    process_tree.terminate_with_parent(parent)
    _, status = os.waitpid(child, 0)
    process_tree.kill_descendants()
    if os.WIFSIGNALED(status):
        # What has ended the child ends this process: its own handler is gone.
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        os.kill(this, os.WTERMSIG(status))
    os._exit(os.WEXITSTATUS(status))


def _run(supervise: Callable[[], None]) -> NoReturn:
    code = 1
    try:
        supervise()
        code = 0
    finally:
        os._exit(code)


def _redirect_to_null() -> None:
    # A job in the background would keep the output of the web server open.
    null = os.open(os.devnull, os.O_RDWR)
    for descriptor in (0, 1, 2):
        os.dup2(null, descriptor)
    os.close(null)
