"""The options of this plugin: their names, defaults, descriptions and types."""

from __future__ import annotations

import os.path
from dataclasses import dataclass
from typing import Any, Callable, Dict, List, Optional, Tuple

from native_api.adapters.compat import web_server
from native_api.effects import Effect

SECTION = "native_api"
LEGACY_SECTION = "rest_api_plugin"


@dataclass(frozen=True)
class Option:
    """
    An option of the section ``[native_api]``.

    :param default: the default, as text.
    :param help: the description in the documentation.
    :param read: converts the text, or raises ValueError.
    :param legacy: whether the section ``[rest_api_plugin]`` of airflow-rest-api-plugin is read, too.
    :param is_secret: whether the value is masked and removed from jobs.
    """

    name: str
    default: str
    help: str
    read: Callable[[str], object] = str
    legacy: bool = False
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

    if text.startswith("{state_dir}"):
        text = text.replace("{state_dir}", get("state_dir"), 1)
    path = os.path.normpath(os.path.expanduser(text.replace("$AIRFLOW_HOME", get_airflow_home(), 1)))
    if not os.path.isabs(path) or path == os.path.dirname(path):
        raise ValueError("must be the absolute path of a folder")
    return path


def _switch(text: str) -> bool:
    if text.lower() in ("true", "t", "1", "on", "yes"):
        return True
    if text.lower() in ("false", "f", "0", "off", "no"):
        return False
    raise ValueError("must be true or false")


def _names(text: str) -> Any:
    return frozenset(word.strip() for word in text.split(",") if word.strip())


