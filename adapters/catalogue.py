"""Importing this module registers every operation; a new module of operations adds its line here."""

# ruff: noqa: F401
from __future__ import annotations

import native_api.adapters.backfills.operations
import native_api.adapters.connections.import_export
import native_api.adapters.connections.operations
import native_api.adapters.daemons.operations
import native_api.adapters.dag_runs.changes
import native_api.adapters.dag_runs.operations
import native_api.adapters.dags.delete
import native_api.adapters.dags.details
import native_api.adapters.dags.operations
import native_api.adapters.dags.refresh
import native_api.adapters.dags.report
import native_api.adapters.dags.source
import native_api.adapters.deployments.operations
import native_api.adapters.import_errors.operations
import native_api.adapters.jobs.operations
import native_api.adapters.pools.import_export
import native_api.adapters.pools.operations
import native_api.adapters.system.health
import native_api.adapters.system.version
import native_api.adapters.task_execution.render
import native_api.adapters.task_execution.run
import native_api.adapters.task_execution.test
import native_api.adapters.task_instances.clear
import native_api.adapters.task_instances.dependencies
import native_api.adapters.task_instances.operations
import native_api.adapters.task_instances.states
import native_api.adapters.task_logs.operations
import native_api.adapters.tasks.operations
import native_api.adapters.variables.import_export
import native_api.adapters.variables.operations
import native_api.adapters.xcoms.operations
