"""What is wrong with a daemon, or with where its files are to lie."""

from __future__ import annotations

from dataclasses import dataclass
from http import HTTPStatus
from typing import Optional

from native_api.errors.base import NativeApiError
from native_api.errors.conflicts import Conflict
from native_api.errors.missing import NotFound


@dataclass(eq=False)
class NotInDaemonsDir(NativeApiError):
    """A path is not in daemons_dir, or is not a pid file or a log."""

    code = "path_outside_daemons_dir"
    status = HTTPStatus.FORBIDDEN
    file: str

    def __str__(self) -> str:
        return (
            f"The path '{self.file}' does not lead to a file below the option [native_api] daemons_dir; "
            "pid files end with .pid, logs with .log, .out or .err."
        )


@dataclass(eq=False)
class DaemonNotFound(NotFound):
    """This API has started no daemon of that name here."""

    code = "daemon_not_found"
    name: str
    hostname: str

    def __str__(self) -> str:
        return (
            f"This API has started no daemon '{self.name}' on the host '{self.hostname}'; daemons of other hosts are "
            "known to their web servers, or to all that share the folder [native_api] state_dir."
        )


@dataclass(eq=False)
class DaemonIsElsewhere(Conflict):
    """The daemon runs on another host."""

    code = "daemon_on_other_host"
    name: str
    pid: int
    hostname: str

    def __str__(self) -> str:
        return (
            f"The daemon '{self.name}' runs on the host '{self.hostname}' with the pid {self.pid}: only a web server "
            "there can stop or restart it. To start one here, use another name."
        )


@dataclass(eq=False)
class DaemonRuns(Conflict):
    """The daemon is already running."""

    code = "daemon_running"
    name: str
    pid: int

    def __str__(self) -> str:
        return f"The daemon '{self.name}' runs already, with the pid {self.pid}."


@dataclass(eq=False)
class DaemonDied(Conflict):
    """The daemon ended right after its start."""

    code = "daemon_died"
    name: str
    pid: int
    reason: Optional[str]
    log_file: str
    log_tail: str

    def __str__(self) -> str:
        why = self.reason or f"its log, {self.log_file}, ends with: {' '.join(self.log_tail.split())[-300:]}"
        return f"The daemon '{self.name}' ended immediately: {why}"
