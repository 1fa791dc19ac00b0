"""The plan of a backfill: its dates, runs and tasks, before anything is created."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from itertools import groupby, islice
from typing import TYPE_CHECKING, Any, Dict, List, Mapping, Optional, Tuple

import pendulum
from sqlalchemy import select

from native_api import settings
from native_api.adapters.compat import airflow, text_of
from native_api.adapters.fields.patterns import Pattern
from native_api.errors import ArgumentNotSupported, Invalid, NoSchedule

if TYPE_CHECKING:
    from datetime import datetime

    from airflow.models.dag import DagModel
    from airflow.models.dagrun import DagRun
    from airflow.timetables.base import DagRunInfo
    from sqlalchemy.orm import Session

    from native_api.adapters.compat.objects import Dag

CREATE, REPROCESS, SKIP = "create", "reprocess", "skip"
_ENDED = ("success", "failed")


@dataclass
class PlannedRun:
    """A date of the schedule, its existing run, and the action on it."""

    info: Any
    run: Any
    action: str

    def as_response(self) -> Dict[str, object]:
        """Return the fields of :class:`BackfillRun`."""
        start, end = self.info.data_interval
        # A run that exists keeps its interval, which need not be that of the schedule.
        if self.run is not None and self.run.data_interval_start is not None:
            start, end = self.run.data_interval_start, self.run.data_interval_end
        return {
            "logical_date": self.info.logical_date,
            "data_interval_start": start,
            "data_interval_end": end,
            "action": self.action,
            "run_id": None if self.run is None else self.run.run_id,
            "state": None if self.run is None else _state(self.run),
        }


@dataclass
class Plan:
    """A requested backfill: its DAG, its runs in the order they start, its tasks."""

    dag_model: Any
    dag: Any
    runs: List[PlannedRun]
    #: The tasks to run, in topological order.
    task_ids: List[str]
    #: The states of the DAG's other tasks, which do not run.
    excluded: Dict[str, str]

    # What it was asked for, as the request has it
    from_date: Any
    to_date: Any
    conf: Optional[Dict[str, object]]
    reprocess_behavior: str
    run_backwards: bool
    ignore_dependencies: bool
    ignore_first_depends_on_past: bool
    mark_success: bool
    local: bool
    on_depends_on_past: str
    dry_run: bool
    max_active_runs: Optional[int] = None
    task_regex: Optional[str] = None
    pool: Optional[str] = None
    #: The name of the argument whose date without a time is the last of the range.
    last_day: Optional[str] = None

    #: Arguments that were adapted for tasks with depends_on_past.
    adapted: Dict[str, object] = field(default_factory=dict)

    @property
    def dag_id(self) -> str:
        """The dag_id of the DAG."""
        return str(self.dag.dag_id)

    def with_action(self, action: str) -> List[PlannedRun]:
        """Return the runs with that action."""
        return [run for run in self.runs if run.action == action]

    def depends_on_past(self) -> Optional[str]:
        """Return the first task with depends_on_past, or None."""
        return next((task_id for task_id in self.task_ids if self.dag.get_task(task_id).depends_on_past), None)

    def mapped(self) -> Optional[str]:
        """Return the first mapped task, or None."""
        return next((task_id for task_id in self.task_ids if self.dag.get_task(task_id).is_mapped), None)

    def date_ranges(self) -> List[Tuple[str, str]]:
        """
        Return the first and the last date of each range of runs that are created or reprocessed with the same conf.
        """
        grouped = groupby(self.runs, lambda run: run.action != SKIP and (self._conf_of(run),))
        dates = [[run.info.logical_date for run in runs] for is_wanted, runs in grouped if is_wanted]
        return [(min(date_range).isoformat(), max(date_range).isoformat()) for date_range in dates]

    def _conf_of(self, planned: PlannedRun) -> Any:
        """Return the new, or the retained, configuration of a run."""
        keeps = planned.action == REPROCESS and self.conf is None
        return (planned.run.conf if keeps else self.conf) or {}

    def as_response(self) -> Dict[str, object]:
        """Return the plan in the format of a response."""
        return {
            "dag_id": self.dag_id,
            "from_date": self.from_date,
            "to_date": self.to_date,
            "dry_run": self.dry_run,
            "runs": [run.as_response() for run in self.runs],
            "tasks": self.task_ids,
            "total_entries": len(self.runs),
        }


def planned(session: Session, dag_model: DagModel, arguments: Mapping[str, Any]) -> Plan:
    """
    Return the plan of the backfill.

    :raises NoSchedule: the schedule of the DAG has no consecutive dates.
    :raises Invalid: the dates, the configuration or the regular expression are not valid for the DAG.
    """
    dag = airflow().stored_dag(dag_model.dag_id, session)
    if not dag.timetable.periodic:
        raise NoSchedule(dag_model.dag_id)
    airflow().backfills.require_valid(dag, arguments["conf"])
    infos = _infos(dag, arguments)
    plan = Plan(dag_model, dag, [], *_tasks(dag, arguments), **arguments)
    if plan.on_depends_on_past == "adapt":
        adapted = airflow().backfills.missing_for_past(plan)
        plan = replace(plan, adapted=adapted, **adapted)
    plan.runs = _with_existing(session, dag_model.dag_id, infos, plan.reprocess_behavior)
    return plan


def require_whole_runs(plan: Plan) -> None:
    """Raise :class:`NotPossible` if existing runs would lose task instances that do not run again."""
    if plan.excluded and plan.with_action(REPROCESS):
        raise ArgumentNotSupported(
            "task_regex",
            "existing runs would lose their other tasks; use clear_tasks to run some of their tasks again.",
        )


def later_that_day(plan: Plan) -> Optional[Any]:
    """Return the first date of the schedule after midnight on the last day of the range, if its interval has ended."""
    midnight = pendulum.instance(plan.to_date).in_timezone(airflow().default_timezone())
    now = pendulum.now("UTC")
    if midnight >= now:
        return None
    first = _begin(plan.dag, midnight.add(microseconds=1))
    last = min(midnight.add(days=1).subtract(microseconds=1), now)
    infos: Any = islice(plan.dag.iter_dagrun_infos_between(first, last), 1) if first <= last else ()
    return next((info for info in infos if info.data_interval.end < now), None)


def _infos(dag: Any, arguments: Mapping[str, Any]) -> List[DagRunInfo]:
    """Return the dates of the schedule in the range whose data intervals have ended, in the order they start."""
    now, first, last = pendulum.now("UTC"), arguments["from_date"], arguments["to_date"]
    if first >= now:
        raise Invalid({"from_date": ["Is in the future; a run is created after its data interval has ended."]})
    most: int = settings.get("backfill_runs")
    infos = list(islice(dag.iter_dagrun_infos_between(_begin(dag, first), min(last, now)), most + 1))
    if len(infos) > most:
        raise Invalid(
            {"to_date": [f"Selects more than {most} runs, the option [native_api] backfill_runs; reduce the range."]}
        )
    if any(info.logical_date is None for info in infos):
        raise ArgumentNotSupported("dag_id", "the schedule of the DAG is partitioned; use 'airflow backfill create'.")
    ended = [info for info in infos if info.data_interval.end < now]
    if not ended:
        raise Invalid(
            {
                "from_date": [
                    f"The schedule of the DAG has no run from {first.isoformat()} to {last.isoformat()} whose data "
                    "interval has ended."
                ]
            }
        )
    return ended[::-1] if arguments["run_backwards"] else ended


def _begin(dag: Any, first: datetime) -> Any:
    """Return the later one of that date and the start_date of the DAG."""
    starts = [start for start in (dag.start_date, *(task.start_date for task in dag.tasks)) if start is not None]
    # Airflow 3 has DAGs without any.
    return max(first, min(starts)) if starts else first


def _with_existing(session: Session, dag_id: str, infos: List[Any], behavior: str) -> List[PlannedRun]:
    """Return the dates with their existing runs, and the action on each."""
    from airflow.models.dagrun import DagRun

    date = airflow().date_of_runs()
    dates = [info.logical_date for info in infos]
    statement = select(DagRun).where(DagRun.dag_id == dag_id, date.in_(dates))
    existing = {getattr(run, airflow().date_column): run for run in session.scalars(statement).unique()}
    runs = [existing.get(info.logical_date) for info in infos]
    return [PlannedRun(info, run, _action(run, behavior)) for info, run in zip(infos, runs)]


def _action(run: Optional[DagRun], behavior: str) -> str:
    if run is None:
        return CREATE
    reprocessed = {"none": (), "failed": ("failed",), "completed": _ENDED}[behavior]
    return REPROCESS if _state(run) in reprocessed else SKIP


def _state(run: DagRun) -> str:
    return str(text_of(run.state))


def _tasks(dag: Dag, arguments: Mapping[str, Any]) -> Any:
    """Return the tasks to run, in topological order, and the states of the others."""
    if arguments.get("task_regex") is None:
        return _in_order(dag), {}
    matching = [task_id for task_id in dag.task_dict if Pattern.matches(arguments["task_regex"], task_id)]
    if not matching:
        raise Invalid({"task_regex": [f"The DAG '{dag.dag_id}' has no task whose task_id matches."]})
    # The setups and teardowns of a task come with it.
    chosen = dag.partial_subset(
        matching, include_upstream=not arguments["ignore_dependencies"], include_downstream=False
    )
    before = {task_id for chosen_id in chosen.task_dict for task_id in _before(dag, chosen_id)}
    # A task that others wait for must have succeeded for them to run; one that nothing waits for is skipped.
    excluded = {
        task_id: "success" if task_id in before else "skipped"
        for task_id in dag.task_dict
        if task_id not in chosen.task_dict
    }
    return [task_id for task_id in _in_order(dag) if task_id in chosen.task_dict], excluded


def _before(dag: Dag, task_id: str) -> List[str]:
    return list(dag.get_task(task_id).get_flat_relative_ids(upstream=True))


def _in_order(dag: Dag) -> List[str]:
    """Return the task_ids of the DAG in topological order."""
    waiting = {task_id: set(dag.get_task(task_id).upstream_task_ids) for task_id in sorted(dag.task_dict)}
    ordered: List[str] = []
    while waiting:
        ready = [task_id for task_id, before in waiting.items() if not before & waiting.keys()]
        ordered += ready
        for task_id in ready:
            del waiting[task_id]
    return ordered
