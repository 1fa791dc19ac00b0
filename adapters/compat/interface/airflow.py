"""What every Airflow offers."""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timezone
from importlib import import_module
from typing import TYPE_CHECKING, Any, ContextManager, Dict, Iterator, List, Mapping, Optional, Tuple, Type

from sqlalchemy import null, select

from native_api.adapters.compat import failures, masking
from native_api.adapters.fields.strict_json import is_too_deep
from native_api.errors import DagNotFound, Invalid, Refused

if TYPE_CHECKING:
    from datetime import tzinfo

    from airflow.models.dag import DagModel
    from airflow.models.dagrun import DagRun
    from airflow.models.taskinstance import TaskInstance
    from sqlalchemy.orm import Session

    from native_api.adapters.compat.interface.backfills import Backfills
    from native_api.adapters.compat.interface.daemons import Daemons
    from native_api.adapters.compat.interface.dag_files import DagFiles
    from native_api.adapters.compat.interface.logs import Logs
    from native_api.adapters.compat.interface.rights import Rights
    from native_api.adapters.compat.interface.running import Running
    from native_api.adapters.compat.interface.test_runs import TestRuns
    from native_api.adapters.compat.interface.user_code import UserCode
    from native_api.adapters.compat.objects import Dag, InstanceKey, Task


#: Deserialized DAGs and their hashes, and the maximum number of them.
_SHARED: Dict[str, Tuple[str, Dag]] = {}
_SHARED_DAGS = 32


