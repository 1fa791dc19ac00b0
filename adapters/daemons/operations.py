"""Daemons: start, list, state, log, stop."""

from __future__ import annotations

from datetime import datetime
from time import monotonic, sleep
from typing import Any, Dict, List, Mapping, Optional

from native_api.adapters.compat import airflow
from native_api.adapters.daemons import commands, folder, log_files, processes
from native_api.adapters.daemons.commands import DAEMONS
from native_api.adapters.daemons.launch import NewRecord, Record
from native_api.adapters.daemons.schemas import (
    AskedDaemonLog,
    DaemonLog,
    Daemons,
    DaemonState,
    OneDaemon,
    StartDaemon,
    StopDaemon,
    StoppedDaemon,
)
from native_api.adapters.dags.operations import checked_subdir
from native_api.adapters.fields.common import LARGEST, Nothing
from native_api.effects import Effect
from native_api.errors import (
    DaemonDied,
    DaemonIsElsewhere,
    DaemonNotFound,
    DaemonRuns,
    NotInDaemonsDir,
    NotSupported,
    OutsideFolders,
    Refused,
)
from native_api.host import hostname
from native_api.permissions import Access, Resource
from native_api.registry import Context, operation

PAUSE_SECONDS = 0.2


def _words(arguments: Mapping[str, Any]) -> Optional[List[str]]:
    return commands.shown_words(arguments["daemon"], arguments)


@operation(
    request=StartDaemon,
    result=DaemonState,
    access=Access(Resource.DAEMON, "POST"),
    effect=Effect.DAEMON,
    tag="Daemons",
    errors=(DaemonDied, DaemonIsElsewhere, DaemonRuns, NotInDaemonsDir, OutsideFolders, NotSupported),
    creates=True,
    command=_words,
    example={"daemon": "serve_logs", "wait_seconds": 0},
)
def start_daemon(
    context: Context, daemon: str, wait_seconds: float, name: Optional[str] = None, **arguments: object
) -> Dict[str, object]:
    """
    Start one of Airflow's daemons, independent of the web server.

    It runs with the interpreter and environment of the web server, in a session of its own, and outlives the web
    server. The response is sent at its first heartbeat, or after ``wait_seconds``; if the daemon ends before, the
    response is an error with its log tail. Arguments that the installed Airflow no longer has are omitted, with a
    warning.
    """
    new = _record(daemon, name or daemon, arguments)
    command = commands.command_of(daemon, arguments, new["pid_file"])
    context.warnings.extend(commands.unavailable(daemon, arguments))
    with folder.locked(new["name"]), folder.locked_pid_files():
        _require_free(context, new)
        record = processes.start(new, command)
    context.created = True
    return _seen_alive(context, record, wait_seconds)


def _require_free(context: Context, record: NewRecord) -> None:
    """Raise :class:`DaemonRuns` if a running daemon has the same name or pid file."""
    for known in filter(None, map(folder.read_record, folder.names())):
        shared = known["name"] == record["name"] or known["pid_file"] == record["pid_file"]
        if shared and _is_here(known) and processes.find(known):
            raise DaemonRuns(known["name"], known["pid"])
        if shared and not _is_here(known) and _is_alive(context, known):
            raise DaemonIsElsewhere(known["name"], known["pid"], known["hostname"])


def _record(daemon: str, name: str, arguments: Dict[str, Any]) -> NewRecord:
    """Return the record of a new daemon, after its paths are validated."""
    folder.create()
    if "subdir" in arguments:
        arguments["subdir"] = checked_subdir(arguments["subdir"])
    log_file = folder.path_of(arguments.get("log_file"), f"{name}.log", *folder.LOG_SUFFIXES)
    stderr = folder.path_of(arguments.get("stderr"), log_file, *folder.LOG_SUFFIXES)
    pid_file = folder.path_of(arguments.get("pid"), f"{name}.pid", ".pid")
    return {
        "name": name,
        "daemon": daemon,
        "hostname": hostname(),
        "started_at": processes.now(),
        "stopped_at": None,
        "command": commands.command_of(daemon, commands.masked(arguments), pid_file),
        "pid_file": pid_file,
        "log_file": log_file,
        "stdout": folder.path_of(arguments.get("stdout"), log_file, *folder.LOG_SUFFIXES),
        "stderr": stderr,
        "errors_begin": log_files.size(stderr),
    }


def _seen_alive(context: Context, record: Record, seconds: float) -> Dict[str, Any]:
    """Return the daemon's state at its first heartbeat, or after that many seconds."""
    end = monotonic() + seconds
    while True:
        state = _state(context, record)
        if state["state"] != "running":
            folder.forget_pid(record)
            tail = log_files.tail(record["stderr"], 100, 8192, record["errors_begin"])
            raise DaemonDied(record["name"], record["pid"], log_files.reason(tail), record["stderr"], tail)
        if state["heartbeat"] or monotonic() >= end:
            return state
        sleep(PAUSE_SECONDS)


