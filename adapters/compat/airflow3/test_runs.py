"""Task instances that are rendered or tested in Airflow 3."""

from __future__ import annotations

import asyncio
import logging
import uuid
from contextlib import contextmanager
from datetime import datetime, timezone
from importlib import import_module
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, Dict, Iterator, Mapping, Optional

from sqlalchemy import select
from sqlalchemy.orm import joinedload
from sqlalchemy.orm.attributes import set_committed_value

from native_api.adapters.compat.airflow3.in_memory_supervisor import InMemorySupervisor, in_memory_supervisor
from native_api.adapters.compat.installed import airflow
from native_api.adapters.compat.interface.test_runs import Instance, Outcome, TestRuns

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

    from native_api.adapters.compat.objects import Dag, Task


class TestRuns3(TestRuns):
    """Airflow 3.2 to 3.4."""

    has_dry_run = False

    def _is_mapped(self, task: Any) -> bool:
        return bool(task.is_mapped)

    def _ti_count(self, task: Task) -> Any:
        from airflow.serialization.definitions.mappedoperator import get_mapped_ti_count

        return get_mapped_ti_count

    def facts(self, instance: Instance, session: Session) -> Dict[str, Any]:
        dag_run = self._dag_run(instance, session)
        return {
            "dag_run": dag_run.model_dump(mode="json"),
            "previous_success": _previous_success(dag_run, session),
            "attributes": self._attributes(instance, session),
        }

    @contextmanager
    def _rendered(self, task: Task, instance: Instance) -> Iterator[object]:
        with self._prepared(task, instance) as (runtime, context, _):
            runtime.render_templates(context)
            yield runtime.task

    def run(self, task: Task, instance: Instance, temporary_run_id: str) -> Outcome:
        resumed: Dict[str, object] = {}
        while True:
            with self._prepared(task, instance, **resumed) as (runtime, context, supervisor):
                state, message, error = self._act(runtime, context, supervisor)
                if type(message).__name__ != "DeferTask":
                    return Outcome(_final(state), self._returned(runtime, supervisor), error)
                event = self._event(message)
                ended = getattr(event, "task_instance_state", None)
                if ended is not None:
                    return Outcome(_final(ended), self._returned(runtime, supervisor))
                resumed = {"next_method": message.next_method, "next_kwargs": self._next_kwargs(message, event)}

    def delete_leftovers(self, dag_id: str, run_id: str) -> None:
        """Do nothing: a test leaves no row."""

    # The task instance

    @contextmanager
    def _prepared(self, task: Task, instance: Instance, **resumed: object) -> Iterator[Any]:
        from airflow.sdk.execution_time.task_runner import RuntimeTaskInstance

        dag_run = self._as_run(instance.facts["dag_run"])
        named = {"task_id": instance.task_id, "dag_id": instance.dag_id, "run_id": dag_run.run_id}
        runtime = RuntimeTaskInstance.model_construct(
            id=uuid.uuid4(),
            try_number=1,
            map_index=instance.map_index,
            dag_version_id=uuid.uuid4(),
            task=task,
            max_tries=0,
            start_date=datetime.now(timezone.utc),
            state="running",
            _ti_context_from_server=self._context(dag_run, **resumed),
            **named,
        )
        for name, value in instance.facts["attributes"].items():
            setattr(runtime, name, value)
        with in_memory_supervisor(runtime, instance.facts["previous_success"]) as supervisor:
            yield runtime, runtime.get_template_context(), supervisor

    def _attributes(self, instance: Instance, session: Session) -> Dict[str, object]:
        """Return attributes of the task instance that the server of this Airflow computes."""
        return {}

    def _context(self, dag_run: Any, **resumed: Any) -> Any:
        from airflow.sdk.api.datamodels._generated import TIRunContext

        # A test has one try, to show its failure.
        empty: Dict[str, Any] = {"variables": [], "connections": [], "xcom_keys_to_clear": []}
        return TIRunContext(dag_run=dag_run, max_tries=0, should_retry=False, **empty, **resumed)

    def _dag_run(self, instance: Instance, session: Session) -> Any:
        facts = self._run_that_would_be(instance, session) if instance.run_id is None else _facts(instance, session)
        facts["start_date"] = facts.get("start_date") or datetime.now(timezone.utc)
        return self._as_run(facts)

    def _as_run(self, facts: Mapping[str, Any]) -> Any:
        from airflow.sdk.api.datamodels._generated import DagRun

        return DagRun.model_validate({name: value for name, value in facts.items() if name in DagRun.model_fields})

    def _run_that_would_be(self, instance: Instance, session: Session) -> Dict[str, object]:
        dag, date = airflow().stored_dag(instance.dag_id, session), instance.logical_date
        assert date is not None
        interval = dag.timetable.infer_manual_data_interval(run_after=date)
        return {
            "dag_id": instance.dag_id,
            "run_id": f"manual__{date.isoformat()}",
            "logical_date": date,
            "data_interval_start": interval.start,
            "data_interval_end": interval.end,
            "run_after": date,
            "end_date": None,
            "run_type": "manual",
            "state": "running",
            "conf": {},
            "consumed_asset_events": [],
            "partition_key": None,
        }

    # Execution

    def _act(self, runtime: Any, context: Any, supervisor: InMemorySupervisor) -> Any:
        import structlog
        from airflow.sdk.execution_time.task_runner import finalize, run

        log = structlog.get_logger(logger_name="task")
        with supervisor.reachable():
            state, message, error = run(runtime, context, log)
            if type(message).__name__ != "DeferTask":
                context["exception"] = error
                finalize(runtime, state, context, log, error)
        return state, message, error

    def _returned(self, runtime: Any, supervisor: InMemorySupervisor) -> Any:
        from airflow.sdk.execution_time.comms import XComResult
        from airflow.sdk.execution_time.xcom import XCom

        stored = supervisor.xcom("return_value")
        return None if stored is None else XCom.deserialize_value(XComResult(key="return_value", value=stored))

    # Deferral

    def _event(self, message: Any) -> Any:
        module, _, name = message.classpath.rpartition(".")
        trigger = getattr(import_module(module), name)(**self._trigger_kwargs(message))

        async def first_event() -> Any:
            async for event in trigger.run():
                return event

        return asyncio.run(first_event())

    def _trigger_kwargs(self, message: Any) -> Any:
        from airflow.sdk.serde import deserialize

        return deserialize(message.trigger_kwargs)

    def _next_kwargs(self, message: Any, event: Any) -> Any:
        from airflow.sdk.serde import serialize

        return message.next_kwargs if event is None else {**message.next_kwargs, "event": serialize(event.payload)}


