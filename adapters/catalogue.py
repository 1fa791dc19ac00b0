"""Importing this module registers every operation; a new noun adds its line here."""

from __future__ import annotations

from native_api.adapters import (
    about,
    backfills,
    clearing,
    connections,
    daemons,
    dag_runs,
    dags,
    deletions,
    dependencies,
    health,
    logs,
    pools,
    reports,
    sources,
    states,
    task_instances,
    tasks,
    variable_files,
    variables,
)

__all__ = [
    "about",
    "backfills",
    "clearing",
    "connections",
    "daemons",
    "dag_runs",
    "dags",
    "deletions",
    "dependencies",
    "health",
    "logs",
    "sources",
    "states",
    "pools",
    "reports",
    "task_instances",
    "tasks",
    "variable_files",
    "variables",
]
