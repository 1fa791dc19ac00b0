"""Backfills."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Dict, List, Mapping, Optional, Sequence, Tuple

from native_api.errors import DependsOnPast


@dataclass
class Found:
    """A backfill that there is."""

    backfill_id: int
    dag_id: str
    from_date: datetime
    to_date: datetime
    reprocess_behavior: Optional[str]
    max_active_runs: Optional[int]
    created_at: Optional[datetime]
    created_by: Optional[str]
    #: Whether it is taken down that nothing of it goes on.
    is_over: bool
    #: Airflow 3: whether none of its runs starts, until somebody has them go on.
    is_paused: bool = False
    #: Whether there may be runs to come.
    is_open: bool = False
    #: Airflow 2: how it has ended, where that is taken down.
    ended: Optional[str] = None
    local: bool = False
    job_id: Optional[str] = None
    #: Airflow 2: the machine whose job it is.
    hostname: Optional[str] = None
    #: Airflow 2: the ids of its runs, but for those that bear its own id, which no later backfill has taken over.
    run_ids: Tuple[str, ...] = ()
    #: Airflow 2: the ids of the runs that bear its id and that later backfills have taken over.
    given_up: Tuple[str, ...] = ()
    #: Airflow 2: how many of its runs those are, with the others.
    taken_over: int = 0
    #: Airflow 2: how many dates a job runs, and the first and the last of each stretch of them.
    dates: int = 0
    stretches: Tuple[Tuple[datetime, datetime], ...] = ()

    def facts(self) -> Dict[str, Any]:
        """Return what answers show of it as it is."""
        return dict(vars(self))


class Backfills(ABC):
    """Backfills."""

    @abstractmethod
    def weigh(self, plan: Any) -> List[str]:
        """
        Return what the caller should know of how the plan is done.

        :raises ArgumentNotSupported: Airflow cannot do what an argument asks for.
        :raises DependsOnPast: it would not wait for the run before.
        :raises Refused: the DAG forbids it.
        """

    @abstractmethod
    def lacking_for_past(self, plan: Any) -> Dict[str, Any]:
        """Return the arguments that a backfill lacks whose tasks have depends_on_past; none where it lacks nothing."""

    def _weigh_past(self, plan: Any) -> List[str]:
        """Return what the caller should know of how tasks that have depends_on_past are done, or raise."""
        waits = plan.depends_on_past()
        if waits is None or plan.mark_success:
            return []
        if plan.run_backwards:
            raise DependsOnPast(plan.dag_id, waits, "it cannot be backfilled backwards.")
        if self.lacking_for_past(plan):
            raise DependsOnPast(plan.dag_id, waits, self._way_past)
        return [f"The task '{waits}' has depends_on_past: {self._adapted}"] if plan.adapted else []

    _way_past: str

    _adapted: str

    @abstractmethod
    def require_valid(self, dag: Any, conf: Optional[Mapping[str, Any]]) -> None:
        """Raise :class:`Invalid` where the DAG's params refuse the configuration."""

    @abstractmethod
    def at_once(self, plan: Any) -> int:
        """Return how many runs run at once."""

    @abstractmethod
    def is_detached(self, plan: Any) -> bool:
        """Return whether a job of ours runs it, not the scheduler."""

    @abstractmethod
    def command(self, arguments: Mapping[str, Any]) -> Optional[List[str]]:
        """Return the words after ``airflow`` that do the same, or None where the command line cannot."""

    # Those that there are

    @abstractmethod
    def listed(self, session: Any, dag_id: Optional[str] = None) -> List[Tuple[int, str]]:
        """Return the ids of the backfills that there are, each with the id of its DAG."""

    @abstractmethod
    def found(self, session: Any, backfill_ids: Sequence[int]) -> List[Found]:
        """Return the backfills of these ids that there are, the oldest first."""

    @abstractmethod
    def unended(self, session: Any, dag_id: Optional[str] = None) -> List[Found]:
        """Return the backfills of which it is not taken down that they are over, the oldest first."""

    @abstractmethod
    def runs_of(self, found: Found) -> Any:
        """Return the condition that a run is one of the backfill's."""

    @abstractmethod
    def ending(self, session: Any, found: Found) -> Optional[str]:
        """Return how the backfill has ended, where that is known by more than its runs."""

    @abstractmethod
    def taken_over(self, session: Any, found: Found) -> int:
        """Return how many of the backfill's runs are those of later ones now."""

    @abstractmethod
    def is_heard_of(self, session: Any, found: Found) -> bool:
        """Return whether Airflow's own job of a local backfill lives; here there is none."""

    # Making and ending one

    @abstractmethod
    def create(self, session: Any, plan: Any, created_by: str, job_id: Optional[str] = None) -> Found:
        """
        Add the backfill and its runs to the session; with *job_id* that job of ours makes the runs.

        Airflow's own function commits the backfill before its runs; until those are there, a scheduler takes it for
        complete. Here all of it comes with one transaction, and what is not to run is marked in that too.
        """

    @abstractmethod
    def end(self, session: Any, backfill_id: int, state: str) -> None:
        """Take down that nothing of the backfill is left to run, as the scheduler does every now and then."""

    @abstractmethod
    def never_begin(self, session: Any, backfill_id: int) -> None:
        """Take down that a local backfill has failed without having a run."""

    @abstractmethod
    def take_over(self, session: Any, dag: Any, run_ids: List[str]) -> Dict[datetime, Any]:
        """Clear runs that exist, and take them from the scheduler, for a job of ours; return their configurations."""

    @abstractmethod
    def run(self, dag: Any, first: datetime, last: datetime, **how: Any) -> Optional[Exception]:
        """
        Run the dates from *first* to *last* in this process, and return when that is done what has failed.

        :param how: conf, run_backwards, ignore_task_deps, ignore_first_depends_on_past, pool.
        """

    @abstractmethod
    def cancel(self, session: Any, found: Found) -> None:
        """Take down that the backfill is cancelled, so that none of its runs starts any more."""
