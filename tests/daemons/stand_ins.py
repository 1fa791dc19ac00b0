"""Programs in place of daemons, and how to observe them."""

from __future__ import annotations

import time
from typing import Any, Callable, Dict

import native_api

DEADLINE_SECONDS = 60
SLEEPS = "import time; print('begun', flush=True); time.sleep(600)"
DEAF = f"import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); {SLEEPS}"
WITH_A_CHILD = (
    "import subprocess, sys; child = subprocess.Popen([sys.executable, '-c', sys.argv[1]], start_new_session=True); "
    f"print('child', child.pid, flush=True); {DEAF}"
)


def eventually(question: Callable[[], Any]) -> Any:
    """Wait until a function returns a true value, and return it."""
    end = time.monotonic() + DEADLINE_SECONDS
    while not question():
        assert time.monotonic() < end
        time.sleep(0.02)
    return question()


def start(daemon: str, **arguments: Any) -> Dict[str, Any]:
    """Start a daemon without waiting."""
    return native_api.call("start_daemon", daemon=daemon, wait_seconds=0, **arguments)


def read_log(name: str) -> str:
    """Return the output of a daemon."""
    return str(native_api.call("daemon_log", name=name)["content"])


def state(name: str) -> str:
    """Return the state of a daemon."""
    return str(native_api.call("daemon_state", name=name)["state"])
