"""Requests and responses of daemons."""

from __future__ import annotations

from typing import Any, Mapping

from marshmallow import Schema, ValidationError, fields, validate, validates_schema

from native_api.adapters.connections.uris import masked_uri
from native_api.adapters.daemons import commands, log_files
from native_api.adapters.daemons.commands import DAEMONS
from native_api.adapters.fields import texts
from native_api.adapters.fields.common import LARGEST, Whole, switch
from native_api.adapters.fields.texts import OneOf, Text
from native_api.adapters.fields.versions import limited

#: A name is a file's too.
NAME_LENGTH = 100
NAME = validate.Regexp(r"[A-Za-z0-9][A-Za-z0-9_.-]*\Z", error="Must consist of a-z, 0-9, _, - and dots only.")
#: An argument of a process: without control characters and unpaired surrogates, and not a flag.
_WORD = validate.Regexp(
    r"(?!-)[^\0-\x1f\ud800-\udfff]+\Z", error="Must not be empty, begin with - or have control characters."
)


def _word(description: str, **metadata: object) -> Text:
    return Text(texts.WORD, _WORD, metadata={"description": description, **metadata})


def _limited_word(description: str, **versions: Any) -> Text:
    return Text(texts.WORD, _WORD, metadata=limited(description, **versions))


def _file(description: str) -> Text:
    return Text(texts.PATH, metadata={"description": description})


def _number(description: str, least: int = 1, most: int = LARGEST) -> Whole:
    return Whole(validate=validate.Range(least, most), metadata={"description": description})


class OneDaemon(Schema):
    """Identify a daemon."""

    name = Text(
        NAME_LENGTH,
        NAME,
        required=True,
        metadata={"description": "The name of the daemon: its type, unless it was started with another name."},
    )


class StartDaemon(Schema):
    """The daemon to start, and the arguments of its command."""

    daemon = fields.String(
        required=True, validate=OneOf(list(DAEMONS)), metadata={"description": "The type of the daemon."}
    )
    name = Text(NAME_LENGTH, NAME, metadata={"description": "The name of the daemon. By default, its type."})
    principal = _word("kerberos: the principal.")
    keytab = _word("kerberos: the keytab.")
    one_time = switch("kerberos: if true, get a ticket once, and exit.", since=(2, 8))
    do_pickle = switch("scheduler, dag_processor, worker: if true, pickle DAGs.", before=(3, 0))
    queues = _word("worker; triggerer of Airflow 3.2 and later: the queues to serve, separated by commas.")
    concurrency = _number("worker: number of worker processes.")
    autoscale = _word("worker: maximum and minimum number of processes, for example 12,3.")
    celery_hostname = _word("worker: the hostname of the worker in Celery.")
    without_mingle = switch("worker: if true, do not synchronize with other workers at startup.")
    without_gossip = switch("worker: if true, do not subscribe to events of other workers.")
    hostname = _word("flower: the hostname to listen on.")
    port = _number("flower, serve_logs: the port to listen on.", 1, 65535)
    flower_conf = _word("flower: the configuration file.")
    broker_api = _word("flower: the URL of the broker's API.", masked=masked_uri)
    url_prefix = _word("flower: the URL prefix.")
    dag_id = _limited_word("scheduler: the only DAG to schedule.", before=(2, 0))
    subdir = _limited_word("scheduler, dag_processor: the file or DAGs folder.", before=(3, 0))
    run_duration = Whole(
        validate=validate.Range(1, LARGEST), metadata=limited("scheduler: seconds after which it exits.", before=(2, 0))
    )
    num_runs = _number("scheduler, dag_processor: number of runs of the loop before it exits; -1 for unlimited.", -1)
    only_idle = switch("scheduler: if true, count only idle runs of the loop.", since=(3, 2))
    skip_serve_logs = switch("scheduler, triggerer, worker: if true, do not serve logs.")
    bundle_name = _limited_word("dag_processor: the only DAG bundle to parse.", since=(3, 0))
    capacity = _number("triggerer: maximum number of triggers that run at once.")
    team_name = _limited_word("triggerer: the team that it serves.", since=(3, 3))
    pid = _file("The pid file, below daemons_dir. By default, <name>.pid.")
    log_file = _file("The log file, below daemons_dir. By default, <name>.log.")
    stdout = _file("A separate file for standard output, below daemons_dir.")
    stderr = _file("A separate file for standard error, below daemons_dir.")
    wait_seconds = fields.Float(
        load_default=10.0,
        validate=validate.Range(0, 60),
        metadata={"description": "Maximum number of seconds to wait for the first heartbeat of the daemon."},
    )

    @validates_schema
    def _its_own(self, data: Mapping[str, Any], **kwargs: object) -> None:
        known = {"daemon", *commands.EVERY, *DAEMONS[data["daemon"]].flags}
        unknown = [name for name, value in data.items() if value is not False and name not in known]
        if unknown:
            raise ValidationError({name: [f"Is not an argument of {data['daemon']}."] for name in unknown})


