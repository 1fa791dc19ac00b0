"""Every option of this plugin, declared once: name, default and meaning, and how it is read."""

from __future__ import annotations

import os.path
from dataclasses import dataclass
from typing import Any, Callable, Dict, List, Optional, Tuple

from native_api.adapters.compat import web_server
from native_api.effects import Effect

SECTION = "native_api"
PEER_SECTION = "rest_api_plugin"


@dataclass(frozen=True)
class Option:
    """An option of ``[native_api]``; *peer* options are read from ``[rest_api_plugin]`` too."""

    name: str
    default: str
    help: str
    read: Callable[[str], Any] = str
    peer: bool = False
    is_secret: bool = False

    @property
    def variable(self) -> str:
        """The environment variable that sets the option."""
        return f"AIRFLOW__{SECTION.upper()}__{self.name.upper()}"


def _prefix(text: str) -> str:
    text = text.rstrip("/")
    if text and not text.startswith("/"):
        raise ValueError("must begin with a slash")
    return text


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise ValueError("must be 1 or more")
    return number


def _at_least_two(text: str) -> int:
    number = int(text)
    if number < 2:
        raise ValueError("must be 2 or more")
    return number


def _job_seconds(text: str) -> float:
    return min(_some_seconds(text), web_server.longest_request())


def _some_seconds(text: str) -> float:
    number = _seconds(text)
    if not number:
        raise ValueError("must be more than 0")
    return int(number) if number.is_integer() else number


def _body_seconds(text: str) -> int:
    return min(_positive(text), web_server.longest_body())


def _seconds(text: str) -> float:
    number = float(text)
    if not 0 <= number < float("inf"):
        raise ValueError("must be 0 or more")
    return number


def _count(text: str) -> int:
    number = int(text)
    if number < 0:
        raise ValueError("must be 0 or more")
    return number


def _folder(text: str) -> str:
    from airflow.configuration import get_airflow_home

    path = os.path.normpath(os.path.expanduser(text.replace("$AIRFLOW_HOME", get_airflow_home(), 1)))
    if not os.path.isabs(path) or path == os.path.dirname(path):
        raise ValueError("must be the whole path of a folder")
    return path


def _switch(text: str) -> bool:
    if text.lower() in ("true", "t", "1", "on", "yes"):
        return True
    if text.lower() in ("false", "f", "0", "off", "no"):
        return False
    raise ValueError("must be true or false")


def _names(text: str) -> Any:
    return frozenset(word.strip() for word in text.split(",") if word.strip())


def _list(text: str) -> Any:
    return tuple(sorted(_names(text)))


def _effects(text: str) -> Any:
    return frozenset(Effect(word.strip()) for word in text.split(",") if word.strip())


