"""What Airflow 2 and the older Airflow 3 do alike with DAG runs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Dict, List, Optional

from sqlalchemy import select

from native_api.adapters.compat.interface.airflow import next_run

if TYPE_CHECKING:
    from datetime import datetime

    from airflow.models.dagrun import DagRun
    from airflow.models.taskinstance import TaskInstance
    from sqlalchemy.orm import Session

    from native_api.adapters.compat.objects import Dag


def finish_run(dag: Dag, run: DagRun, state: str, session: Session) -> List[Any]:
    """
    End a run, as :meth:`~native_api.adapters.compat.interface.airflow.Airflow.finish_run` says.

    Before 3.3 Airflow's own function gives a task instance that has failed, or not run, the run's success, and before
    2.9 one without a state is left without.
    """
    from airflow.models.taskinstance import TaskInstance
    from airflow.utils.state import DagRunState, State, TaskInstanceState

    running = (TaskInstanceState.RUNNING, TaskInstanceState.DEFERRED, TaskInstanceState.UP_FOR_RESCHEDULE)
    instances = select(TaskInstance).where(TaskInstance.dag_id == run.dag_id, TaskInstance.run_id == run.run_id)
    unfinished = [
        instance
        for instance in session.scalars(instances).unique()
        if instance.state not in State.finished and instance.task_id in dag.task_dict
    ]
    # Teardown tasks still run, and the DAG run finishes with them.
    changed = [instance for instance in unfinished if not _is_teardown(dag, instance)]
    for instance in changed:
        ended = TaskInstanceState(state) if instance.state in running else TaskInstanceState.SKIPPED
        instance.set_state(ended, session=session)
    if len(changed) == len(unfinished):
        run.set_state(DagRunState(state))
    session.flush()
    return changed


def next_runs(dag: Dag, interval: Any, run_after: Optional[datetime], count: int) -> List[Dict[str, object]]:
    """
    Return the next runs of a schedule, from the first on, which has this data interval.

    Runs for partitions, and with them information on runs that is more than an interval, came with 3.2.
    """
    runs: List[Dict[str, object]] = []
    while interval is not None and len(runs) < count:
        runs.append(next_run(interval, run_after))
        info = dag.next_dagrun_info(interval, restricted=False)
        interval, run_after = (None, None) if info is None else (info.data_interval, info.run_after)
    return runs


def _is_teardown(dag: Dag, instance: TaskInstance) -> bool:
    return bool(getattr(dag.task_dict[instance.task_id], "is_teardown", False))
