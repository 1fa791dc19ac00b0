"""Importing this module registers every operation; a new noun adds its line here."""

from __future__ import annotations

from native_api.adapters import about, connections, dag_runs, dags, pools, task_instances, variables

__all__ = ["about", "connections", "dag_runs", "dags", "pools", "task_instances", "variables"]
