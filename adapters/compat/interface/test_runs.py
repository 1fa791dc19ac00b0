"""Task instances that are rendered, or run with nothing recorded."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any, ContextManager, Dict, Mapping, Optional

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

    from native_api.adapters.compat.objects import Task


@dataclass(frozen=True)
class Instance:
    """
    A task instance that need not exist; *run_id* is None if its DAG run does not exist.

    *facts* are those of :meth:`TestRuns.facts`.
    """

    dag_id: str
    task_id: str
    map_index: int
    run_id: Optional[str]
    logical_date: Optional[datetime]
    facts: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Outcome:
    """The outcome of a test run; a dry run has no state."""

    state: Optional[str]
    value: Any = None
    error: Optional[BaseException] = None


class TestRuns(ABC):
    """Task instances that are rendered, or run with nothing recorded."""

    #: Whether ``airflow tasks test`` has --dry-run, which 3.0 removed.
    has_dry_run: bool

    def map_count(self, task: Task, run_id: Optional[str], session: Session) -> Optional[int]:
        """
        Return the number of instances of a serialized task, or None if it is not mapped.

        :raises LookupError: the number depends on upstream tasks that have not returned a value.
        """
        if not self._is_mapped(task) and task.get_closest_mapped_task_group() is None:
            return None
        try:
            return int(task.get_parse_time_mapped_ti_count())
        except RuntimeError:
            # NotFullyPopulated, whose module differs between minors.
            pass
        try:
            return int(self._ti_count(task)(task, run_id, session=session))
        except (RuntimeError, ValueError) as exc:
            # Since 3.4 it is a ValueError if there is no DAG run.
            raise LookupError(task.task_id) from exc

    @abstractmethod
    def _is_mapped(self, task: Task) -> bool: ...

    @abstractmethod
    def _ti_count(self, task: Task) -> Any: ...

    @abstractmethod
    def facts(self, instance: Instance, session: Session) -> Dict[str, object]:
        """
        Return what a process without the database needs to render or test the task instance.

        :return: JSON; empty on Airflow 2, where every process has the database.
        """

    def render(self, task: Task, instance: Instance) -> Dict[str, object]:
        """Return the rendered template fields of a task by name; nothing is recorded."""
        with self._rendered(task, instance) as rendered:
            return fields_of(rendered)

    def dry_run(self, task: Task, instance: Instance) -> Dict[str, object]:
        """Call the task's ``dry_run`` and return its rendered template fields by name."""
        with self._rendered(task, instance) as rendered:
            rendered.dry_run()
            return fields_of(rendered)

    @abstractmethod
    def _rendered(self, task: Task, instance: Instance) -> ContextManager[Any]:
        """Return a context manager with the task, or the instance of a mapped one, with rendered template fields."""

    @abstractmethod
    def run(self, task: Task, instance: Instance, temporary_run_id: str) -> Outcome:
        """Run a task until it ends, deferrals included; nothing is recorded."""

    def rehearse(self) -> None:
        """
        Run the statements of a test run in a transaction that is rolled back.

        SQLAlchemy compiles each statement once per process: the forks of this one need not do so.
        """

    @abstractmethod
    def delete_leftovers(self, dag_id: str, run_id: str) -> None:
        """Delete the temporary run that a killed test run left behind."""


def fields_of(task: Task) -> Dict[str, object]:
    """Return the template fields of a task by name."""
    return {name: getattr(task, name) for name in task.template_fields}
