"""
The connection to the warm process, which all workers of a web server share; the first that needs it starts it.

The warm process listens on a Unix socket in a new folder that only its user can enter. The address is in a file in
``state_dir``, whose name has the process id and the start time of the web server and a digest of the configuration: web
servers never share a warm process, and workers with another configuration get another one. Who starts it locks that
file.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Iterator, List, Optional

import psutil

from native_api import settings
from native_api.adapters import private_files
from native_api.adapters.compat import web_server
from native_api.adapters.sandbox import environment
from native_api.adapters.sandbox.channel import Channel
from native_api.adapters.sandbox.messages import Setup
from native_api.host import hostname

#: The timeout of the import of Airflow, in seconds; on a busy host it takes half a minute.
START_SECONDS = 180
#: The beginning of the names of the folders of sockets.
_PREFIX = "native_api-warm-"
#: Jobs that can wait for the import of Airflow.
_BACKLOG = 128

# It is no child of the web worker: it can live longer, and Airflow 2 counts the children of gunicorn as web workers.
_COMMAND = """
import json, os, sys
if os.fork():
    os._exit(0)
sys.path[:] = json.loads(sys.argv[1])
from native_api.adapters.warm_process import main
main(json.load(sys.stdin))
"""


class WarmProcess:
    """
    The warm process of the web server that this process belongs to.

    It has the configuration that this process had when the instance was created. Forks of this process have the same.
    """

    def __init__(self) -> None:
        self._server = psutil.Process(web_server.pid())
        since = int(self._server.create_time() * 1000)
        folder = Path(settings.get("state_dir")) / "warm" / hostname().replace(os.sep, "-")
        self._file = folder / f"{self._server.pid}-{since}-{_digest()}"

    def connect(self, *, at_once: bool) -> Channel:
        """
        Return a new connection; start the warm process if there is none, without waiting for its imports.

        :param at_once: whether a job needs it. Otherwise it imports Airflow at idle priority.
        :raises OSError: it cannot be started, or has just ended.
        """
        with suppress(OSError):
            return _connected(self._file.read_text())
        with self._locked() as descriptor:
            former = os.pread(descriptor, 4096, 0).decode()
            with suppress(OSError):
                return _connected(former)
            _remove(former)
            self._sweep()
            address = self._start(at_once)
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, address.encode(), 0)
            return _connected(address)

    @contextmanager
    def _locked(self) -> Iterator[int]:
        private_files.folder(self._file.parent)
        descriptor = private_files.opened(self._file, os.O_RDWR | os.O_CREAT)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield descriptor
        finally:
            os.close(descriptor)

    def _start(self, at_once: bool) -> str:
        address = os.path.join(tempfile.mkdtemp(prefix=_PREFIX), "socket")
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(address)
            listener.listen(_BACKLOG)
            setup: Setup = {
                "listener": listener.fileno(),
                "address": address,
                "server": self._server.pid,
                "idle_seconds": settings.get("warm_process_idle_seconds"),
                "at_once": at_once,
                "mask": environment.texts_to_mask(),
            }
            with subprocess.Popen(
                # Unbuffered: the output is complete when a job ends its process without flushing.
                [sys.executable, "-u", "-c", _COMMAND, json.dumps(sys.path)],
                stdin=subprocess.PIPE,
                pass_fds=[listener.fileno()],
                env=environment.job_environment(),
                start_new_session=True,
            ) as starting:
                assert starting.stdin is not None
                # If it has ended already, the connection fails.
                with suppress(BrokenPipeError):
                    starting.stdin.write(json.dumps(setup).encode())
        return address

    def _sweep(self) -> None:
        """Delete what killed web servers have left."""
        for file in self._file.parent.iterdir():
            pid = file.name.partition("-")[0]
            # NFS has files of its own there.
            if pid.isdigit() and not psutil.pid_exists(int(pid)):
                with suppress(FileNotFoundError):
                    _remove(file.read_text())
                    file.unlink()


_warm_process: Optional[WarmProcess] = None
_creating = threading.Lock()


def warm_process() -> WarmProcess:
    """Return the warm process of this web server."""
    global _warm_process
    with _creating:
        if _warm_process is None:
            _warm_process = WarmProcess()
        return _warm_process


def _connected(address: str) -> Channel:
    end = socket.socket(socket.AF_UNIX)
    try:
        end.settimeout(START_SECONDS)
        end.connect(address)
    except OSError:
        end.close()
        raise
    return Channel(end)


def _remove(address: str) -> None:
    """Delete the folder of a socket, and never another, whatever the text is."""
    folder = Path(address).parent
    if folder.name.startswith(_PREFIX):
        shutil.rmtree(folder, ignore_errors=True)


def _digest() -> str:
    """Return a digest of what the warm process reads once: the environment, airflow.cfg, and the code of plugins."""
    from airflow import settings as airflow_settings
    from airflow.configuration import AIRFLOW_CONFIG

    read: List[object] = [sys.executable, sys.path, sorted(environment.kept_variables().items())]
    with suppress(OSError):
        read.append(Path(AIRFLOW_CONFIG).read_text())
    plugins = sorted(Path(airflow_settings.PLUGINS_FOLDER or os.devnull).rglob("*.py"))
    read.append([(os.fspath(path), path.stat().st_mtime_ns) for path in plugins])
    return hashlib.sha256(json.dumps(read).encode()).hexdigest()[:16]
