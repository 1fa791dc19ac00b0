"""The names of the old protocol: importing this package registers them."""

from __future__ import annotations

from native_api.http.legacy.names import (
    backfills,
    connections,
    daemons,
    dag_runs,
    dags,
    deployments,
    pools,
    system,
    task_execution,
    task_instances,
    tasks,
    variables,
)

__all__ = [
    "backfills",
    "connections",
    "daemons",
    "dag_runs",
    "dags",
    "deployments",
    "pools",
    "system",
    "task_execution",
    "task_instances",
    "tasks",
    "variables",
]
