"""What older Airflow 3 does otherwise."""

from __future__ import annotations

from typing import Any, Dict, List, Mapping, Optional

from native_api.adapters.compat.newest import Airflow, Lines, next_run
from native_api.errors import Refused


class Airflow33(Airflow):
    """Airflow 3.3."""

    def health(self) -> Dict[str, Any]:
        # 3.4 has enums for statuses, tells of each process, and calls unhealthy what never was there.
        from airflow.api.common.airflow_health import get_airflow_health

        return dict(get_airflow_health())

    def rendered_fields(self, key: Mapping[str, Any], session: Any) -> Any:
        # 3.4 keeps them of each try.
        from airflow.models.renderedtifields import RenderedTaskInstanceFields
        from sqlalchemy import select

        return session.scalar(select(RenderedTaskInstanceFields.rendered_fields).filter_by(**key))


class Airflow32(Airflow33):
    """Airflow 3.2."""

    def finish_run(self, dag: Any, run: Any, state: str, session: Any) -> List[Any]:
        # Before 3.3 Airflow's own function gives a task instance that has failed, or not run, the run's success, and
        # before 2.9 one without a state is left without.
        from airflow.models.taskinstance import TaskInstance
        from airflow.utils.state import DagRunState, State, TaskInstanceState
        from sqlalchemy import select

        running = (TaskInstanceState.RUNNING, TaskInstanceState.DEFERRED, TaskInstanceState.UP_FOR_RESCHEDULE)
        instances = select(TaskInstance).where(TaskInstance.dag_id == run.dag_id, TaskInstance.run_id == run.run_id)
        unfinished = [
            instance
            for instance in session.scalars(instances).unique()
            if instance.state not in State.finished and instance.task_id in dag.task_dict
        ]
        # A teardown does its work all the same, and the run ends with it.
        changed = [instance for instance in unfinished if not _is_teardown(dag, instance)]
        for instance in changed:
            ended = TaskInstanceState(state) if instance.state in running else TaskInstanceState.SKIPPED
            instance.set_state(ended, session=session)
        if len(changed) == len(unfinished):
            run.set_state(DagRunState(state))
        session.flush()
        return changed


def _is_teardown(dag: Any, instance: Any) -> bool:
    return bool(getattr(dag.task_dict[instance.task_id], "is_teardown", False))


class Airflow31(Airflow32):
    """Airflow 3.1."""

    # Teams came with 3.2 (AIP-67).

    def team_column(self, model: Any) -> Any:
        from sqlalchemy import null

        return null().label("team_name")

    def team_name(self, row: Any) -> Optional[str]:
        return None

    def keep_team(self, row: Any, old: Any) -> None:
        """There are no teams."""

    def next_runs(self, dag: Any, dag_model: Any, count: int) -> List[Dict[str, Any]]:
        # Runs for partitions, and with them information on runs that is more than an interval, came with 3.2.
        runs: List[Dict[str, Any]] = []
        interval, run_after = self._next_interval(dag, dag_model), dag_model.next_dagrun_create_after
        while interval is not None and len(runs) < count:
            runs.append(next_run(interval, run_after))
            info = dag.next_dagrun_info(interval, restricted=False)
            interval, run_after = (None, None) if info is None else (info.data_interval, info.run_after)
        return runs

    def _next_interval(self, dag: Any, dag_model: Any) -> Any:
        from airflow.models.dag import get_next_data_interval

        return get_next_data_interval(dag.timetable, dag_model)


class Airflow30(Airflow31):
    """Airflow 3.0."""

    # The masker moved to the shared library in 3.1.
    secrets_masker = "airflow.sdk.execution_time.secrets_masker"

    def cleared(self, dag: Any, run: Any, **which: Any) -> List[Any]:
        # Up to 3.0 clearing follows markers to other DAGs, and 3.0 fails on one in a run that has not started.
        try:
            return super().cleared(dag, run, **which)
        except ValueError as exc:
            raise Refused("Airflow 3.0 cannot follow a marker to another DAG in a run that has not started.") from exc

    def _next_interval(self, dag: Any, dag_model: Any) -> Any:
        # It was a method of the DAG before 3.1.
        return dag.get_next_data_interval(dag_model)

    def _triggering_user(self, name: str) -> Dict[str, Any]:
        # trigger_dag has no triggering_user_name before 3.1.
        return {}


LINES: Lines = (((3, 4), Airflow), ((3, 3), Airflow33), ((3, 2), Airflow32), ((3, 1), Airflow31), ((3, 0), Airflow30))
