"""What every Airflow offers."""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from contextlib import contextmanager
from importlib import import_module
from typing import TYPE_CHECKING, Any, ContextManager, Dict, Iterator, List, Mapping, Optional

from native_api.adapters.compat import failures, masking
from native_api.adapters.fields.strict_json import is_too_deep
from native_api.errors import DagNotFound, Invalid, Refused

if TYPE_CHECKING:
    from datetime import datetime, tzinfo

    from native_api.adapters.compat.interface.backfills import Backfills
    from native_api.adapters.compat.interface.daemons import Daemons
    from native_api.adapters.compat.interface.dag_files import DagFiles
    from native_api.adapters.compat.interface.logs import Logs
    from native_api.adapters.compat.interface.rights import Rights
    from native_api.adapters.compat.interface.running import Running
    from native_api.adapters.compat.interface.test_runs import TestRuns
    from native_api.adapters.compat.interface.user_code import UserCode


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

    #: Name of the run's date in DagRun and Log, and of the flag that sets it in ``airflow dags trigger``.
    date_column: str

    trigger_date_flag: str

    secrets_masker: str

    #: Airflow's own bound of a request's body, which came with 2.8.1 and went with the Flask app.
    payload_option = "[webserver] allowed_payload_size"

    @property
    def version(self) -> str:
        """The installed Airflow's version."""
        from airflow import __version__

        return str(__version__)

    @abstractmethod
    def health(self) -> Dict[str, Any]:
        """
        Return what Airflow says of its own processes: for each its status and its latest heartbeat.

        The status of a triggerer or a DAG processor is None where there never was one.
        """

    # The session, its errors, and time

    def session(self) -> ContextManager[Any]:
        """Return a context with a session that is committed at its end and rolled back on an error."""
        from airflow.utils.session import create_session

        context: ContextManager[Any] = create_session()
        return context

    @contextmanager
    def errors_as_ours(self) -> Iterator[None]:
        """Turn Airflow's and the database's exceptions into ours."""
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
        """Return the timezone that naive times are read in."""
        from airflow.settings import TIMEZONE

        zone: tzinfo = TIMEZONE
        return zone

    # Secrets

    def is_sensitive(self, name: Optional[str]) -> bool:
        """Return whether Airflow hides the values of things with that name."""

        return bool(import_module(self.secrets_masker).should_hide_value_for_key(name))

    def masked(self, value: Any, name: Optional[str] = None) -> Any:
        """Return *value*, which *name* names, with all that Airflow calls sensitive as ``***``, JSON text included."""
        return masking.MASK if is_too_deep(value) else masking.masked(value, name, self.is_sensitive)

    # Teams

    @abstractmethod
    def team_column(self, model: Any) -> Any:
        """Return the column of a model that has the name of the team."""

    @abstractmethod
    def team_name(self, row: Any) -> Optional[str]:
        """Return the name of the team that a pool belongs to, or None."""

    @abstractmethod
    def keep_team(self, row: Any, old: Any) -> None:
        """Give a new row the team of the old one."""

    # Variables

    #: How ``airflow variables export`` is told to print.
    standard_output = "-"

    def variables_import_flags(self, on_conflict: str) -> Optional[List[str]]:
        """Return how ``airflow variables import`` is told so, or None where it cannot be."""
        return [] if on_conflict == "overwrite" else ["--action-on-existing-key", on_conflict]

    # DAGs

    @abstractmethod
    def is_active(self, dag_model: Any) -> Any:
        """Return the condition that a DAG is in its file at present."""

    @abstractmethod
    def file_facts(self, dag_model: Any) -> Dict[str, Any]:
        """Return where the file of a DAG is: relative_fileloc and bundle_name."""

    @abstractmethod
    def details_of(self, dag_model: Any) -> Dict[str, Any]:
        """Return what older Airflows do not record of a DAG, or otherwise."""

    def is_mapped(self, task: Any) -> bool:
        """Return whether it is a task with an instance for each of some values; Airflow 2 does not tell."""
        return bool(getattr(task, "is_mapped", False))

    def validate_params(self, params: Any) -> None:
        """Raise what Airflow raises where a task's params do not fit; those of a mapped task may be a plain dict."""
        if hasattr(params, "validate"):
            params.validate()

    @abstractmethod
    def with_its_parts(self, dag_model: Any, dag_id: str) -> Any:
        """Return the condition for the rows that are paused together with the DAG."""

    @abstractmethod
    def folders(self) -> List[str]:
        """Return the folders that DAGs are read from."""

    def stored_tasks(self, dag_id: str, session: Any) -> List[Dict[str, Any]]:
        """Return the DAG's tasks as they are stored, without deserialising it; none where it is not stored."""
        from airflow.models.serialized_dag import SerializedDagModel
        from sqlalchemy import select

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
    def stored_code(self, dag_model: Any, version_number: Optional[int], session: Any) -> Any:
        """Return a DAG's code as it is stored, of that version or the newest: its row, and the version; or None."""

    @abstractmethod
    def next_runs(self, dag: Any, dag_model: Any, count: int) -> List[Dict[str, Any]]:
        """Return the next runs of the schedule of a stored DAG, as ``airflow dags next-execution`` counts them."""

    @abstractmethod
    def import_error_model(self) -> Any:
        """Return the model of import errors."""

    @abstractmethod
    def bundle_of_errors(self, import_errors: Any, wanted: Optional[str]) -> Any:
        """
        Return the column of import errors that has the name of their bundle.

        :raises Invalid: one is wanted, and this Airflow has none.
        """

    @abstractmethod
    def of_the_file(self, dag_model: Any, import_error: Any) -> Any:
        """Return the condition that a DAG is one of the file of an import error."""

    def import_errors_command(self, bundle_name: Optional[str]) -> Optional[List[str]]:
        """Return the words after ``airflow`` that list import errors, or None where the command line cannot."""
        return ["dags", "list-import-errors", *(["--bundle-name", bundle_name] if bundle_name else [])]

    @abstractmethod
    def task_tree_command(self, dag_id: str) -> Optional[List[str]]:
        """Return the words after ``airflow`` that show a DAG's tasks as a tree, or None where there are none."""

    @abstractmethod
    def _stored_at(self, serialized_dag_model: Any) -> Any: ...

    # Runs and task instances

    def date_of_runs(self) -> Any:
        """Return the column that holds a run's logical date."""
        from airflow.models.dagrun import DagRun

        return getattr(DagRun, self.date_column)

    def list_dag_runs_command(self, arguments: Mapping[str, Any]) -> Optional[List[str]]:
        """Return the words after ``airflow`` that list a DAG's runs, or None where the command line cannot."""
        dag_id, states = arguments.get("dag_id"), arguments.get("state") or []
        if dag_id is None or len(states) > 1:
            return None
        return ["dags", "list-runs", *self.dag_of_runs(dag_id), *(f"--state={state}" for state in states)]

    @abstractmethod
    def dag_of_runs(self, dag_id: str) -> List[str]:
        """Return how ``airflow dags list-runs`` is told the DAG."""

    @abstractmethod
    def xcom_table(self) -> Any:
        """Return the table of XComs; reading a row as an object may execute what is pickled in it."""

    @abstractmethod
    def rendered_fields(self, key: Mapping[str, Any], session: Any) -> Any:
        """Return the template fields that are stored of the task instance of that key, or None."""

    @abstractmethod
    def xcom_size(self, column: Any) -> Any:
        """Return the expression for the size of a stored value."""

    @abstractmethod
    def xcom_value(self, stored: Any) -> Any:
        """Return what is stored as a value of JSON; raise :class:`ValueError` where it is something else."""

    def dag_state_command(self, arguments: Mapping[str, Any]) -> Optional[List[str]]:
        """Return the words after ``airflow`` that tell a run's state, or None where the command line cannot."""
        run = arguments.get("run_id") or arguments["logical_date"].isoformat()
        return ["dags", "state", arguments["dag_id"], run]

    def stored_dag(self, dag_id: str, session: Any) -> Any:
        """
        Return the DAG as the scheduler has it, deserialised.

        :raises DagNotFound: it is not stored.
        """
        from airflow.models.serialized_dag import SerializedDagModel

        dag = SerializedDagModel.get_dag(dag_id, session=session)
        if dag is None:
            raise DagNotFound(dag_id)
        return dag

    def manual_interval(self, dag: Any, logical_date: datetime) -> Any:
        """
        Return the data interval of a run that a person asks for.

        :raises Invalid: the DAG's schedule cannot reckon with the date, at either end of time.
        """
        try:
            return dag.timetable.infer_manual_data_interval(run_after=logical_date)
        except (OverflowError, ValueError) as exc:
            raise Invalid({"logical_date": [f"The schedule of the DAG cannot reckon with it: {exc}."]}) from exc

    @abstractmethod
    def make_run(self, dag: Any, run_id: str, logical_date: datetime, session: Any) -> Any:
        """Add a run of a stored DAG, with its task instances, to the session; it is not committed."""

    def cleared(self, dag: Any, run: Any, **which: Any) -> List[Any]:
        """
        Return the task instances that clearing would clear.

        :param run: clear in this run; None clears in all runs of the range of dates.
        :param which: task_ids, start_date, end_date, only_failed, only_running, exclude_subdags, exclude_parentdag.
        """
        return list(dag.clear(**self._which_to_clear(run, which), dry_run=True))

    def clear(self, dag: Any, run: Any, **which: Any) -> None:
        """Clear the task instances, and queue their runs again."""
        dag.clear(**self._which_to_clear(run, which))

    @abstractmethod
    def _which_to_clear(self, run: Any, which: Dict[str, Any]) -> Dict[str, Any]: ...

    @abstractmethod
    def without_subdags(self) -> List[str]:
        """Return the arguments about SubDAGs that mean nothing here, since this Airflow has none."""

    def delete_dag(self, dag_id: str, session: Any) -> int:
        """Delete the DAG's rows, but for the audit log's, through Airflow's own function; return how many they were."""
        from airflow.api.common.delete_dag import delete_dag
        from airflow.exceptions import AirflowException, AirflowNotFoundException  # type: ignore[attr-defined]

        try:
            return int(delete_dag(dag_id, session=session))
        except AirflowNotFoundException:
            raise
        except AirflowException as exc:
            raise Refused(str(exc)) from exc

    def set_task_state(
        self, dag: Any, run: Any, task_id: str, state: str, map_index: int, session: Any, **relatives: bool
    ) -> List[Any]:
        """
        Set the state of a task's instances and of the *relatives*, and clear what failed after them.

        :param relatives: upstream, downstream, future, past.
        :return: the task instances whose state has changed.
        """
        from airflow.utils.state import TaskInstanceState

        if state == "failed" and relatives["downstream"]:
            # Airflow's own function would clear what it has just failed after the task.
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
        self, dag: Any, run: Any, task_id: str, state: str, map_index: int, session: Any, **how: bool
    ) -> List[Any]:
        """
        Return the task instances that have another state; with *commit* they get it, and nothing is cleared.

        :param how: commit, upstream, downstream, future, past.
        """
        from airflow.api.common.mark_tasks import set_state
        from airflow.utils.state import TaskInstanceState

        task = dag.get_task(task_id)
        task.dag = dag
        tasks = [task] if map_index < 0 else [(task, map_index)]
        return list(set_state(tasks=tasks, run_id=run.run_id, state=TaskInstanceState(state), session=session, **how))

    @abstractmethod
    def finish_run(self, dag: Any, run: Any, state: str, session: Any) -> List[Any]:
        """
        End a run: what runs gets *state*, what has not run is skipped, what has ended stays as it is.

        :return: the task instances whose state has changed.
        """

    def allows_run_id(self, run_id: str) -> bool:
        """Return whether Airflow accepts the id for a new run that a person asks for."""
        from airflow.configuration import conf
        from airflow.models.dagrun import RUN_ID_REGEX
        from airflow.utils.types import DagRunType

        pattern = conf.get("scheduler", "allowed_run_id_pattern", fallback="").strip()
        if ".." in run_id or DagRunType.from_run_id(run_id) is not DagRunType.MANUAL:
            return False
        return any(regex and re.match(regex, run_id) for regex in (pattern, RUN_ID_REGEX))

    def trigger_dag(self, dag_id: str, **wanted: Any) -> str:
        """
        Trigger the DAG through Airflow's own function and return the new run's id.

        :param wanted: run_id, conf, logical_date, user_name and session. The data interval follows *logical_date* on
            every version.
        :raises Invalid: Airflow refuses the conf, or the date, for the DAG.
        """
        try:
            return self._trigger_dag(dag_id, **wanted)
        except OverflowError as exc:
            raise Invalid({"logical_date": [f"The schedule of the DAG cannot reckon with it: {exc}."]}) from exc
        except ValueError as exc:
            # 3.2 says so of params too, where other versions have an exception for them.
            field = "conf" if str(exc).startswith("Invalid input for param") else "dag_run"
            raise (failures.translate(exc) or Invalid({field: [str(exc)]})) from exc

    @abstractmethod
    def _trigger_dag(
        self,
        dag_id: str,
        *,
        run_id: Optional[str],
        conf: Optional[Dict[str, Any]],
        logical_date: datetime,
        user_name: str,
        session: Any,
    ) -> str: ...

    @abstractmethod
    def note_author(self, user_id: Any) -> Any:
        """Return the user id in the form that notes keep."""

    # The audit log

    def add_log_row(self, session: Any, **facts: Any) -> None:
        """Add a row to Airflow's ``log`` table with those of the *facts* that this version has a column for."""
        from airflow.models.log import Log

        facts[self.date_column] = facts.pop("logical_date", None)
        columns = {column.key for column in Log.__table__.columns}
        known = {name: value for name, value in facts.items() if value is not None and name in columns}
        session.add(Log(known.pop("event"), **known))


def next_run(interval: Any, run_after: Any, partition_key: Optional[str] = None) -> Dict[str, Any]:
    """Return a run that a schedule has next, as responses show it."""
    start, end = (interval.start, interval.end) if interval else (None, None)
    return {
        "logical_date": start,
        "data_interval_start": start,
        "data_interval_end": end,
        "run_after": run_after,
        "partition_key": partition_key,
    }
