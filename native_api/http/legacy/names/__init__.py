"""Importing this package registers every name of the protocol; a new noun adds its line here."""

from __future__ import annotations

from native_api.http.legacy.names import (
    about,
    backfills,
    connections,
    daemons,
    dag_runs,
    dags,
    deploying,
    pools,
    running,
    task_instances,
    tasks,
    trials,
    variables,
)

__all__ = [
    "about",
    "backfills",
    "connections",
    "daemons",
    "dag_runs",
    "dags",
    "deploying",
    "pools",
    "running",
    "task_instances",
    "tasks",
    "trials",
    "variables",
]
