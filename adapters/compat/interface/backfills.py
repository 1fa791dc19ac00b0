"""Backfills."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, Dict, List, Mapping, Optional, Sequence, Tuple

from native_api.errors import DependsOnPast

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

    from native_api.adapters.backfills.plan import Plan
    from native_api.adapters.compat.objects import Dag


@dataclass
class BackfillRecord:
    """A backfill as it is recorded."""

    backfill_id: int
    dag_id: str
    from_date: datetime
    to_date: datetime
    reprocess_behavior: Optional[str]
    max_active_runs: Optional[int]
    created_at: Optional[datetime]
    created_by: Optional[str]
    #: Whether it is recorded as completed.
    is_over: bool
    #: Airflow 3: whether it is paused.
    is_paused: bool = False
    #: Whether runs are still being created.
    is_open: bool = False
    #: Airflow 2: the state in which it ended, if that is recorded.
    ended: Optional[str] = None
    local: bool = False
    job_id: Optional[str] = None
    #: Airflow 2: the host of its job.
    hostname: Optional[str] = None
    #: Airflow 2: the run_ids that do not begin with its own prefix and that no later backfill has taken over.
    run_ids: Tuple[str, ...] = ()
    #: Airflow 2: the run_ids with its own prefix that later backfills have taken over.
    given_up: Tuple[str, ...] = ()
    #: Airflow 2: the number of its runs that later backfills have taken over.
    taken_over: int = 0
    #: Airflow 2: the number of dates that a job runs, and their ranges.
    dates: int = 0
    date_ranges: Tuple[Tuple[datetime, datetime], ...] = ()

    def facts(self) -> Dict[str, object]:
        """Return the fields that responses show unchanged."""
        return dict(vars(self))


class Backfills(ABC):
    """Backfills."""

    @abstractmethod
    def warnings_about(self, plan: Plan) -> List[str]:
        """
        Return the warnings about how Airflow carries a plan out.

        :raises ArgumentNotSupported: Airflow has nothing for an argument.
        :raises DependsOnPast: a task would not wait for the previous run.
        :raises Refused: the DAG does not allow backfills.
        """

    @abstractmethod
    def missing_for_past(self, plan: Plan) -> Dict[str, Any]:
        """Return the arguments that a plan needs because of depends_on_past, and does not have."""

    def _warnings_about_past(self, plan: Plan) -> List[str]:
        """Return the warnings about tasks with depends_on_past, or raise :class:`DependsOnPast`."""
        waits = plan.depends_on_past()
        if waits is None or plan.mark_success:
            return []
        if plan.run_backwards:
            raise DependsOnPast(plan.dag_id, waits, "it cannot be backfilled backwards.")
        if self.missing_for_past(plan):
            raise DependsOnPast(plan.dag_id, waits, self._way_past)
        return [f"The task '{waits}' has depends_on_past: {self._adapted}"] if plan.adapted else []

    _way_past: str

    _adapted: str

    @abstractmethod
    def require_valid(self, dag: Dag, conf: Optional[Mapping[str, object]]) -> None:
        """Raise :class:`Invalid` if the DAG's params do not accept the configuration."""

    @abstractmethod
    def at_once(self, plan: Plan) -> int:
        """Return the maximum number of runs that run at once."""

    @abstractmethod
    def is_detached(self, plan: Plan) -> bool:
        """Return whether a job of this API runs the plan, not the scheduler."""

    @abstractmethod
    def command(self, arguments: Mapping[str, object]) -> Optional[List[str]]:
        """Return the arguments of the equivalent ``airflow`` command, or None if there is none."""

    # Existing backfills

    @abstractmethod
    def listed(self, session: Session, dag_id: Optional[str] = None) -> List[Tuple[int, str]]:
        """Return the id and the dag_id of each backfill."""

    @abstractmethod
    def by_id(self, session: Session, backfill_ids: Sequence[int]) -> List[BackfillRecord]:
        """Return the backfills with these ids, the oldest first."""

    @abstractmethod
    def unfinished(self, session: Session, dag_id: Optional[str] = None) -> List[BackfillRecord]:
        """Return the backfills that are not recorded as completed, the oldest first."""

    @abstractmethod
    def runs_of(self, backfill: BackfillRecord) -> Any:
        """Return the condition that selects the DAG runs of a backfill."""

    @abstractmethod
    def runs_by_state(
        self, session: Session, backfills: Sequence[BackfillRecord], state: Any
    ) -> Dict[int, Dict[str, int]]:
        """
        Return the number of runs by state of each backfill that has runs, by its id.

        :param state: the expression of the state of a run.
        """

    @abstractmethod
    def endings(self, session: Session, backfills: Sequence[BackfillRecord]) -> Dict[int, str]:
        """Return the state in which each backfill ended, by its id; of others the state follows from their runs."""

    @abstractmethod
    def taken_over(self, session: Session, backfill: BackfillRecord) -> int:
        """Return the number of runs that later backfills have taken over."""

    @abstractmethod
    def has_live_job(self, session: Session, backfill: BackfillRecord) -> bool:
        """Return whether Airflow's job of a local backfill sends heartbeats."""

    # Changes

    @abstractmethod
    def create(self, session: Session, plan: Plan, created_by: str, job_id: Optional[str] = None) -> BackfillRecord:
        """
        Add a backfill and its runs to the session.

        :param job_id: the job of this API that creates the runs; without one they are created here.

        Airflow's own function commits the backfill before its runs, and a scheduler that looks at it in between
        completes it. This is one transaction, which sets the states of tasks that shall not run as well.
        """

    @abstractmethod
    def end(self, session: Session, backfill_id: int, state: str) -> None:
        """Record that a backfill is completed, as the scheduler does periodically."""

    @abstractmethod
    def fail_without_runs(self, session: Session, backfill_id: int) -> None:
        """Record that a local backfill failed before it had a run."""

    @abstractmethod
    def take_over(self, session: Session, dag: Dag, run_ids: List[str]) -> Dict[datetime, object]:
        """Clear existing runs, take them from the scheduler for a job of this API, and return each conf by date."""

    @abstractmethod
    def run(self, dag: Dag, first: datetime, last: datetime, **how: object) -> Optional[Exception]:
        """
        Run the dates from *first* to *last* in this process.

        :return: the exception that lists what failed, or None.
        :param how: conf, run_backwards, ignore_task_deps, ignore_first_depends_on_past, pool.
        """

    @abstractmethod
    def cancel(self, session: Session, backfill: BackfillRecord) -> None:
        """Record that a backfill is cancelled, so that none of its queued runs starts."""
