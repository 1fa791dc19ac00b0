"""The daemons, and the flags of Airflow's command line for their arguments."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import Any, Dict, List, Mapping, Optional, Tuple

from native_api.adapters.compat import airflow
from native_api.adapters.connections.uris import masked_uri
from native_api.errors import NotSupported

#: Instead of a flag: the argument is positional.
POSITIONAL = "principal"
_SERVE_LOGS = "from airflow.utils.serve_logs import serve_logs; serve_logs(port={port})"


@dataclass(frozen=True)
class Daemon:
    """A daemon: its arguments of ``airflow``, the flags, and the job type of its heartbeat."""

    words: Tuple[str, ...]
    flags: Mapping[str, str]
    job_type: Optional[str] = None


DAEMONS: Dict[str, Daemon] = {
    "scheduler": Daemon(
        ("scheduler",),
        {
            "dag_id": "--dag-id",
            "subdir": "--subdir",
            "run_duration": "--run-duration",
            "num_runs": "--num-runs",
            "do_pickle": "--do-pickle",
            "skip_serve_logs": "--skip-serve-logs",
            "only_idle": "--only-idle",
        },
        "SchedulerJob",
    ),
    "dag_processor": Daemon(
        ("dag-processor",),
        {
            "subdir": "--subdir",
            "num_runs": "--num-runs",
            "do_pickle": "--do-pickle",
            "bundle_name": "--bundle-name",
        },
        "DagProcessorJob",
    ),
    "triggerer": Daemon(
        ("triggerer",),
        {
            "capacity": "--capacity",
            "queues": "--queues",
            "team_name": "--team-name",
            "skip_serve_logs": "--skip-serve-logs",
        },
        "TriggererJob",
    ),
    "worker": Daemon(
        ("celery", "worker"),
        {
            "do_pickle": "--do-pickle",
            "queues": "--queues",
            "concurrency": "--concurrency",
            "autoscale": "--autoscale",
            "celery_hostname": "--celery-hostname",
            "skip_serve_logs": "--skip-serve-logs",
            "without_mingle": "--without-mingle",
            "without_gossip": "--without-gossip",
        },
    ),
    "flower": Daemon(
        ("celery", "flower"),
        {
            "hostname": "--hostname",
            "port": "--port",
            "flower_conf": "--flower-conf",
            "broker_api": "--broker-api",
            "url_prefix": "--url-prefix",
        },
    ),
    "kerberos": Daemon(("kerberos",), {"principal": POSITIONAL, "keytab": "--keytab", "one_time": "--one-time"}),
    "serve_logs": Daemon((), {"port": "port"}),
}

#: Arguments of start_daemon that are not arguments of the daemon's command.
EVERY = ("name", "pid", "stdout", "stderr", "log_file", "wait_seconds")


def command_of(daemon: str, arguments: Mapping[str, object], pid_file: Optional[str] = None) -> List[str]:
    """
    Return the command that runs the daemon with this interpreter's Airflow.

    :param pid_file: the path of Celery's own pid file.
    :raises NotSupported: the installed Airflow has no such command.
    """
    if daemon == "serve_logs":
        # Airflow has no command for it since 2.0.
        return [sys.executable, "-c", _SERVE_LOGS.format(port=arguments.get("port"))]
    words = [*words_of(daemon, arguments)]
    if daemon == "worker" and pid_file:
        words.append(f"--pid={pid_file}")
    return [sys.executable, "-m", "airflow", *words]


def words_of(daemon: str, arguments: Mapping[str, object]) -> List[str]:
    """Return the arguments of ``airflow``, without those that the installed Airflow no longer has."""
    known, positional = _flags(daemon), []
    words = [*DAEMONS[daemon].words]
    for name, flag in DAEMONS[daemon].flags.items():
        value = arguments.get(name)
        if flag not in known or value is None or value is False:
            continue
        if flag == POSITIONAL:
            positional.append(str(value))
        else:
            words.append(flag if value is True else f"{flag}={value}")
    return [*words, *positional]


def shown_words(daemon: str, arguments: Mapping[str, object]) -> Optional[List[str]]:
    """Return the arguments of ``airflow`` with secrets masked, None if it has no such command."""
    if not DAEMONS[daemon].words or airflow().daemons.flags(DAEMONS[daemon].words) is None:
        return None
    return words_of(daemon, masked(arguments))


def masked(arguments: Mapping[str, Any]) -> Dict[str, object]:
    """Return the arguments with the password of a URL masked."""
    return {**arguments, "broker_api": masked_uri(arguments.get("broker_api"))}


def unavailable(daemon: str, arguments: Mapping[str, object]) -> List[str]:
    """Return a warning for each argument whose flag the installed Airflow does not have."""
    if daemon == "serve_logs":
        return []
    known, given = _flags(daemon), (name for name in arguments if arguments[name] not in (None, False))
    flags, command = DAEMONS[daemon].flags, " ".join(("airflow", *DAEMONS[daemon].words))
    return [
        f"Ignored the argument '{name}': '{command}' of Airflow {airflow().version} has no {flags[name]}"
        for name in given
        if name in flags and flags[name] not in known
    ]


def _flags(daemon: str) -> List[str]:
    words = DAEMONS[daemon].words
    flags, package = airflow().daemons.flags(words), airflow().daemons.missing_package(words)
    if flags is None:
        raise NotSupported("start_daemon", airflow().daemons.why_missing(words))
    if package:
        raise NotSupported("start_daemon", f"{package} is not installed: {daemon} needs the package {package}.")
    return flags