def _place(text: str) -> str:
    if text not in ("web_server", "executor"):
        raise ValueError("must be web_server or executor")
    return text


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
            "URL path of the airflow-rest-api-plugin protocol. Empty disables the protocol.",
            _prefix,
        ),
        Option("page_limit", "100", "Number of entries that a list returns when the caller sets no limit.", _positive),
        Option("page_limit_maximum", "1000", "Largest limit that a caller can set.", _positive),
        Option("import_entries", "10000", "Maximum number of entries in one import.", _positive),
        Option("backfill_runs", "1000", "Maximum number of DAG runs in one backfill.", _positive),
        Option("body_bytes", "10485760", "Maximum size of a request body, in bytes.", _positive),
        Option(
            "body_seconds",
            "30",
            "Timeout for receiving a request body, in seconds. At most 20 on Airflow 2, where the job of the request "
            "has to end within the timeout of the same web worker.",
            _body_seconds,
        ),
        Option(
            "bodies",
            "256",
            "Maximum number of request bodies that a web worker of Airflow 3 receives at the same time. One caller "
            "can use half of them.",
            _at_least_two,
        ),
        Option(
            "bodies_bytes",
            "268435456",
            "Maximum total size of the request bodies being received, in bytes. One caller can use half of it.",
            _positive,
        ),
        Option(
            "upload_bytes",
            "52428800",
            "Maximum size of a DAG file to deploy, in bytes. Only a multipart upload can be larger than body_bytes.",
            _positive,
        ),
        Option(
            "state_dir",
            "$AIRFLOW_HOME/native_api",
            "Folder of the records of jobs and deployments, and of files_dir and daemons_dir by default. It can be a "
            "volume that several web servers share, all run by the same user. Then each of them shows the jobs and "
            "deployments of all hosts. Slots, queues and process ids are those of one host: a file lock or a process "
            "id of another host is never looked at. Only the lock on changes of a DAG file holds across hosts: it is "
            "in the metadata database. A job of another host counts as lost when its record has not changed for 2 "
            "minutes.",
            _folder,
        ),
        Option("deployments_kept", "5", "Number of older versions of a deployed DAG file to keep.", _count),
        Option(
            "files_dir",
            "{state_dir}/files",
            "Folder of the server files that operations read and write. They cannot use any other folder.",
            _folder,
        ),
        Option("files_kept", "1000", "Maximum number of files in one folder below files_dir.", _positive),
        Option(
            "job_seconds",
            "60",
            "Timeout of a job that a request waits for, in seconds. At most 90 on Airflow 2, whose web server stops "
            "workers that take longer.",
            _job_seconds,
        ),
        Option(
            "job_seconds_max",
            "86400",
            "Timeout of a job that runs asynchronously, in seconds.",
            _some_seconds,
        ),
        Option(
            "job_grace_seconds",
            "5",
            "Time that a job has to stop after it is cancelled or timed out, in seconds. The on_kill method of its "
            "operator runs in this time. Then the job is killed.",
            _seconds,
        ),
        Option(
            "execute_on",
            "web_server",
            "Where DAG code is executed: web_server, in the sandbox on its host, or executor, as a task that Airflow's "
            "executor runs. The latter needs the DAG native_api_jobs; see the page Deployment.",
            _place,
        ),
        Option("job_queue_name", "", "Queue of Airflow's executor for jobs. Empty means Airflow's default queue."),
        Option("job_pool", "", "Pool for jobs on Airflow's executor. Empty means default_pool."),
        Option("job_memory_mb", "2048", "Maximum memory of a job process, in MiB.", _positive),
        Option(
            "job_slots",
            "0",
            "Number of jobs that requests can run at the same time on a host, and the same number asynchronously. "
            "0 means half of the web workers, at least 2 and at most 4. For requests on Airflow 2, where each job "
            "occupies a web worker, at least 1.",
            _count,
        ),
        Option(
            "jobs_per_caller",
            "0",
            "Number of jobs that one caller can have on a host for requests, running or queued, and the same "
            "number asynchronously. 0 means half of the sum of slots and queue, of which all slots but one, and at "
            "least one, can run at the same time. If all clients use one caller, set this to the sum of job_slots and "
            "job_queue.",
            _count,
        ),
        Option(
            "job_queue",
            "8",
            "Number of jobs that can wait for a slot. On Airflow 2, where a waiting request occupies a web worker, "
            "one web worker always stays free.",
            _count,
        ),
        Option("job_queue_seconds", "10", "Time that a request waits for a slot, in seconds.", _some_seconds),
        Option(
            "warm_process_idle_seconds",
            "3600",
            "Time without jobs after which the warm process ends, in seconds. The next job starts another.",
            _some_seconds,
        ),
        Option(
            "job_environment_without",
            "",
            "Comma-separated names of the web server's environment variables to remove from jobs. * matches any "
            "characters. The static token and the keys that sign sessions and tokens are always removed.",
            _list,
        ),
        Option(
            "job_log_bytes",
            "67108864",
            "Maximum size of the stored log of a job, in bytes. The oldest part of a larger log is dropped.",
            _positive,
        ),
        Option("job_log_tail_bytes", "262144", "Maximum size of the log tail in a response, in bytes.", _positive),
        Option("jobs_kept_hours", "72", "Time to keep the record of an asynchronous job, in hours.", _positive),
        Option("jobs_kept", "1000", "Maximum number of these records. The oldest are deleted first.", _positive),
        Option(
            "jobs_kept_bytes",
            "2147483648",
            "Maximum disk space of all jobs, in bytes. Half is for kept records, of which the oldest are deleted "
            "first. Half is for running jobs, whose logs and results are cut to their share.",
            _positive,
        ),
        Option(
            "daemons_dir",
            "{state_dir}/daemons",
            "Folder of the records, pid files and logs of daemons. They cannot use any other folder.",
            _folder,
        ),
        Option(
            "rest_api_plugin_expected_http_token",
            "",
            "Static token. Empty disables it. It is not an Airflow user.",
            legacy=True,
            is_secret=True,
        ),
        Option(
            "rest_api_plugin_http_token_header_name",
            "rest_api_plugin_http_token",
            "Request header of the static token. Hyphens and underscores are equivalent.",
            legacy=True,
        ),
        Option(
            "token_effects",
            "read,write,execute",
            "Comma-separated effects that the static token allows: read, write, execute, deploy, daemon. Reading "
            "sensitive values unmasked requires write.",
            _effects,
        ),
        Option(
            "read_secrets_backends",
            "False",
            "Whether get_variable and get_connection over HTTP look in the secrets backends and the environment "
            "first, as DAG code does. If disabled, they read only the metadata database, as Airflow's own API does.",
            _switch,
        ),
        Option(
            "allow_execute",
            "True",
            "Whether operations can execute DAG code: parse DAG files, render, test and run tasks.",
            _switch,
        ),
        Option("allow_deploy", "False", "Whether operations can write DAG files.", _switch),
        Option("allow_daemons", "False", "Whether operations can start and stop Airflow's own processes.", _switch),
        Option(
            "administrators",
            "",
            "Comma-separated ids of the users who can deploy DAG files and start daemons if the auth manager is "
            "neither FAB nor Simple. Use the auth manager's user ids (Keycloak: sub; AWS: the id in IAM Identity "
            "Center), not display names. With FAB and Simple, these are the users with the Admin role.",
            _names,
        ),
    )
}


class InvalidOption(Exception):
    """An option has an invalid value."""


def get(name: str) -> Any:
    """
    Return the value of an option, converted to its type.

    It is read from ``[native_api]``, then for options of airflow-rest-api-plugin from ``[rest_api_plugin]``, as
    Airflow reads options: from the environment, ``airflow.cfg``, a command or a secrets backend.

    :raises InvalidOption: the configured value is invalid.
    """
    from airflow.configuration import conf

    option = OPTIONS[name]
    text: Optional[str] = conf.get(SECTION, name, fallback=None)
    if text is None and option.legacy:
        text = conf.get(LEGACY_SECTION, name, fallback=None)
    try:
        return option.read(option.default if text is None else text.strip())
    except ValueError as exc:
        raise InvalidOption(f"[{SECTION}] {name} = {text}: {exc}") from exc


def secrets() -> List[Tuple[str, str]]:
    """Return the sections and names of the secret options."""
    found = [option for option in OPTIONS.values() if option.is_secret]
    sections = {option: (SECTION, LEGACY_SECTION) if option.legacy else (SECTION,) for option in found}
    return [(section, option.name) for option in found for section in sections[option]]


def invalid_options() -> List[str]:
    """Return a message for each option that has an invalid value."""
    found = []
    for name in OPTIONS:
        try:
            get(name)
        except InvalidOption as exc:
            found.append(str(exc))
    return found
