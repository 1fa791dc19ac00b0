"""Task instances that are rendered, or run with nothing recorded."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from datetime import datetime
from typing import Any, ContextManager, Dict, Optional


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


class TestRuns(ABC):
    """Task instances that are rendered, or run with nothing recorded."""

    #: Whether ``airflow tasks test`` has --dry-run, which 3.0 dropped.
    has_dry_run: bool

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

    @abstractmethod
    def _is_mapped(self, task: Any) -> bool: ...

    @abstractmethod
    def _ti_count(self, task: Any) -> Any: ...

    def render(self, task: Any, instance: Instance) -> Dict[str, Any]:
        """Return what each template field of the task becomes; nothing is recorded."""
        with self._rendered(task, instance) as rendered:
            return fields_of(rendered)

    def dry_run(self, task: Any, instance: Instance) -> Dict[str, Any]:
        """Have the task say what it would do, and return what its template fields become."""
        with self._rendered(task, instance) as rendered:
            rendered.dry_run()
            return fields_of(rendered)

    @abstractmethod
    def _rendered(self, task: Any, instance: Instance) -> ContextManager[Any]:
        """Give the task, or the instance of the mapped task, with its template fields rendered."""

    @abstractmethod
    def run(self, task: Any, instance: Instance, temporary_run_id: str) -> Outcome:
        """Run the task to its end, deferrals included; nothing of it is recorded."""

    @abstractmethod
    def sweep(self, dag_id: str, run_id: str) -> None:
        """Remove what a trial that was killed has left."""


def fields_of(task: Any) -> Dict[str, Any]:
    """Return the template fields of a task by name."""
    return {name: getattr(task, name) for name in task.template_fields}
