"""The database, the DAGs and their runs in Airflow 3."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Dict, List, Mapping, Optional, Type

from sqlalchemy import Text, cast, func, select

from native_api.adapters.compat import older_runs
from native_api.adapters.compat.installed import text_of
from native_api.adapters.compat.interface.airflow import Airflow, RunToCreate, WithoutTeams, next_run
from native_api.errors import Refused

if TYPE_CHECKING:
    from datetime import datetime

    from airflow.models.dag import DagModel
    from airflow.models.dagrun import DagRun
    from airflow.models.taskinstance import TaskInstance
    from sqlalchemy.orm import Session

    from native_api.adapters.compat.objects import Dag, InstanceKey


class Airflow3(Airflow):
    """Airflow 3.4."""

    date_column = "logical_date"

    trigger_date_flag = "--logical-date"

    secrets_masker = "airflow._shared.secrets_masker"

    def health(self) -> Dict[str, Any]:
        from airflow.api.common.airflow_health import get_airflow_health

        found = {
            part: {name: text_of(fact) for name, fact in facts.items() if name not in ("detailed_status", "instances")}
            for part, facts in get_airflow_health().items()
        }
        if found["metadatabase"]["status"] == "healthy":
            for part, job_type in (("triggerer", "TriggererJob"), ("dag_processor", "DagProcessorJob")):
                if not self._has_been(job_type):
                    found[part]["status"] = None
        return found

    def _has_been(self, job_type: str) -> bool:
        from airflow.jobs.job import Job

        with self.session() as session:
            return session.scalar(select(Job.id).where(Job.job_type == job_type).limit(1)) is not None

    # Teams

    def team_column(self, model: Any) -> Any:
        return model.team_name

    def team_name(self, row: Any) -> Optional[str]:
        name: Optional[str] = row.team_name
        return name

    def keep_team(self, row: Any, old: Any) -> None:
        row.team_name = old.team_name

    # DAGs

    def is_active(self, dag_model: Type[DagModel]) -> Any:
        return dag_model.is_stale.is_(False)

    def file_facts(self, dag_model: DagModel) -> Dict[str, Optional[str]]:
        return {"relative_fileloc": dag_model.relative_fileloc, "bundle_name": dag_model.bundle_name}

    def details_of(self, dag_model: DagModel) -> Dict[str, object]:
        return {
            "dag_display_name": dag_model.dag_display_name,
            "bundle_version": dag_model.bundle_version,
            "max_consecutive_failed_dag_runs": dag_model.max_consecutive_failed_dag_runs,
            "asset_expression": dag_model.asset_expression,
        }

    def with_its_parts(self, dag_model: Type[DagModel], dag_id: str) -> Any:
        return dag_model.dag_id == dag_id

    def folders(self) -> List[str]:
        from airflow.dag_processing.bundles.manager import DagBundlesManager

        return [str(bundle.path) for bundle in DagBundlesManager().get_all_dag_bundles()]

    def stored_code(self, dag_model: DagModel, version_number: Optional[int], session: Session) -> Any:
        from airflow.models.dag_version import DagVersion
        from airflow.models.dagcode import DagCode

        statement = select(DagCode, DagVersion.version_number).join(DagVersion, DagCode.dag_version_id == DagVersion.id)
        statement = statement.where(DagVersion.dag_id == dag_model.dag_id)
        if version_number is not None:
            statement = statement.where(DagVersion.version_number == version_number)
        return session.execute(statement.order_by(DagVersion.version_number.desc()).limit(1)).first()

    def next_runs(self, dag: Dag, dag_model: DagModel, count: int) -> List[Dict[str, object]]:
        runs: List[Dict[str, object]] = []
        info = dag.timetable.next_run_info_from_dag_model(dag_model=dag_model)
        while info is not None and len(runs) < count:
            runs.append(next_run(info.data_interval, info.run_after, info.partition_key))
            info = dag.next_dagrun_info(last_automated_run_info=info, restricted=False)
        return runs

    def import_error_model(self) -> Any:
        from airflow.models.errors import ParseImportError

        return ParseImportError

    def bundle_of_errors(self, import_errors: Any, wanted: Optional[str]) -> Any:
        return import_errors.bundle_name

    def of_the_file(self, dag_model: Type[DagModel], import_error: Any) -> Any:
        same_path = dag_model.relative_fileloc == import_error.filename
        return same_path & (dag_model.bundle_name == import_error.bundle_name)

    def task_tree_command(self, dag_id: str) -> Optional[List[str]]:
        return None

    def _stored_at(self, serialized_dag_model: Any) -> Any:
        return serialized_dag_model.created_at

    def _stored_hash(self, dag_id: str) -> Any:
        from airflow.models.serialized_dag import SerializedDagModel

        newest: Any = SerializedDagModel.latest_item_select_object(dag_id)
        return newest.with_only_columns(SerializedDagModel.dag_hash)

    def dag_of_runs(self, dag_id: str) -> List[str]:
        return [dag_id]

    def xcom_table(self) -> Any:
        from airflow.models.xcom import XComModel

        return XComModel.__table__

    def rendered_fields(self, key: InstanceKey, session: Session) -> Any:
        from airflow.models.renderedtifields import RenderedTaskInstanceFields
        from airflow.models.taskinstance import TaskInstance

        latest = session.scalar(select(TaskInstance.id).filter_by(**key))
        stored = latest and RenderedTaskInstanceFields.get_for_attempt(latest, session=session)
        return stored.rendered_fields if stored else None

    def xcom_size(self, column: Any) -> Any:
        return func.length(cast(column, Text))

    def xcom_value(self, stored: Any) -> Any:
        return stored

    def python_operator(self) -> Any:
        from airflow.providers.standard.operators.python import PythonOperator

        return PythonOperator

    def xcom_of_backend(self, key: Mapping[str, str], session: Session) -> Any:
        from airflow.sdk.execution_time.comms import XComResult
        from airflow.sdk.execution_time.xcom import XCom

        columns = self.xcom_table().c
        statement = select(columns.value).where(*(columns[name] == value for name, value in key.items()))
        row = session.execute(statement.where(columns.map_index == -1)).first()
        return None if row is None else XCom.deserialize_value(XComResult(key=key["key"], value=row.value))

    def make_run(self, dag: Dag, run_id: str, logical_date: datetime, session: Session) -> DagRun:
        from airflow.utils.state import DagRunState
        from airflow.utils.types import DagRunTriggeredByType, DagRunType

        return dag.create_dagrun(
            run_id=run_id,
            logical_date=logical_date,
            run_after=logical_date,
            data_interval=self.manual_interval(dag, logical_date),
            run_type=DagRunType.MANUAL,
            triggered_by=DagRunTriggeredByType.REST_API,
            state=DagRunState.RUNNING,
            session=session,
        )

    def _which_to_clear(self, run: Optional[DagRun], which: Dict[str, Any]) -> Dict[str, object]:
        which.pop("exclude_subdags")
        which.pop("exclude_parentdag")
        if run is None:
            return which
        # No range of dates selects a run without a logical date.
        return {**which, "run_id": run.run_id, "start_date": None, "end_date": None}

    def without_subdags(self) -> List[str]:
        return ["exclude_subdags", "exclude_parentdag"]

    def finish_run(self, dag: Dag, run: DagRun, state: str, session: Session) -> List[TaskInstance]:
        from airflow.api.common import mark_tasks

        finish = getattr(mark_tasks, f"set_dag_run_state_to_{state}")
        changed, _ = finish(dag=dag, run_id=run.run_id, commit=True, session=session)
        return list(changed)

    def _trigger_dag(self, wanted: RunToCreate, session: Session) -> str:
        from airflow.api.common.trigger_dag import trigger_dag
        from airflow.utils.types import DagRunTriggeredByType

        dag_run: Any = trigger_dag(
            wanted.dag_id,
            run_id=wanted.run_id,
            conf=wanted.conf,
            logical_date=wanted.logical_date,
            # Airflow 3 infers the data interval from run_after, not from logical_date.
            run_after=wanted.logical_date,
            replace_microseconds=False,
            triggered_by=DagRunTriggeredByType.REST_API,
            session=session,
            **self._triggering_user(wanted.user_name),
        )
        created: str = dag_run.run_id
        session.flush()
        return created

    def _triggering_user(self, name: str) -> Dict[str, Any]:
        return {"triggering_user_name": name}

    def note_author(self, user_id: Any) -> Any:
        return None if user_id is None else str(user_id)


class Airflow33(Airflow3):
    """Airflow 3.3."""

    def health(self) -> Dict[str, object]:
        # 3.4 has enums for statuses, lists each process, and reports processes that never ran as unhealthy.
        from airflow.api.common.airflow_health import get_airflow_health

        return dict(get_airflow_health())

    def rendered_fields(self, key: InstanceKey, session: Session) -> Any:
        # They are stored for each try since 3.4.
        from airflow.models.renderedtifields import RenderedTaskInstanceFields

        return session.scalar(select(RenderedTaskInstanceFields.rendered_fields).filter_by(**key))


class Airflow32(Airflow33):
    """Airflow 3.2."""

    def finish_run(self, dag: Dag, run: DagRun, state: str, session: Session) -> List[TaskInstance]:
        return older_runs.finish_run(dag, run, state, session)


class Airflow31(WithoutTeams, Airflow32):
    """Airflow 3.1."""

    def next_runs(self, dag: Dag, dag_model: DagModel, count: int) -> List[Dict[str, Any]]:
        interval, run_after = self._next_interval(dag, dag_model), dag_model.next_dagrun_create_after
        return older_runs.next_runs(dag, interval, run_after, count)

    def _next_interval(self, dag: Any, dag_model: DagModel) -> Any:
        from airflow.models.dag import get_next_data_interval

        return get_next_data_interval(dag.timetable, dag_model)


class Airflow30(Airflow31):
    """Airflow 3.0."""

    # The masker moved to the shared library in 3.1.
    secrets_masker = "airflow.sdk.execution_time.secrets_masker"

    def cleared(self, dag: Dag, run: Optional[DagRun], **which: object) -> List[TaskInstance]:
        # Up to 3.0 clearing follows ExternalTaskMarkers, and 3.0 fails on one in a run that has not started.
        try:
            return super().cleared(dag, run, **which)
        except ValueError as exc:
            raise Refused("Airflow 3.0 cannot follow a marker to another DAG in a run that has not started.") from exc

    def _next_interval(self, dag: Any, dag_model: DagModel) -> Any:
        # It was a method of the DAG before 3.1.
        return dag.get_next_data_interval(dag_model)

    def _triggering_user(self, name: str) -> Dict[str, object]:
        # trigger_dag has no triggering_user_name before 3.1.
        return {}
