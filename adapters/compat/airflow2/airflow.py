"""The database, the DAGs and their runs in Airflow 2."""

from __future__ import annotations

import json
from importlib import import_module
from typing import TYPE_CHECKING, Any, Dict, Iterable, List, Mapping, Optional, Tuple, Type

from sqlalchemy import func, null, or_, select

from native_api.adapters.compat import older_runs
from native_api.adapters.compat.interface.airflow import Airflow, RunToCreate, WithoutTeams
from native_api.errors import Invalid, NotSupported

if TYPE_CHECKING:
    from datetime import datetime

    from airflow.models.dag import DagModel
    from airflow.models.dagrun import DagRun
    from airflow.models.taskinstance import TaskInstance
    from sqlalchemy.orm import Session

    from native_api.adapters.compat.objects import Dag, InstanceKey


class Airflow2(WithoutTeams, Airflow):
    """Airflow 2.9 to 2.11."""

    # 3.0 renamed the run's date (AIP-83).
    date_column = "execution_date"

    trigger_date_flag = "--exec-date"

    secrets_masker = "airflow.utils.log.secrets_masker"

    def __init__(self) -> None:
        # Notes refer to FAB's table of users, which is only loaded in web servers.
        from airflow.models import import_all_models

        import_all_models()
        for module in ("airflow.providers.fab.auth_manager.models", "airflow.auth.managers.fab.models"):
            try:
                import_module(module)
                break
            except ImportError:
                continue

    def is_active(self, dag_model: Type[DagModel]) -> Any:
        return dag_model.is_active.is_(True)

    def file_facts(self, dag_model: DagModel) -> Dict[str, Optional[str]]:
        return {"relative_fileloc": dag_model.relative_fileloc, "bundle_name": None}

    def details_of(self, dag_model: DagModel) -> Dict[str, object]:
        # 3.0 renamed datasets.
        return {
            "dag_display_name": dag_model.dag_display_name,
            "bundle_version": None,
            "max_consecutive_failed_dag_runs": dag_model.max_consecutive_failed_dag_runs,
            "asset_expression": dag_model.dataset_expression,
        }

    def with_its_parts(self, dag_model: Type[DagModel], dag_id: str) -> Any:
        # SubDAGs, which 3.0 removed, are paused with their parent.
        return or_(dag_model.dag_id == dag_id, dag_model.root_dag_id == dag_id)

    def folders(self) -> List[str]:
        # Bundles exist since 3.0 (AIP-66); example DAGs are in the package.
        from airflow import example_dags
        from airflow.settings import DAGS_FOLDER

        return [DAGS_FOLDER, *example_dags.__path__]

    def stored_code(self, dag_model: DagModel, version_number: Optional[int], session: Session) -> Any:
        # DAG versions exist since 3.0 (AIP-66).
        from airflow.models.dagcode import DagCode

        if version_number is not None:
            raise NotSupported(
                "dag_source",
                "Airflow 2 keeps no versions of a DAG; leave version_number out for the code that it has stored.",
            )
        same_hash = DagCode.fileloc_hash == DagCode.dag_fileloc_hash(dag_model.fileloc)
        return session.execute(select(DagCode, null()).where(same_hash)).first()

    def import_error_model(self) -> Any:
        # 2.10 renamed it.
        from airflow.models import errors

        return getattr(errors, "ParseImportError", None) or getattr(errors, "ImportError")  # noqa: B009

    def bundle_of_errors(self, import_errors: Any, wanted: Optional[str]) -> Any:
        if wanted is not None:
            raise Invalid({"bundle": ["Airflow 2 has no bundles: leave it out."]})
        return null()

    def of_the_file(self, dag_model: Type[DagModel], import_error: Any) -> Any:
        return dag_model.fileloc == import_error.filename

    def import_errors_command(self, bundle_name: Optional[str]) -> Optional[List[str]]:
        return None if bundle_name else super().import_errors_command(bundle_name)

    def task_tree_command(self, dag_id: str) -> Optional[List[str]]:
        # 3.0 dropped the option.
        return ["tasks", "list", "--tree", dag_id]

    def _stored_at(self, serialized_dag_model: Any) -> Any:
        return serialized_dag_model.last_updated

    def stored_tasks(self, dag_id: str, session: Session) -> List[Dict[str, object]]:
        # A SubDAG is serialized within its parent DAG.
        from airflow.models.dag import DagModel

        tasks = super().stored_tasks(dag_id, session)
        root = None if tasks else session.scalar(select(DagModel.root_dag_id).where(DagModel.dag_id == dag_id))
        return tasks if root is None else _tasks_of_part(super().stored_tasks(root, session), dag_id)

    def _stored(self, dag_id: str, session: Session) -> Tuple[str, Dag]:
        # For a SubDAG, Airflow returns its parent DAG.
        found: Tuple[str, Any] = super()._stored(dag_id, session)
        parts: Iterable[Dag] = (found[1], *found[1].subdags)
        return found[0], next(part for part in parts if part.dag_id == dag_id)

    def _stored_hash(self, dag_id: str) -> Any:
        from airflow.models.serialized_dag import SerializedDagModel

        return select(SerializedDagModel.dag_hash).where(SerializedDagModel.dag_id == dag_id)

    def cleared(self, dag: Dag, run: Optional[DagRun], **which: object) -> List[TaskInstance]:
        part, which = _among_subdags(dag, which)
        return super().cleared(part, run, **which)

    def clear(self, dag: Any, run: Any, **which: object) -> None:
        part, which = _among_subdags(dag, which)
        super().clear(part, run, **which)

    def xcom_table(self) -> Any:
        from airflow.models.xcom import BaseXCom

        return BaseXCom.__table__

    def xcom_size(self, column: Any) -> Any:
        return func.length(column)

    def xcom_value(self, stored: Any) -> Any:
        # It is JSON text or a pickle.
        return None if stored is None else json.loads(bytes(stored).decode())

    def python_operator(self) -> Any:
        return import_module("airflow.operators.python").PythonOperator

    def xcom_of_backend(self, key: Mapping[str, str], session: Session) -> Any:
        from airflow.models.xcom import XCom

        return XCom.get_one(**key, session=session)

    def dag_of_runs(self, dag_id: str) -> List[str]:
        return ["--dag-id", dag_id]

    def dag_state_command(self, arguments: Mapping[str, object]) -> Optional[List[str]]:
        # ``airflow dags state`` accepts a run_id since 3.0.
        return super().dag_state_command(arguments) if arguments.get("logical_date") else None

    def _trigger_dag(self, wanted: RunToCreate, session: Session) -> str:
        # Airflow 2 commits the run in a transaction of its own. The session must not hold
        # SQLite's write lock meanwhile.
        from airflow.api.common.trigger_dag import trigger_dag

        session.commit()
        dag_run: Any = trigger_dag(  # type: ignore[call-arg]
            wanted.dag_id,
            run_id=wanted.run_id,
            conf=wanted.conf,
            execution_date=wanted.logical_date,
            replace_microseconds=False,
        )
        created: str = dag_run.run_id
        return created

    def make_run(self, dag: Dag, run_id: str, logical_date: datetime, session: Session) -> DagRun:
        from airflow.utils.state import DagRunState
        from airflow.utils.types import DagRunType

        return dag.create_dagrun(
            run_id=run_id,
            execution_date=logical_date,
            data_interval=self.manual_interval(dag, logical_date),
            run_type=DagRunType.MANUAL,
            state=DagRunState.RUNNING,
            session=session,
        )

    def _which_to_clear(self, run: Optional[DagRun], which: Dict[str, Any]) -> Dict[str, object]:
        which["include_subdags"] = not which.pop("exclude_subdags")
        which["include_parentdag"] = not which.pop("exclude_parentdag")
        if run is None:
            return which
        # run_id exists since 3.0; on Airflow 2 a DAG has one run for a date.
        return {**which, "start_date": run.execution_date, "end_date": run.execution_date}

    def without_subdags(self) -> List[str]:
        return []

    def note_author(self, user_id: Any) -> Any:
        return user_id

    def health(self) -> Dict[str, object]:
        from airflow.api.common.airflow_health import get_airflow_health

        return dict(get_airflow_health())

    def rendered_fields(self, key: InstanceKey, session: Session) -> Any:
        from airflow.models.renderedtifields import RenderedTaskInstanceFields

        return session.scalar(select(RenderedTaskInstanceFields.rendered_fields).filter_by(**key))

    def finish_run(self, dag: Dag, run: DagRun, state: str, session: Session) -> List[TaskInstance]:
        return older_runs.finish_run(dag, run, state, session)

    def next_runs(self, dag: Any, dag_model: DagModel, count: int) -> List[Dict[str, Any]]:
        interval = dag.get_next_data_interval(dag_model)
        return older_runs.next_runs(dag, interval, dag_model.next_dagrun_create_after, count)


