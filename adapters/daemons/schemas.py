"""What the operations on daemons take and give."""

from __future__ import annotations

from typing import Any, Mapping

from marshmallow import Schema, ValidationError, fields, validate, validates_schema

from native_api.adapters.connections.uris import masked_uri
from native_api.adapters.daemons import commands, log_files
from native_api.adapters.daemons.commands import DAEMONS
from native_api.adapters.fields import texts
from native_api.adapters.fields.common import LARGEST, Whole, switch
from native_api.adapters.fields.texts import OneOf, Text

#: A name is a file's too.
NAME_LENGTH = 100
NAME = validate.Regexp(r"[A-Za-z0-9][A-Za-z0-9_.-]*\Z", error="Has other characters than a-z, 0-9, _, - and dots.")
#: What can be an argument of a process: nothing that ends a text or is half a character; what is no flag.
_WORD = validate.Regexp(r"(?!-)[^\0-\x1f\ud800-\udfff]+\Z", error="Is empty, begins with - or has control characters.")


def _word(description: str, **metadata: Any) -> Text:
    return Text(texts.WORD, _WORD, metadata={"description": description, **metadata})


def _file(description: str) -> Text:
    return Text(texts.PATH, metadata={"description": description})


def _number(description: str, least: int = 1, most: int = LARGEST) -> Whole:
    return Whole(validate=validate.Range(least, most), metadata={"description": description})


class OneDaemon(Schema):
    """Names a daemon."""

    name = Text(
        NAME_LENGTH,
        NAME,
        required=True,
        metadata={"description": "The daemon's name: which one it is, unless it was started under another."},
    )


class StartDaemon(Schema):
    """Which daemon to start, and what to give it on its command line."""

    daemon = fields.String(
        required=True, validate=OneOf(list(DAEMONS)), metadata={"description": "Which daemon to start."}
    )
    name = Text(NAME_LENGTH, NAME, metadata={"description": "Its name; left out, which one it is."})
    principal = _word("kerberos: the principal.")
    keytab = _word("kerberos: the keytab.")
    one_time = switch("kerberos: get a ticket once, and end.")
    do_pickle = switch("scheduler, dag_processor, worker: send DAGs as pickles.")
    queues = _word("worker, triggerer: the queues to serve, with commas.")
    concurrency = _number("worker: how many tasks at once.")
    autoscale = _word("worker: the most and the fewest processes, as 12,3.")
    celery_hostname = _word("worker: its name among the workers.")
    without_mingle = switch("worker: do not look for other workers at the start.")
    without_gossip = switch("worker: do not listen to other workers.")
    hostname = _word("flower: the address to listen at.")
    port = _number("flower, serve_logs: the port to listen at.", 1, 65535)
    flower_conf = _word("flower: its configuration file.")
    broker_api = _word("flower: the URL of the broker's own API.", masked=masked_uri)
    url_prefix = _word("flower: the prefix of its URLs.")
    dag_id = _word("scheduler: the only DAG to schedule; gone since Airflow 2.0.")
    subdir = _word("scheduler, dag_processor: the file or DAGs folder; gone since Airflow 3.0.")
    run_duration = _number("scheduler: seconds after which it ends; gone since Airflow 2.0.")
    num_runs = _number("scheduler, dag_processor: how many rounds before it ends; -1 for no end.", -1)
    only_idle = switch("scheduler: count only rounds without work.")
    skip_serve_logs = switch("scheduler, triggerer, worker: do not serve logs.")
    bundle_name = _word("dag_processor: the only DAG bundle to read.")
    capacity = _number("triggerer: how many triggers at once.")
    team_name = _word("triggerer: the team it works for.")
    pid = _file("The pid file, below daemons_dir; <name>.pid.")
    log_file = _file("The log, below daemons_dir; <name>.log.")
    stdout = _file("A file for the standard output alone, below daemons_dir.")
    stderr = _file("A file for the errors alone, below daemons_dir.")
    wait_seconds = fields.Float(
        load_default=10.0,
        validate=validate.Range(0, 60),
        metadata={
            "description": "How long to see whether it lives before the answer; it comes earlier where Airflow's own "
            "heartbeat says that it does."
        },
    )

    @validates_schema
    def _its_own(self, data: Mapping[str, Any], **kwargs: Any) -> None:
        known = {"daemon", *commands.EVERY, *DAEMONS[data["daemon"]].flags}
        unknown = [name for name, value in data.items() if value is not False and name not in known]
        if unknown:
            raise ValidationError({name: [f"Is no argument of {data['daemon']}."] for name in unknown})


class Heartbeat(Schema):
    """What Airflow's own table says of the process."""

    state = fields.String(allow_none=True, metadata={"description": "As the process wrote it: running, success, …"})
    latest_heartbeat = fields.DateTime(allow_none=True)
    is_alive = fields.Boolean(metadata={"description": "Whether Airflow takes it for alive."})


class DaemonState(Schema):
    """A daemon that this API has started."""

    name = fields.String(required=True)
    daemon = fields.String(required=True)
    state = fields.String(
        required=True,
        metadata={
            "description": "running; stopped, by this API; ended, by itself; unknown, for one of another machine."
        },
    )
    pid = fields.Integer(required=True)
    hostname = fields.String(required=True)
    command = fields.List(fields.String(), required=True, metadata={"description": "Word by word, secrets masked."})
    started_at = fields.String(required=True)
    stopped_at = fields.String(allow_none=True, metadata={"description": "When this API stopped it."})
    pid_file = fields.String(required=True)
    log_file = fields.String(required=True)
    stdout = fields.String(required=True)
    stderr = fields.String(required=True)
    heartbeat = fields.Nested(
        Heartbeat, required=True, allow_none=True, metadata={"description": "null where it writes none, or not yet."}
    )
    warnings = fields.List(fields.String())


class Daemons(Schema):
    """All daemons."""

    daemons = fields.List(fields.Nested(DaemonState), required=True)
    total_entries = fields.Integer(required=True)


class AskedDaemonLog(OneDaemon):
    """Which log, and how much of it."""

    stream = fields.String(
        load_default="log_file",
        validate=OneOf(["log_file", "stdout", "stderr"]),
        metadata={"description": "Which of its files."},
    )
    tail_lines = _number("Only the last lines, that many.")
    tail_bytes = _number("Only the end, that many bytes.")


class DaemonLog(Schema):
    """The end of a daemon's log."""

    name = fields.String(required=True)
    path = fields.String(required=True)
    content = fields.String(required=True)
    size_bytes = fields.Integer(required=True, metadata={"description": "Of the whole file."})
    truncated = fields.Boolean(
        required=True, metadata={"description": f"Whether there is more; an answer has {log_files.MOST} bytes at most."}
    )


class StopDaemon(OneDaemon):
    """Which daemon to stop, and how long to wait for it."""

    grace_seconds = fields.Float(
        load_default=20.0,
        validate=validate.Range(0, 60),
        metadata={"description": "How long it may take to end by itself before it is killed."},
    )


class StoppedDaemon(DaemonState):
    """A daemon that was stopped."""

    killed = fields.List(
        fields.Integer(),
        required=True,
        metadata={"description": "The pids that had to be killed: its own and those of what it had started."},
    )
