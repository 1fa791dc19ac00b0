"""kerberos, worker, flower, scheduler, serve_logs, triggerer, dag_processor."""

from __future__ import annotations

from typing import Dict, Mapping

from native_api.http.legacy.protocol import Arguments, Plan, legacy_name

#: Arguments of every daemon. The checkbox ``daemon`` has no effect: each runs detached.
_FILES = "pid daemon stdout stderr log-file log_file"
_TEXTS: Dict[str, str] = {
    "kerberos": "principal keytab",
    "worker": "queues concurrency",
    "flower": "hostname port flower_conf broker_api",
    "scheduler": "dag_id subdir run-duration run_duration num_runs",
    "serve_logs": "",
    "triggerer": "capacity queues",
    "dag_processor": "subdir num_runs bundle_name",
}
_FLAGS: Dict[str, str] = {
    "worker": "do_pickle",
    "scheduler": "do_pickle skip_serve_logs",
    "triggerer": "skip_serve_logs",
    "dag_processor": "do_pickle",
}


def _plan(arguments: Arguments, name: str) -> Plan:
    arguments.flag("daemon")
    texts = arguments.given(*_TEXTS[name].split(), "pid", "stdout", "stderr", "log-file", "log_file")
    values: Dict[str, object] = {key.replace("-", "_"): value for key, value in texts.items()}
    ticked = {flag: True for flag in _FLAGS.get(name, "").split() if arguments.flag(flag)}
    return Plan("start_daemon", {"daemon": name, **values, **ticked}, _started)


def _started(result: Mapping[str, object]) -> str:
    return f"Started {result['name']} with pid {result['pid']}, log {result['log_file']}\n"


for _name, _texts in _TEXTS.items():
    legacy_name(_name, f"{_texts} {_FLAGS.get(_name, '')} {_FILES}", operation="start_daemon")(
        lambda arguments, name=_name: _plan(arguments, name)  # type: ignore[misc]
    )
