"""One task instance on trial, rendered or run with nothing recorded: Airflow 3.2 and 3.3."""

from __future__ import annotations

import asyncio
import uuid
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timezone
from importlib import import_module
from typing import Any, Dict, Iterator, Optional

from native_api.adapters.compat.installed import airflow
from native_api.adapters.compat.rehearsal import Rehearsal, rehearsal


@dataclass(frozen=True)
class Instance:
    """A task instance that need not exist; *run_id* is that of the run that does, or None."""

    dag_id: str
    task_id: str
    map_index: int
    run_id: Optional[str]
    logical_date: Optional[datetime]


@dataclass(frozen=True)
class Outcome:
    """How a task ended that was run on trial; a dry run has no state."""

    state: Optional[str]
    value: Any = None
    error: Optional[BaseException] = None


class Trials:
    """
    Airflow 3.2 and 3.3.

    A task of Airflow 3 reaches the database by messages to a supervisor only, so that nothing is in it for a trial: the
    context is made here, and :class:`~.rehearsal.Rehearsal` keeps what the task says of itself.
    """

    #: Whether ``airflow tasks test`` has --dry-run, which 3.0 dropped.
    has_dry_run = False

    def map_count(self, task: Any, run_id: Optional[str], session: Any) -> Optional[int]:
        """
        Return how many instances a stored task has, or None where it is not mapped.

        :raises LookupError: that depends on what tasks before it return, and they have not yet.
        """
        if not self._is_mapped(task) and task.get_closest_mapped_task_group() is None:
            return None
        try:
            return int(task.get_parse_time_mapped_ti_count())
        except RuntimeError:
            # NotFullyPopulated, which has moved with every other minor.
            pass
        try:
            return int(self._ti_count(task)(task, run_id, session=session))
        except (RuntimeError, ValueError) as exc:
            # From 3.4 on a ValueError says that there is no run.
            raise LookupError(task.task_id) from exc

    def _is_mapped(self, task: Any) -> bool:
        return bool(task.is_mapped)

    def _ti_count(self, task: Any) -> Any:
        from airflow.serialization.definitions.mappedoperator import get_mapped_ti_count

        return get_mapped_ti_count

    def render(self, task: Any, instance: Instance) -> Dict[str, Any]:
        """Return what each template field of the task becomes; nothing is recorded."""
        with self._rendered(task, instance) as rendered:
            return fields_of(rendered)

    def dry_run(self, task: Any, instance: Instance) -> Dict[str, Any]:
        """Have the task say what it would do, and return what its template fields become."""
        with self._rendered(task, instance) as rendered:
            rendered.dry_run()
            return fields_of(rendered)

    @contextmanager
    def _rendered(self, task: Any, instance: Instance) -> Iterator[Any]:
        """Give the task, or the instance of the mapped task, with its template fields rendered."""
        with self._on_trial(task, instance) as (runtime, context, _):
            runtime.render_templates(context)
            yield runtime.task

    def run(self, task: Any, instance: Instance, temporary_run_id: str) -> Outcome:
        """Run the task to its end, deferrals included; nothing of it is recorded."""
        resumed: Dict[str, Any] = {}
        while True:
            with self._on_trial(task, instance, **resumed) as (runtime, context, held):
                state, message, error = self._act(runtime, context, held)
                if type(message).__name__ != "DeferTask":
                    return Outcome(_final(state), self._returned(runtime, held), error)
                event = self._event(message)
                ended = getattr(event, "task_instance_state", None)
                if ended is not None:
                    return Outcome(_final(ended), self._returned(runtime, held))
                resumed = {"next_method": message.next_method, "next_kwargs": self._next_kwargs(message, event)}

    def sweep(self, dag_id: str, run_id: str) -> None:
        """Remove what a trial that was killed has left."""

    # The instance, as a worker has it

    @contextmanager
    def _on_trial(self, task: Any, instance: Instance, **resumed: Any) -> Iterator[Any]:
        from airflow.sdk.execution_time.task_runner import RuntimeTaskInstance

        with airflow().session() as session:
            dag_run = self._dag_run(instance, session)
            more = self._more(task, instance, session)
            session.rollback()
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
        for name, value in more.items():
            setattr(runtime, name, value)
        with rehearsal(runtime, dag_run) as held:
            yield runtime, runtime.get_template_context(), held

    def _more(self, task: Any, instance: Instance, session: Any) -> Dict[str, Any]:
        return {}

    def _context(self, dag_run: Any, **resumed: Any) -> Any:
        from airflow.sdk.api.datamodels._generated import TIRunContext

        # A trial has one try: whoever asks for it wants to know what went wrong.
        empty: Dict[str, Any] = {"variables": [], "connections": [], "xcom_keys_to_clear": []}
        return TIRunContext(dag_run=dag_run, max_tries=0, should_retry=False, **empty, **resumed)

    def _dag_run(self, instance: Instance, session: Any) -> Any:
        from airflow.sdk.api.datamodels._generated import DagRun

        facts = self._run_that_would_be(instance, session) if instance.run_id is None else _facts(instance, session)
        facts["start_date"] = facts.get("start_date") or datetime.now(timezone.utc)
        return DagRun.model_validate({name: value for name, value in facts.items() if name in DagRun.model_fields})

    def _run_that_would_be(self, instance: Instance, session: Any) -> Dict[str, Any]:
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

    # The run of the task

    def _act(self, runtime: Any, context: Any, held: Rehearsal) -> Any:
        import structlog
        from airflow.sdk.execution_time.task_runner import finalize, run

        log = structlog.get_logger(logger_name="task")
        with held.reachable():
            state, message, error = run(runtime, context, log)
            if type(message).__name__ != "DeferTask":
                context["exception"] = error
                finalize(runtime, state, context, log, error)
        return state, message, error

    def _returned(self, runtime: Any, held: Rehearsal) -> Any:
        from airflow.sdk.execution_time.comms import XComResult
        from airflow.sdk.execution_time.xcom import XCom

        stored = held.xcom("return_value")
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


def fields_of(task: Any) -> Dict[str, Any]:
    """Return the template fields of a task by name."""
    return {name: getattr(task, name) for name in task.template_fields}


def _facts(instance: Instance, session: Any) -> Dict[str, Any]:
    """Return an existing run as a worker is told of it."""
    from airflow.api_fastapi.execution_api.datamodels.taskinstance import DagRun as ToldRun
    from airflow.models.dagrun import DagRun
    from sqlalchemy import select
    from sqlalchemy.orm import joinedload
    from sqlalchemy.orm.attributes import set_committed_value

    this_one = (DagRun.dag_id == instance.dag_id, DagRun.run_id == instance.run_id)
    statement = select(DagRun).where(*this_one).options(joinedload(DagRun.consumed_asset_events))
    row = session.scalars(statement).unique().one()
    if row.start_date is None:
        # A queued run has none, and 3.0 and 3.1 insist on one.
        set_committed_value(row, "start_date", datetime.now(timezone.utc))
    told: Dict[str, Any] = ToldRun.model_validate(row, from_attributes=True).model_dump(mode="json")
    return told


def _final(state: Any) -> str:
    word = str(getattr(state, "value", state))
    return "failed" if word == "up_for_retry" else word