@operation(
    request=OneDaemon,
    result=DaemonState,
    access=Access(Resource.DAEMON, "GET"),
    effect=Effect.READ,
    tag="Daemons",
    errors=(DaemonNotFound,),
    example={"name": "scheduler"},
)
def daemon_state(context: Context, name: str) -> Dict[str, object]:
    """Return the state of a daemon, by its record, its process and Airflow's heartbeat."""
    return _state(context, _known(name))


@operation(request=Nothing, result=Daemons, access=Access(Resource.DAEMON, "GET"), effect=Effect.READ, tag="Daemons")
def list_daemons(context: Context) -> Dict[str, object]:
    """
    List the daemons that this API has started, including those that have ended.

    They are those of the web server's host or, if ``state_dir`` is shared, of all web servers.
    """
    records = [folder.read_record(name) for name in folder.names()]
    daemons = [_state(context, record) for record in records if record]
    return {"daemons": daemons, "total_entries": len(daemons)}


@operation(
    request=AskedDaemonLog,
    result=DaemonLog,
    access=Access(Resource.DAEMON, "GET"),
    effect=Effect.READ,
    tag="Daemons",
    errors=(DaemonNotFound, NotInDaemonsDir, Refused),
    example={"name": "scheduler"},
)
def daemon_log(
    context: Context, name: str, stream: str, tail_lines: int = LARGEST, tail_bytes: int = LARGEST
) -> Dict[str, object]:
    """Return the log tail of a daemon, earlier starts included."""
    record = _known(name)
    path = {"log_file": record["log_file"], "stdout": record["stdout"], "stderr": record["stderr"]}[stream]
    content = log_files.tail(path, tail_lines, tail_bytes)
    size = log_files.size(path)
    return {
        "name": name,
        "path": path,
        "content": content,
        "size_bytes": size,
        "truncated": len(content.encode("utf-8", "replace")) < size,
    }


@operation(
    request=StopDaemon,
    result=StoppedDaemon,
    access=Access(Resource.DAEMON, "DELETE"),
    effect=Effect.DAEMON,
    tag="Daemons",
    errors=(DaemonNotFound, DaemonIsElsewhere),
    example={"name": "scheduler"},
)
def stop_daemon(context: Context, name: str, grace_seconds: float) -> Dict[str, object]:
    """
    Stop a daemon that this API has started, with SIGTERM, and with SIGKILL after a timeout.

    If the daemon exits on SIGTERM, it stops its child processes as Airflow implements it. If it is killed, its child
    processes are killed too, and the next scheduler handles their tasks. A daemon that has already ended is not
    changed. One of another host is 409 with that host's name.
    """
    record = _known(name)
    if not _is_here(record):
        raise DaemonIsElsewhere(name, record["pid"], record["hostname"])
    process = processes.find(record)
    if process is None:
        context.warnings.append(f"The daemon '{name}' was not running on this host")
        return {**_state(context, record), "killed": []}
    killed = processes.stop(process, grace_seconds)
    with folder.locked(name):
        if folder.read_record(name) == record:
            record = {**record, "stopped_at": processes.now()}
            folder.write_record(record)
            folder.forget_pid(record)
    return {**_state(context, record), "killed": killed}


def _known(name: str) -> Record:
    record = folder.read_record(name)
    if record is None:
        raise DaemonNotFound(name, hostname())
    return record


def _is_here(record: Record) -> bool:
    return record["hostname"] == hostname()


def _state(context: Context, record: Record) -> Dict[str, Any]:
    if not _is_here(record):
        state = "unknown"
    elif processes.find(record):
        state = "running"
    else:
        state = "stopped" if record["stopped_at"] else "ended"
    heartbeat = _heartbeat(context, record) if state in ("running", "unknown") else None
    return {**record, "state": state, "heartbeat": heartbeat}


def _is_alive(context: Context, record: Record) -> bool:
    """Return whether a daemon of another host has not been stopped, and has a heartbeat."""
    return not record["stopped_at"] and bool((_heartbeat(context, record) or {}).get("is_alive"))


def _heartbeat(context: Context, record: Record) -> Optional[Dict[str, Any]]:
    job_type = DAEMONS[record["daemon"]].job_type
    if job_type is None:
        return None
    # What others have written since is not seen from within the same transaction, with MySQL.
    context.session.commit()
    since = datetime.fromisoformat(record["started_at"])
    job = airflow().daemons.job(context.session, job_type, since, record["hostname"])
    if job is None:
        return None
    return {"state": job.state, "latest_heartbeat": job.latest_heartbeat, "is_alive": bool(job.is_alive())}
