"""
The process of a daemon: start it outside of the web server's process tree, find it by pid and start time, stop it.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from contextlib import ExitStack, suppress
from datetime import datetime, timezone
from typing import Dict, List, Optional

import psutil

from native_api.adapters.compat import airflow
from native_api.adapters.daemons import folder, launch
from native_api.adapters.daemons.launch import Launch, NewRecord, Record
from native_api.errors import Refused

PAUSE_SECONDS = 0.05


def find(record: Record) -> Optional[psutil.Process]:
    """Return the daemon's process, None if it has ended, or another process has its pid."""
    try:
        if launch.identity(record["pid"]) != record["identity"]:
            return None
        process = psutil.Process(record["pid"])
        return None if process.status() == psutil.STATUS_ZOMBIE else process
    except (OSError, psutil.NoSuchProcess):
        return None


def start(record: NewRecord, command: List[str]) -> Record:
    """
    Start the command in a session of its own, outside of this process's tree, and return the record with its pid.

    :raises Refused: the process could not be started.
    """
    path = folder.record_path(record["name"])
    job: Launch = {
        "record": record,
        "path": path,
        "command": command,
        "environment": _environment(),
    }
    complaint = _launch(json.dumps(job), record)
    started = folder.read_record(record["name"])
    if complaint or started is None or started["started_at"] != record["started_at"]:
        with suppress(FileNotFoundError):
            os.unlink(path)
        raise Refused(f"The daemon '{record['name']}' could not be started: {complaint or 'no reason is known'}.")
    return started


def _launch(job: str, record: NewRecord) -> str:
    """Run the launcher, and return the reason if it could not become the daemon."""
    error_pipe, error_end = os.pipe()
    with os.fdopen(error_pipe, "rb") as complaint, ExitStack() as ours:
        ours.callback(os.close, error_end)
        append = os.O_WRONLY | os.O_APPEND | os.O_CREAT
        logs = [folder.open_log(path, append) for path in (record["stdout"], record["stderr"])]
        for descriptor in logs:
            ours.callback(os.close, descriptor)
        launcher = subprocess.Popen(
            [sys.executable, "-I", launch.__file__, str(error_end)],
            stdin=subprocess.PIPE,
            stdout=logs[0],
            stderr=logs[1],
            pass_fds=(error_end,),
        )
        launcher.communicate(job.encode())
        ours.close()
        return complaint.read().decode(errors="replace")


def _environment() -> Dict[str, str]:
    own = airflow().daemons.own_variables
    return {name: value for name, value in os.environ.items() if name not in own}


def stop(process: psutil.Process, grace_seconds: float) -> List[int]:
    """
    Send SIGTERM to the process only; after the timeout, kill it and its descendants.

    :return: the pids of the killed processes, empty if it exited by itself.
    """
    with suppress(psutil.NoSuchProcess):
        process.send_signal(signal.SIGTERM)
    if not _alive([process], grace_seconds):
        return []
    with suppress(psutil.NoSuchProcess):
        # Suspended first, so that it starts no child between the listing of its children and its end.
        process.suspend()
    family = [process, *_children(process)]
    for member in family:
        with suppress(psutil.NoSuchProcess):
            member.kill()
    _alive(family, 5)
    return [member.pid for member in family]


def _children(process: psutil.Process) -> List[psutil.Process]:
    with suppress(psutil.NoSuchProcess):
        children: List[psutil.Process] = process.children(recursive=True)
        return children
    return []


def _alive(family: List[psutil.Process], seconds: float) -> List[psutil.Process]:
    """Return the processes that are alive after so many seconds, or earlier if none is."""
    end = time.monotonic() + seconds
    while True:
        alive = [process for process in family if not _has_ended(process)]
        if not alive or time.monotonic() >= end:
            return alive
        time.sleep(PAUSE_SECONDS)


def _has_ended(process: psutil.Process) -> bool:
    # In a container nobody may reap what has ended.
    try:
        return not process.is_running() or process.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def now() -> str:
    """Return the present time in the format of records."""
    return datetime.now(timezone.utc).isoformat()