class Airflow(ABC):
    """An Airflow: the database, the DAGs and their runs, and the other topics."""

    rights: Rights
    logs: Logs
    user_code: UserCode
    running: Running
    test_runs: TestRuns
    backfills: Backfills
    dag_files: DagFiles
    daemons: Daemons

    #: The name of a run's date in DagRun and Log, and the flag that sets it in ``airflow dags trigger``.
    date_column: str

    trigger_date_flag: str

    secrets_masker: str

    #: Airflow's limit for the body of a request; 2.8.1 to 2.11 have it.
    payload_option = "[webserver] allowed_payload_size"

    @property
    def version(self) -> str:
        """The installed Airflow's version."""
        from airflow import __version__

        return str(__version__)

    @abstractmethod
    def health(self) -> Dict[str, object]:
        """
        Return the status and the latest heartbeat of each Airflow process, as Airflow's health check does.

        The status of a triggerer or a DAG processor is None if there never was one.
        """

    def status_of(self, process: str) -> Optional[str]:
        """Return the status of ``scheduler``, ``triggerer`` or ``dag_processor``, as :meth:`health` has it."""
        facts: Any = self.health()[process]
        status: Optional[str] = facts["status"]
        return status

    # The session, its errors, and time

    def session(self) -> ContextManager[Session]:
        """Return a context manager with a session, which commits at its end and rolls back on an error."""
        from airflow.utils.session import create_session

        context: ContextManager[Session] = create_session()
        return context

    @contextmanager
    def errors_as_ours(self) -> Iterator[None]:
        """Translate the exceptions of Airflow and the database to those of this API."""
        try:
            yield
        except failures.foreign() as exc:
            failures.hide_parameters(exc)
            ours = failures.translate(exc)
            if ours is None:
                raise
            failures.report(exc)
            raise ours from exc

    def default_timezone(self) -> tzinfo:
        """Return the timezone of datetimes without an offset."""
        from airflow.settings import TIMEZONE

        zone: tzinfo = TIMEZONE
        return zone

    # Secrets

    def is_sensitive(self, name: Optional[str]) -> bool:
        """Return whether Airflow masks values with that name."""

        return bool(import_module(self.secrets_masker).should_hide_value_for_key(name))

    def masked(self, value: object, name: Optional[str] = None) -> Any:
        """Return *value* with everything that Airflow calls sensitive replaced by ``***``, in JSON text as well."""
        return masking.MASK if is_too_deep(value) else masking.masked(value, name, self.is_sensitive)

    # Teams

    @abstractmethod
    def team_column(self, model: Any) -> Any:
        """Return the column team_name of a model."""

    @abstractmethod
    def team_name(self, row: Any) -> Optional[str]:
        """Return the name of the team of a pool, or None."""

    @abstractmethod
    def keep_team(self, row: Any, old: Any) -> None:
        """Copy the team from an old row to a new one."""

    # Variables

    #: The file argument with which ``airflow variables export`` prints.
    standard_output = "-"

    def variables_import_flags(self, on_conflict: str) -> Optional[List[str]]:
        """Return the flags of ``airflow variables import`` for *on_conflict*, or None if it has none."""
        return [] if on_conflict == "overwrite" else ["--action-on-existing-key", on_conflict]

    # DAGs

    @abstractmethod
    def is_active(self, dag_model: Type[DagModel]) -> Any:
        """Return the condition that selects active DAGs."""

    @abstractmethod
    def file_facts(self, dag_model: DagModel) -> Dict[str, Optional[str]]:
        """Return the relative_fileloc and the bundle_name of a DAG."""

    @abstractmethod
    def details_of(self, dag_model: DagModel) -> Dict[str, object]:
        """Return the details of a DAG that differ between versions."""

    def is_mapped(self, task: Task) -> bool:
        """Return whether a task is mapped; Airflow 2 does not serialize it."""
        return bool(getattr(task, "is_mapped", False))

    @abstractmethod
    def python_operator(self) -> Any:
        """Return the class PythonOperator."""

    def placement_of(self, task: Task) -> Tuple[Optional[str], Mapping[str, object]]:
        """Return the queue of a serialized task, None for the default one, and its executor_config."""
        from airflow.configuration import conf

        queue = getattr(task, "queue", None)
        is_default = queue == conf.get("operators", "default_queue")
        return None if is_default else queue, getattr(task, "executor_config", None) or {}

    def validate_params(self, params: Any) -> None:
        """Raise Airflow's error if params are not valid; those of a mapped task can be a plain dict."""
        if hasattr(params, "validate"):
            params.validate()

    @abstractmethod
    def with_its_parts(self, dag_model: Type[DagModel], dag_id: str) -> Any:
        """Return the condition that selects the rows that are paused together with a DAG."""

    @abstractmethod
    def folders(self) -> List[str]:
        """Return the folders of the DAG files."""

    def stored_tasks(self, dag_id: str, session: Any) -> List[Dict[str, object]]:
        """Return the serialized tasks of a DAG without deserializing it; empty if the DAG is not serialized."""
        from airflow.models.serialized_dag import SerializedDagModel

        newest = (
            select(SerializedDagModel)
            .where(SerializedDagModel.dag_id == dag_id)
            .order_by(self._stored_at(SerializedDagModel).desc())
            .limit(1)
        )
        stored = session.scalars(newest).first()
        if stored is None:
            return []
        # From 2.10 on a task is wrapped with its type; before, it is plain.
        return [task.get("__var") or task for task in stored.data["dag"]["tasks"]]

    @abstractmethod
    def stored_code(self, dag_model: DagModel, version_number: Optional[int], session: Session) -> Any:
        """Return the row of a DAG's code and its version number, of that version or the latest, or None."""

    @abstractmethod
    def next_runs(self, dag: Dag, dag_model: DagModel, count: int) -> List[Dict[str, object]]:
        """Return the next scheduled runs of a DAG, as ``airflow dags next-execution`` computes them."""

    @abstractmethod
    def import_error_model(self) -> Any:
        """Return the model of import errors."""

    @abstractmethod
    def bundle_of_errors(self, import_errors: Any, wanted: Optional[str]) -> Any:
        """
        Return the column with the bundle name of import errors.

        :raises Invalid: *wanted* is set, and this Airflow has no bundles.
        """

    @abstractmethod
    def of_the_file(self, dag_model: Type[DagModel], import_error: Any) -> Any:
        """Return the condition that selects the DAGs of the file of an import error."""

    def import_errors_command(self, bundle_name: Optional[str]) -> Optional[List[str]]:
        """Return the arguments of the ``airflow`` command that lists import errors, or None if there is none."""
        return ["dags", "list-import-errors", *(["--bundle-name", bundle_name] if bundle_name else [])]

    @abstractmethod
    def task_tree_command(self, dag_id: str) -> Optional[List[str]]:
        """Return the arguments of the ``airflow`` command that shows tasks as a tree, or None if there is none."""

    @abstractmethod
    def _stored_at(self, serialized_dag_model: Any) -> Any: ...

    # Runs and task instances

    def date_of_runs(self) -> Any:
        """Return the column with the logical date of a DAG run."""
        from airflow.models.dagrun import DagRun

        return getattr(DagRun, self.date_column)

    def list_dag_runs_command(self, arguments: Mapping[str, Any]) -> Optional[List[str]]:
        """Return the arguments of the ``airflow`` command that lists DAG runs, or None if there is none."""
        dag_id, states = arguments.get("dag_id"), arguments.get("state") or []
        if dag_id is None or len(states) > 1:
            return None
        return ["dags", "list-runs", *self.dag_of_runs(dag_id), *(f"--state={state}" for state in states)]

    @abstractmethod
    def dag_of_runs(self, dag_id: str) -> List[str]:
        """Return the arguments of ``airflow dags list-runs`` for a DAG."""

    @abstractmethod
    def xcom_table(self) -> Any:
        """Return the table of XComs; loading a row as an object can unpickle its value."""

    @abstractmethod
    def rendered_fields(self, key: InstanceKey, session: Session) -> Any:
        """Return the recorded rendered template fields of a task instance, or None."""

    @abstractmethod
    def xcom_size(self, column: Any) -> Any:
        """Return the expression for the size of an XCom value."""

    @abstractmethod
    def xcom_value(self, stored: Any) -> Any:
        """Return a stored XCom value; raise :class:`ValueError` if it is no JSON."""

    @abstractmethod
    def xcom_of_backend(self, key: Mapping[str, str], session: Session) -> Any:
        """
        Return the value of an XCom through the configured XCom backend, or None.

        :param key: dag_id, run_id, task_id and key, of a task that is not mapped.
        """

    def dag_state_command(self, arguments: Mapping[str, Any]) -> Optional[List[str]]:
        """Return the arguments of the ``airflow`` command that prints a run's state, or None if there is none."""
        run = arguments.get("run_id") or arguments["logical_date"].isoformat()
        return ["dags", "state", arguments["dag_id"], run]

    def stored_dag(self, dag_id: str, session: Session) -> Dag:
        """
        Deserialize a DAG, as the scheduler does.

        :raises DagNotFound: the DAG is not serialized.
        """
        return self._stored(dag_id, session)[1]

    def shared_dag(self, dag_id: str, session: Session) -> Dag:
        """
        Return a deserialized DAG that must not be changed, since calls share it until Airflow serializes it anew.

        :raises DagNotFound: the DAG is not serialized.
        """
        present = _SHARED.get(dag_id)
        if present is None or present[0] != session.scalar(self._stored_hash(dag_id)):
            present = self._stored(dag_id, session)
            _SHARED.pop(dag_id, None)
            _SHARED[dag_id] = present
            for oldest in list(_SHARED)[:-_SHARED_DAGS]:
                _SHARED.pop(oldest, None)
        return present[1]

    def _stored(self, dag_id: str, session: Session) -> Tuple[str, Dag]:
        """Return the hash of a serialized DAG, and the DAG."""
        from airflow.models.serialized_dag import SerializedDagModel

        row: Any = SerializedDagModel.get(dag_id, session=session)
        if row is None:
            raise DagNotFound(dag_id)
        return row.dag_hash, row.dag

    @abstractmethod
    def _stored_hash(self, dag_id: str) -> Any:
        """Return the statement for the hash of the serialized DAG that Airflow loads."""

    def manual_interval(self, dag: Dag, logical_date: datetime) -> Any:
        """
        Return the data interval of a manual run.

        :raises Invalid: the timetable cannot compute it, near the minimum or maximum date.
        """
        try:
            return dag.timetable.infer_manual_data_interval(run_after=logical_date)
        except (OverflowError, ValueError) as exc:
            raise Invalid({"logical_date": [f"The timetable has no data interval for it: {exc}."]}) from exc

    @abstractmethod
    def make_run(self, dag: Dag, run_id: str, logical_date: datetime, session: Session) -> DagRun:
        """Create a DAG run with its task instances in the session, without a commit."""

    def cleared(self, dag: Dag, run: Optional[DagRun], **which: object) -> List[TaskInstance]:
        """
        Return the task instances that :meth:`clear` would clear.

        :param run: the DAG run; None means all runs between the dates.
        :param which: task_ids, start_date, end_date, only_failed, only_running, exclude_subdags, exclude_parentdag.
        """
        return list(dag.clear(**self._which_to_clear(run, which), dry_run=True))

    def clear(self, dag: Any, run: Any, **which: object) -> None:
        """Clear task instances and queue their DAG runs."""
        dag.clear(**self._which_to_clear(run, which))

    @abstractmethod
    def _which_to_clear(self, run: Optional[DagRun], which: Dict[str, Any]) -> Dict[str, object]: ...

    @abstractmethod
    def without_subdags(self) -> List[str]:
        """Return the arguments about SubDAGs that this Airflow, which has no SubDAGs, ignores."""

    def delete_dag(self, dag_id: str, session: Session) -> int:
        """Delete all rows of a DAG but those of the audit log, and return their number.

        Source: ``airflow.api.common.delete_dag``.
        """
        from airflow.api.common.delete_dag import delete_dag
        from airflow.exceptions import AirflowException, AirflowNotFoundException  # type: ignore[attr-defined]

        try:
            return int(delete_dag(dag_id, session=session))
        except AirflowNotFoundException:
            raise
        except AirflowException as exc:
            raise Refused(str(exc)) from exc

    def set_task_state(
        self, dag: Dag, run: DagRun, task_id: str, state: str, map_index: int, session: Session, **relatives: bool
    ) -> List[TaskInstance]:
        """
        Set the state of the instances of a task and of its *relatives*, and clear failed downstream tasks.

        :param relatives: upstream, downstream, future, past.
        :return: the task instances whose state changed.
        """
        from airflow.utils.state import TaskInstanceState

        if state == "failed" and relatives["downstream"]:
            # Airflow's function would clear the downstream tasks that it has just failed.
            return self._marked(dag, run, task_id, state, map_index, session, commit=True, **relatives)
        return list(
            dag.set_task_instance_state(
                task_id=task_id,
                run_id=run.run_id,
                map_indexes=None if map_index < 0 else [map_index],
                state=TaskInstanceState(state),
                session=session,
                **relatives,
            )
        )

    def _marked(
        self, dag: Dag, run: DagRun, task_id: str, state: str, map_index: int, session: Session, **how: bool
    ) -> List[Any]:
        """
        Return the task instances that have another state; with *commit*, set it. Nothing is cleared.

        :param how: commit, upstream, downstream, future, past.
        """
        from airflow.api.common.mark_tasks import set_state
        from airflow.utils.state import TaskInstanceState

        task = dag.get_task(task_id)
        task.dag = dag
        tasks: Any = [task] if map_index < 0 else [(task, map_index)]
        return list(set_state(tasks=tasks, run_id=run.run_id, state=TaskInstanceState(state), session=session, **how))

    @abstractmethod
    def finish_run(self, dag: Dag, run: DagRun, state: str, session: Session) -> List[TaskInstance]:
        """
        Finish a DAG run: running task instances get *state*, those that have not run are skipped, others keep theirs.

        :return: the task instances whose state changed.
        """

    def allows_run_id(self, run_id: str) -> bool:
        """Return whether Airflow accepts the run_id of a manual run."""
        from airflow.configuration import conf
        from airflow.models.dagrun import RUN_ID_REGEX
        from airflow.utils.types import DagRunType

        pattern = conf.get("scheduler", "allowed_run_id_pattern", fallback="").strip()
        if ".." in run_id or DagRunType.from_run_id(run_id) is not DagRunType.MANUAL:
            return False
        return any(regex and re.match(regex, run_id) for regex in (pattern, RUN_ID_REGEX))

    def trigger_dag(self, wanted: RunToCreate, session: Session) -> str:
        """
        Trigger a DAG and return the run_id.

        Source: ``airflow.api.common.trigger_dag``.

        :raises Invalid: the DAG does not accept the conf or the date.
        """
        try:
            return self._trigger_dag(wanted, session)
        except OverflowError as exc:
            raise Invalid({"logical_date": [f"The timetable has no data interval for it: {exc}."]}) from exc
        except ValueError as exc:
            # 3.2 raises it for params as well; other versions have an exception of their own.
            field = "conf" if str(exc).startswith("Invalid input for param") else "dag_run"
            raise (failures.translate(exc) or Invalid({field: [str(exc)]})) from exc

    @abstractmethod
    def _trigger_dag(self, wanted: RunToCreate, session: Session) -> str: ...

    @abstractmethod
    def note_author(self, user_id: Any) -> Any:
        """Return a user id as notes store it."""

    # The audit log

    def add_log_row(self, session: Session, **facts: Any) -> None:
        """Add a row to Airflow's ``log`` table, with those *facts* for which this version has a column."""
        from airflow.models.log import Log

        facts[self.date_column] = facts.pop("logical_date", None)
        facts["dttm"] = datetime.now(timezone.utc)
        table: Any = Log.__table__
        session.execute(table.insert(), {name: value for name, value in facts.items() if name in table.columns})


@dataclass(frozen=True)
class RunToCreate:
    """A run that a user triggers; without a *run_id* Airflow generates one."""

    dag_id: str
    run_id: Optional[str]
    conf: Optional[Dict[str, Any]]
    #: On every version the data interval is that of this date.
    logical_date: datetime
    user_name: str


class WithoutTeams:
    """What Airflow 3.1 and older have instead of teams, which came with 3.2 (AIP-67)."""

    def team_column(self, model: Any) -> Any:
        """Return a column without values."""
        return null().label("team_name")

    def team_name(self, row: Any) -> Optional[str]:
        """Return None."""

    def keep_team(self, row: Any, old: Any) -> None:
        """Do nothing."""


def next_run(interval: Any, run_after: Optional[datetime], partition_key: Optional[str] = None) -> Dict[str, Any]:
    """Return the fields of a scheduled run, as responses show them."""
    start, end = (interval.start, interval.end) if interval else (None, None)
    return {
        "logical_date": start,
        "data_interval_start": start,
        "data_interval_end": end,
        "run_after": run_after,
        "partition_key": partition_key,
    }