class Heartbeat(Schema):
    """The latest heartbeat of the process in Airflow's job table."""

    state = fields.String(
        allow_none=True, metadata={"description": "The state that the process has written: running, success, …"}
    )
    latest_heartbeat = fields.DateTime(allow_none=True)
    is_alive = fields.Boolean(metadata={"description": "Whether Airflow considers it alive."})


class DaemonState(Schema):
    """A daemon that this API has started."""

    name = fields.String(required=True)
    daemon = fields.String(required=True)
    state = fields.String(
        required=True,
        metadata={
            "description": "running, stopped (by this API), ended (by itself), or unknown (it is on another host)."
        },
    )
    pid = fields.Integer(required=True)
    hostname = fields.String(required=True)
    command = fields.List(
        fields.String(), required=True, metadata={"description": "The command and its arguments, with secrets masked."}
    )
    started_at = fields.String(required=True)
    stopped_at = fields.String(allow_none=True, metadata={"description": "Timestamp of stop_daemon."})
    pid_file = fields.String(required=True)
    log_file = fields.String(required=True)
    stdout = fields.String(required=True)
    stderr = fields.String(required=True)
    heartbeat = fields.Nested(
        Heartbeat,
        required=True,
        allow_none=True,
        metadata={"description": "null if there is no heartbeat, or none yet."},
    )
    warnings = fields.List(fields.String())


class Daemons(Schema):
    """All daemons."""

    daemons = fields.List(fields.Nested(DaemonState), required=True)
    total_entries = fields.Integer(required=True)


class AskedDaemonLog(OneDaemon):
    """The log to return, and the part of it."""

    stream = fields.String(
        load_default="log_file",
        validate=OneOf(["log_file", "stdout", "stderr"]),
        metadata={"description": "The log file: log, stdout or stderr."},
    )
    tail_lines = _number("Return only this number of last lines.")
    tail_bytes = _number("Return only this number of last bytes.")


class DaemonLog(Schema):
    """The log tail of a daemon."""

    name = fields.String(required=True)
    path = fields.String(required=True)
    content = fields.String(required=True)
    size_bytes = fields.Integer(required=True, metadata={"description": "Size of the file, in bytes."})
    truncated = fields.Boolean(
        required=True,
        metadata={"description": f"Whether the log is longer; the maximum of a response is {log_files.MOST} bytes."},
    )


class StopDaemon(OneDaemon):
    """The daemon to stop, and the timeout."""

    grace_seconds = fields.Float(
        load_default=20.0,
        validate=validate.Range(0, 60),
        metadata={"description": "Seconds to wait for its exit before it is killed."},
    )


class StoppedDaemon(DaemonState):
    """A stopped daemon."""

    killed = fields.List(
        fields.Integer(),
        required=True,
        metadata={"description": "The pids that were killed: its own and those of its descendants."},
    )
