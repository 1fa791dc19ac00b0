"""Errors of backfills."""

from __future__ import annotations

from dataclasses import dataclass, field
from http import HTTPStatus

from native_api.errors.base import NativeApiError
from native_api.errors.conflicts import Conflict
from native_api.errors.missing import NotFound


@dataclass(eq=False)
class BackfillNotFound(NotFound):
    """No backfill has that id."""

    code = "backfill_not_found"
    backfill_id: int

    def __str__(self) -> str:
        return f"There is no backfill {self.backfill_id}; list_backfills returns the existing ones."


@dataclass(eq=False)
class BackfillIsActive(Conflict):
    """The DAG has an active backfill, and Airflow runs one at a time."""

    code = "backfill_active"
    dag_id: str
    backfill_id: int

    def __str__(self) -> str:
        return (
            f"The DAG '{self.dag_id}' is being backfilled already, by backfill {self.backfill_id}: "
            "wait for its end, or cancel it with cancel_backfill."
        )


@dataclass(eq=False)
class BackfillHasEnded(Conflict):
    """The backfill has already ended."""

    code = "backfill_ended"
    backfill_id: int
    state: str

    def __str__(self) -> str:
        return f"The backfill {self.backfill_id} has ended already: {self.state}."


@dataclass(eq=False)
class BackfillIsElsewhere(Conflict):
    """The backfill runs as a job on another host."""

    code = "backfill_on_other_host"
    backfill_id: int
    hostname: str

    def __str__(self) -> str:
        return (
            f"The job of backfill {self.backfill_id} runs on the host '{self.hostname}', and only a web server "
            "there can cancel it: call that one."
        )


@dataclass(eq=False)
class NoSchedule(Conflict):
    """The DAG's schedule has no consecutive dates."""

    code = "no_schedule"
    dag_id: str

    def __str__(self) -> str:
        return (
            f"The DAG '{self.dag_id}' has no schedule with dates to backfill; use trigger_dag to create a run for any "
            "logical_date."
        )


@dataclass(eq=False)
class DependsOnPast(Conflict):
    """Tasks depend on past runs, which this kind of backfill does not respect."""

    code = "depends_on_past"
    dag_id: str
    task_id: str
    way_out: str = field(metadata={"public": False})

    def __str__(self) -> str:
        return f"The task '{self.task_id}' of the DAG '{self.dag_id}' has depends_on_past: {self.way_out}"


@dataclass(eq=False)
class ArgumentNotSupported(NativeApiError):
    """This Airflow cannot do what an argument asks for."""

    code = "argument_not_supported"
    status = HTTPStatus.NOT_IMPLEMENTED
    argument: str
    reason: str = field(metadata={"public": False})

    def __str__(self) -> str:
        return f"'{self.argument}' is not possible here: {self.reason}"