class Airflow28(Airflow2):
    """Airflow 2.8."""

    def details_of(self, dag_model: DagModel) -> Dict[str, object]:
        # All of it exists since 2.9.
        return {
            "dag_display_name": dag_model.dag_id,
            "bundle_version": None,
            "max_consecutive_failed_dag_runs": None,
            "asset_expression": None,
        }

    def set_task_state(
        self, dag: Dag, run: DagRun, task_id: str, state: str, map_index: int, session: Session, **relatives: bool
    ) -> List[TaskInstance]:
        if state != "skipped":
            return super().set_task_state(dag, run, task_id, state, map_index, session, **relatives)
        # Before 2.9 Airflow's function only accepts states of DAG runs; it is used to find the affected instances.
        from airflow.utils.state import TaskInstanceState

        found = {}
        for other in ("success", "failed"):
            for instance in self._marked(dag, run, task_id, other, map_index, session, commit=False, **relatives):
                found[instance.key] = instance
        changed = [instance for instance in found.values() if instance.state != TaskInstanceState.SKIPPED]
        for instance in changed:
            instance.set_state(TaskInstanceState.SKIPPED, session=session)
        session.flush()
        dag.partial_subset({task_id}, include_downstream=True, include_upstream=False).clear(
            start_date=None if relatives["past"] else run.execution_date,
            end_date=None if relatives["future"] else run.execution_date,
            only_failed=True,
            exclude_task_ids=frozenset({task_id}),
            session=session,
        )
        return changed


