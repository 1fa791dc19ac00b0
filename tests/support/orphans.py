"""
Run a command as the parent of its orphans, so that their CPU seconds are counted with its own.

    python tests/support/orphans.py COMMAND ...

The sandbox's warm process is such an orphan, and with it all jobs.
"""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from typing import Dict, List

#: The environment variable with the process id of the process that adopts the orphans.
VARIABLE = "NATIVE_API_TESTS_REAPER"
#: How long orphans can outlive the command and still be counted, in seconds.
LONGEST_WAIT = 10.0
_PR_SET_CHILD_SUBREAPER = 36


def adopt_orphans() -> Dict[str, str]:
    """Let this process adopt the orphans of its descendants; return the environment for these. Only Linux can."""
    with suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    return {**os.environ, VARIABLE: str(os.getpid())}


def main(command: List[str]) -> int:
    """Run the command, wait for it and for its orphans, and return its exit code."""
    process = subprocess.Popen(command, env=adopt_orphans())
    # Ctrl-C goes to the command, too, which decides.
    signal.signal(signal.SIGINT, lambda *_: None)
    signal.signal(signal.SIGTERM, lambda *_: process.send_signal(signal.SIGTERM))
    pid, status = 0, 0
    while pid != process.pid:
        pid, status = os.waitpid(-1, 0)
    # It can have the process id of another process from now on.
    process.returncode = 128 + os.WTERMSIG(status) if os.WIFSIGNALED(status) else os.WEXITSTATUS(status)
    deadline = time.monotonic() + LONGEST_WAIT
    with suppress(ChildProcessError):
        while time.monotonic() < deadline:
            if not os.waitpid(-1, os.WNOHANG)[0]:
                time.sleep(0.05)
    return process.returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
