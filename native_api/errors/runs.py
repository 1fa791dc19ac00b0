"""Errors of single-task runs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Dict, List, Optional

from native_api.errors.conflicts import Conflict


@dataclass(eq=False)
class TaskInstanceBusy(Conflict):
    """The task instance is running or queued."""

    code = "task_instance_busy"
    dag_id: str
    run_id: str
    task_id: str
    map_index: int
    state: str

    def __str__(self) -> str:
        return (
            f"The task '{self.task_id}' is {self.state} already in the run '{self.run_id}' of the DAG '{self.dag_id}'; "
            "wait for its end, or set its state with set_task_state."
        )


@dataclass(eq=False)
class DependenciesUnmet(Conflict):
    """The task instance has unmet dependencies."""

    code = "dependencies_unmet"
    dag_id: str
    run_id: str
    task_id: str
    map_index: int
    dependencies: List[Dict[str, str]]
    #: The arguments that ignore the dependencies; None if there are none.
    arguments: Optional[List[str]]

    def __str__(self) -> str:
        unmet = " ".join(f"{dependency['name']}: {dependency['reason']}" for dependency in self.dependencies)
        way = "no argument ignores them"
        if self.arguments:
            way = f"to ignore them, use {' and '.join(self.arguments)}"
        return f"The task '{self.task_id}' has unmet dependencies; {way}. {unmet}"


@dataclass(eq=False)
class DagPaused(Conflict):
    """The scheduler starts no tasks of a paused DAG."""

    code = "dag_paused"
    dag_id: str

    def __str__(self) -> str:
        return f"The DAG '{self.dag_id}' is paused: unpause it with unpause_dag, or run the task with local."


@dataclass(eq=False)
class OthersWouldStart(Conflict):
    """The scheduler would start other tasks of the run too."""

    code = "other_tasks_would_start"
    dag_id: str
    run_id: str
    tasks: List[str]

    def __str__(self) -> str:
        return (
            f"The run '{self.run_id}' of the DAG '{self.dag_id}' has ended without these tasks, which the scheduler "
            f"would start with it: {', '.join(self.tasks)}. Run the task with local."
        )