class Airflow27(Airflow28):
    """Airflow 2.7."""

    # ``airflow variables`` has - and --action-on-existing-key since 2.8.
    standard_output = "/dev/stdout"

    def variables_import_flags(self, on_conflict: str) -> Optional[List[str]]:
        return [] if on_conflict == "overwrite" else None


def _tasks_of_part(tasks: List[Dict[str, Any]], dag_id: str) -> List[Dict[str, object]]:
    """Return the stored tasks of the SubDAG of that id, which one of the tasks has in it; none where there is none."""
    for task in tasks:
        part = task.get("subdag") or {"tasks": []}
        inner = [stored.get("__var") or stored for stored in part["tasks"]]
        found = inner if part.get("_dag_id") == dag_id else _tasks_of_part(inner, dag_id)
        if found:
            return found
    return []


def _among_subdags(dag: Any, which: Dict[str, Any]) -> Tuple[Any, Dict[str, Any]]:
    """
    Return the DAG and *which* as they say what to clear of a DAG with SubDAGs, or of a SubDAG.

    Airflow would look for the ids in all of them alike, so that the part of the DAG says them.
    """
    if not dag.subdags and dag.parent_dag is None:
        return dag, which
    others = {name: value for name, value in which.items() if name != "task_ids"}
    task_ids = [task if isinstance(task, str) else task[0] for task in which["task_ids"]]
    if set(which["task_ids"]) == set(dag.task_dict):
        return dag, others
    part = dag.partial_subset(task_ids, include_upstream=False, include_downstream=False)
    # The partial DAG has all instances of a mapped task.
    return part, others if task_ids == which["task_ids"] else which