OPTIONS: Dict[str, Option] = {
    option.name: option
    for option in (
        Option(
            "legacy_prefix",
            "/admin/rest_api",
            "Where the protocol of airflow-rest-api-plugin is served; empty switches it off.",
            _prefix,
        ),
        Option("page_limit", "100", "How many entries a list gives where the caller names no limit.", _positive),
        Option("page_limit_maximum", "1000", "The largest limit that a caller may name.", _positive),
        Option("import_entries", "10000", "How many entries one import may have.", _positive),
        Option("backfill_runs", "1000", "How many runs one backfill may have.", _positive),
        Option("body_bytes", "10485760", "The largest request body, in bytes.", _positive),
        Option(
            "body_seconds",
            "30",
            "How long the body of a request may take to arrive, in seconds; 20 at most on Airflow 2, where the job of "
            "the request must end within the time of the same web worker.",
            _body_seconds,
        ),
        Option(
            "bodies",
            "256",
            "How many request bodies a web worker of Airflow 3 receives at once; one caller may have half of them.",
            _at_least_two,
        ),
        Option(
            "bodies_bytes",
            "268435456",
            "How many bytes those bodies may have in all; one caller's may have half of them.",
            _positive,
        ),
        Option(
            "upload_bytes",
            "52428800",
            "The largest DAG file that may be deployed, in bytes; only as a multipart upload may it be larger than "
            "body_bytes.",
            _positive,
        ),
        Option("deployments_kept", "5", "How many versions of a deployed file are kept besides the newest.", _count),
        Option(
            "files_dir",
            "$AIRFLOW_HOME/native_api/files",
            "The folder of the files on the server that operations read and write; they use no other.",
            _folder,
        ),
        Option("files_kept", "1000", "How many files a folder below files_dir may have.", _positive),
        Option(
            "job_seconds",
            "60",
            "How long user code may run within a request, in seconds; 90 at most on Airflow 2, whose web server ends "
            "workers that take longer.",
            _job_seconds,
        ),
        Option(
            "job_seconds_max",
            "86400",
            "How long user code may run in the background (async), in seconds.",
            _some_seconds,
        ),
        Option(
            "job_grace_seconds",
            "5",
            "How long a job that is cancelled, or has run out of time, may take to stop by itself, in seconds; on_kill "
            "of its operator runs then. After that it is killed.",
            _seconds,
        ),
        Option("job_memory_mb", "2048", "How much memory the process of a job may have, in MiB.", _positive),
        Option(
            "job_slots",
            "0",
            "How many jobs run at once on a machine for requests, and as many in the background; 0: half of the web "
            "workers, at least 2 and at most 4; for requests on Airflow 2, where each holds a web worker, at least 1.",
            _count,
        ),
        Option(
            "jobs_per_caller",
            "0",
            "How many jobs one caller may have at once on a machine, running or waiting, for requests, and as many in "
            "the background; 0: half of the slots and the queue, and all slots but one. Where all clients are one "
            "caller, set it to the sum of job_slots and job_queue.",
            _count,
        ),
        Option(
            "job_queue",
            "8",
            "How many jobs may wait for a slot; on Airflow 2, where a waiting request holds a web worker, one web "
            "worker always stays free.",
            _count,
        ),
        Option("job_queue_seconds", "10", "How long a request waits for a slot, in seconds.", _some_seconds),
        Option(
            "job_environment_without",
            "",
            "Environment variables of the web server that jobs do not have, with commas; * stands for any characters. "
            "The static token and what signs sessions and tokens are never there.",
            _list,
        ),
        Option("job_log_bytes", "67108864", "How much of what a job prints is kept, in bytes; the end is.", _positive),
        Option("job_log_tail_bytes", "262144", "How much of it is given back, in bytes.", _positive),
        Option("jobs_kept_hours", "72", "How long the record of a job in the background is kept, in hours.", _positive),
        Option("jobs_kept", "1000", "How many of these records are kept; the oldest go first.", _positive),
        Option(
            "jobs_kept_bytes",
            "2147483648",
            "How much of the disk all jobs may use, in bytes: half for records that are kept, of which the oldest go "
            "first, and half for jobs that run, whose output and results are cut to their part of it.",
            _positive,
        ),
        Option(
            "daemons_dir",
            "$AIRFLOW_HOME/native_api/daemons",
            "The folder of the daemons' records, pid files and logs; they have them nowhere else.",
            _folder,
        ),
        Option(
            "rest_api_plugin_expected_http_token",
            "",
            "The static token; empty means that there is none. It stands for no Airflow user.",
            peer=True,
            is_secret=True,
        ),
        Option(
            "rest_api_plugin_http_token_header_name",
            "rest_api_plugin_http_token",
            "The request header that carries the static token; hyphens and underscores are the same in it.",
            peer=True,
        ),
        Option(
            "token_effects",
            "read,write,execute",
            "What the holder of the static token may do: any of read, write, execute, deploy, daemon. "
            "Reading sensitive values unmasked needs write.",
            _effects,
        ),
        Option(
            "read_secrets_backends",
            "False",
            "Whether get_variable and get_connection over HTTP ask the secrets backends and the environment first, as "
            "DAG code does; disabled, they read the metadata database only, as Airflow's own API does.",
            _switch,
        ),
        Option(
            "allow_execute",
            "True",
            "Whether operations may execute DAG code: parse their files, render, test and run tasks.",
            _switch,
        ),
        Option("allow_deploy", "False", "Whether operations may write DAG files.", _switch),
        Option("allow_daemons", "False", "Whether operations may start and stop Airflow's own processes.", _switch),
        Option(
            "administrators",
            "",
            "Who may deploy and start daemons where neither FAB nor Simple is the auth manager: ids of users, with "
            "commas, as the auth manager has them (Keycloak: sub; AWS: the id in IAM Identity Center), not their "
            "display names. With FAB and Simple it is who has the role Admin.",
            _names,
        ),
    )
}


class BadSetting(Exception):
    """An option in airflow.cfg has a value that cannot be used."""


def get(name: str) -> Any:
    """
    Return the option *name*: as ``[native_api]`` has it, or ``[rest_api_plugin]`` for the peer's, or by default.

    :raises BadSetting: the configured value cannot be used.
    """
    from airflow.configuration import conf

    option = OPTIONS[name]
    text: Optional[str] = conf.get(SECTION, name, fallback=None)
    if text is None and option.peer:
        text = conf.get(PEER_SECTION, name, fallback=None)
    try:
        return option.read(option.default if text is None else text.strip())
    except ValueError as exc:
        raise BadSetting(f"[{SECTION}] {name} = {text}: {exc}") from exc


def secrets() -> List[Tuple[str, str]]:
    """Return the options that are secret, by section and name."""
    found = [option for option in OPTIONS.values() if option.is_secret]
    sections = {option: (SECTION, PEER_SECTION) if option.peer else (SECTION,) for option in found}
    return [(section, option.name) for option in found for section in sections[option]]


def complaints() -> List[str]:
    """Return a sentence for each option whose value cannot be used."""
    found = []
    for name in OPTIONS:
        try:
            get(name)
        except BadSetting as exc:
            found.append(str(exc))
    return found
