"""What Airflow 3.0 and 3.1 do otherwise with a task instance on trial."""

from __future__ import annotations

import logging
from types import SimpleNamespace
from typing import Any, Dict

from native_api.adapters.compat.installed import airflow
from native_api.adapters.compat.trials import Instance, Trials


class Trials31(Trials):
    """Airflow 3.1."""

    def _ti_count(self, task: Any) -> Any:
        from airflow.models.mappedoperator import get_mapped_ti_count  # type: ignore[import-not-found]

        return get_mapped_ti_count

    # The SDK got a serialization of its own, serde, in 3.2.

    def _trigger_kwargs(self, message: Any) -> Any:
        return message.trigger_kwargs

    def _next_kwargs(self, message: Any, event: Any) -> Any:
        from airflow.serialization.serialized_objects import BaseSerialization

        happened = {} if event is None else {"event": event.payload}
        return BaseSerialization.serialize({**message.next_kwargs, **happened})

    def _more(self, task: Any, instance: Instance, session: Any) -> Dict[str, Any]:
        # Until 3.2 the server tells which instances of a mapped task a task is to read from.
        dag = airflow().stored_dag(instance.dag_id, session)
        if instance.map_index < 0 or instance.task_id not in dag.task_dict:
            return {}
        try:
            return {"_upstream_map_indexes": dict(self._upstream(dag, instance, session))}
        except RuntimeError:
            # A task before it has not run; what needs that says so.
            return {}

    def _upstream(self, dag: Any, instance: Instance, session: Any) -> Any:
        from airflow.api_fastapi.execution_api.routes.task_instances import (  # type: ignore[attr-defined]
            _get_upstream_map_indexes,
        )

        named = SimpleNamespace(task_id=instance.task_id, map_index=instance.map_index, run_id=instance.run_id)
        return _get_upstream_map_indexes(serialized_dag=dag, ti=named, session=session)


class Trials30(Trials31):
    """Airflow 3.0."""

    def _ti_count(self, task: Any) -> Any:
        from airflow.models.baseoperator import BaseOperator  # type: ignore[import-not-found]

        return BaseOperator.get_mapped_ti_count

    def _act(self, runtime: Any, context: Any, held: Any) -> Any:
        # Nothing sets up structlog here before 3.1, and by itself it shows the variables of each frame, in colours.
        import structlog
        from airflow.configuration import conf

        level = logging.getLevelName(conf.get("logging", "logging_level").upper())
        plain = structlog.dev.ConsoleRenderer(colors=False, exception_formatter=structlog.dev.plain_traceback)
        structlog.configure(
            processors=[
                structlog.contextvars.merge_contextvars,
                structlog.processors.add_log_level,
                structlog.processors.TimeStamper(fmt="iso"),
                plain,
            ],
            wrapper_class=structlog.make_filtering_bound_logger(level),
        )
        return super()._act(runtime, context, held)

    def _upstream(self, dag: Any, instance: Instance, session: Any) -> Any:
        from airflow.api_fastapi.execution_api.routes.task_instances import (  # type: ignore[attr-defined]
            _get_upstream_map_indexes,
        )

        return _get_upstream_map_indexes(dag.get_task(instance.task_id), instance.map_index, instance.run_id, session)


LINES = (((3, 2), Trials), ((3, 1), Trials31), ((3, 0), Trials30))