class TestRuns31(TestRuns3):
    """Airflow 3.1."""

    def _ti_count(self, task: Task) -> Any:
        from airflow.models.mappedoperator import get_mapped_ti_count  # type: ignore[import-not-found]

        return get_mapped_ti_count

    # The SDK has its own serialization, serde, since 3.2.

    def _trigger_kwargs(self, message: Any) -> Any:
        return message.trigger_kwargs

    def _next_kwargs(self, message: Any, event: Any) -> Any:
        from airflow.serialization.serialized_objects import BaseSerialization

        happened = {} if event is None else {"event": event.payload}
        return BaseSerialization.serialize({**message.next_kwargs, **happened})

    def _attributes(self, instance: Instance, session: Session) -> Dict[str, object]:
        # Before 3.2 the server determines which instances of a mapped task another task reads from.
        dag = airflow().stored_dag(instance.dag_id, session)
        if instance.map_index < 0 or instance.task_id not in dag.task_dict:
            return {}
        try:
            return {"_upstream_map_indexes": dict(self._upstream(dag, instance, session))}
        except RuntimeError:
            # An upstream task has not run; the code that needs it raises its own error.
            return {}

    def _upstream(self, dag: Dag, instance: Instance, session: Session) -> Any:
        from airflow.api_fastapi.execution_api.routes.task_instances import (  # type: ignore[attr-defined]
            _get_upstream_map_indexes,
        )

        named = SimpleNamespace(task_id=instance.task_id, map_index=instance.map_index, run_id=instance.run_id)
        return _get_upstream_map_indexes(serialized_dag=dag, ti=named, session=session)


class TestRuns30(TestRuns31):
    """Airflow 3.0."""

    def _ti_count(self, task: Task) -> Any:
        from airflow.models.baseoperator import BaseOperator  # type: ignore[import-not-found]

        return BaseOperator.get_mapped_ti_count

    def _act(self, runtime: Any, context: Any, supervisor: Any) -> Any:
        # Before 3.1 nothing configures structlog here; its default prints the local variables of each frame, in color.
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
        return super()._act(runtime, context, supervisor)

    def _upstream(self, dag: Dag, instance: Instance, session: Session) -> Any:
        from airflow.api_fastapi.execution_api.routes.task_instances import (  # type: ignore[attr-defined]
            _get_upstream_map_indexes,
        )

        return _get_upstream_map_indexes(dag.get_task(instance.task_id), instance.map_index, instance.run_id, session)


def _facts(instance: Instance, session: Session) -> Dict[str, object]:
    """Return an existing run as a worker receives it."""
    from airflow.api_fastapi.execution_api.datamodels.taskinstance import DagRun as RunOfWorker
    from airflow.models.dagrun import DagRun

    this_one = (DagRun.dag_id == instance.dag_id, DagRun.run_id == instance.run_id)
    statement = select(DagRun).where(*this_one).options(joinedload(DagRun.consumed_asset_events))
    row = session.scalars(statement).unique().one()
    if row.start_date is None:
        # A queued run has none, and 3.0 and 3.1 require one.
        set_committed_value(row, "start_date", datetime.now(timezone.utc))
    data: Dict[str, object] = RunOfWorker.model_validate(row, from_attributes=True).model_dump(mode="json")
    return data


def _previous_success(dag_run: Any, session: Session) -> Optional[Dict[str, object]]:
    """Return the last successful run before the logical date of a run, as a worker receives it."""
    from airflow.models.dagrun import DagRun
    from airflow.sdk.execution_time.comms import PrevSuccessfulDagRunResult
    from airflow.utils.state import DagRunState

    if dag_run.logical_date is None:
        return None
    before = (DagRun.dag_id == dag_run.dag_id, DagRun.logical_date < dag_run.logical_date)
    succeeded = select(DagRun).where(*before, DagRun.state == DagRunState.SUCCESS)
    row = session.scalars(succeeded.order_by(DagRun.logical_date.desc()).limit(1)).unique().first()
    if row is None:
        return None
    names = [name for name in PrevSuccessfulDagRunResult.model_fields if name != "type"]
    found = PrevSuccessfulDagRunResult(**{name: getattr(row, name) for name in names})
    data: Dict[str, Any] = found.model_dump(mode="json", include=set(names))
    return data


def _final(state: Any) -> str:
    word = str(getattr(state, "value", state))
    return "failed" if word == "up_for_retry" else word
