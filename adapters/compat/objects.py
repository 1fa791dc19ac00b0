"""What the objects of every Airflow have in common, whose classes differ between the versions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Collection, Dict, List, Optional, Protocol, Set, TypedDict

if TYPE_CHECKING:
    from datetime import datetime, timedelta

    from airflow.models.dagrun import DagRun
    from airflow.models.taskinstance import TaskInstance


class InstanceKey(TypedDict):
    """The key of a task instance."""

    dag_id: str
    run_id: str
    task_id: str
    map_index: int


def key_of(instance: TaskInstance) -> InstanceKey:
    """Return the key of a task instance."""
    return {
        "dag_id": instance.dag_id,
        "run_id": instance.run_id,
        "task_id": instance.task_id,
        "map_index": instance.map_index,
    }


class User(Protocol):
    """A user of an auth manager."""

    def get_id(self) -> Optional[str]:
        """Return the unique id of the user, or None for an anonymous one."""


class Task(Protocol):
    """A task, as a DAG file defines it or as it is serialized."""

    task_id: str
    dag: Any
    template_fields: Collection[str]
    depends_on_past: bool
    params: Any
    upstream_task_ids: Set[str]

    def get_closest_mapped_task_group(self) -> object:
        """Return the mapped task group of the task, or None."""

    def get_flat_relative_ids(self, *, upstream: bool = False) -> Set[str]:
        """Return the ids of all downstream, or upstream, tasks."""

    def get_parse_time_mapped_ti_count(self) -> int:
        """Return the number of task instances that is known without a run."""


class Dag(Protocol):
    """A DAG, as a DAG file defines it or as it is serialized."""

    dag_id: str
    fileloc: str
    params: Any
    timetable: Any
    timezone: Any
    catchup: bool
    dagrun_timeout: Optional[timedelta]
    doc_md: Optional[str]
    end_date: Optional[datetime]
    is_paused_upon_creation: Optional[bool]
    render_template_as_native_obj: bool
    start_date: Optional[datetime]

    @property
    def task_dict(self) -> Dict[str, Any]:
        """The tasks by task_id."""

    @property
    def tasks(self) -> List[Task]:
        """The tasks."""

    def get_task(self, task_id: str) -> Task:
        """Return a task."""

    def clear(self, **which: object) -> Any:
        """Clear task instances; return them, or their number."""

    def create_dagrun(self, **facts: object) -> DagRun:
        """Create a DAG run with its task instances."""

    def next_dagrun_info(self, *last: object, **how: object) -> Any:
        """Return the next scheduled run."""

    def partial_subset(self, task_ids: Any, **how: bool) -> Dag:
        """Return the DAG with some of its tasks only."""

    def set_task_instance_state(self, **what: object) -> List[TaskInstance]:
        """Set the state of task instances, and clear those that failed downstream of them."""
