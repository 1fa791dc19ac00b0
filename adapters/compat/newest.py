"""What Airflow does in its newest supported version; older ones override the hooks that differ."""

from __future__ import annotations

import re
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, ContextManager, Dict, Iterator, List, Mapping, Optional, Tuple, Type

from native_api.adapters.compat import failures, masking
from native_api.adapters.compat.installed import of_this_version, text_of
from native_api.adapters.fields.strict_json import is_too_deep
from native_api.errors import DagNotFound, Invalid, Refused

if TYPE_CHECKING:
    from datetime import datetime, tzinfo

    from native_api.adapters.compat.backfills import Backfills
    from native_api.adapters.compat.daemons import Daemons
    from native_api.adapters.compat.logs import Logs
    from native_api.adapters.compat.rights import Rights
    from native_api.adapters.compat.running import Running
    from native_api.adapters.compat.syncing import Syncing
    from native_api.adapters.compat.trials import Trials
    from native_api.adapters.compat.user_code import UserCode


class Airflow:
    """The newest Airflow, 3.4."""

    #: Name of the run's date in DagRun and Log, and of the flag that sets it in ``airflow dags trigger``.
    date_column = "logical_date"
    trigger_date_flag = "--logical-date"
    secrets_masker = "airflow._shared.secrets_masker"
    #: Airflow's own bound of a request's body, which came with 2.8.1 and went with the Flask app.
    payload_option = "[webserver] allowed_payload_size"

    @property
    def version(self) -> str:
        """The installed Airflow's version."""
        from airflow import __version__

        return str(__version__)

    @property
    def rights(self) -> Rights:
        """Users and what they may do."""
        from native_api.adapters.compat.rights import Rights

        return Rights()

    @property
    def logs(self) -> Logs:
        """The logs of tasks."""
        from native_api.adapters.compat import logs

        return of_this_version(logs.LINES)

    @property
    def user_code(self) -> UserCode:
        """What processes that run DAG code need."""
        from native_api.adapters.compat import user_code

        return of_this_version(user_code.LINES)

    @property
    def running(self) -> Running:
        """Running one task instance for real."""
        from native_api.adapters.compat import running

        return of_this_version(running.LINES)

    @property
    def trials(self) -> Trials:
        """Task instances on trial: rendered, or run with nothing recorded."""
        from native_api.adapters.compat import trials31

        return of_this_version(trials31.LINES)

    @property
    def daemons(self) -> Daemons:
        """Airflow's own processes."""
        from native_api.adapters.compat.daemons import Daemons

        return Daemons()

    @property
    def backfills(self) -> Backfills:
        """Backfills."""
        from native_api.adapters.compat import backfills

        return of_this_version(backfills.LINES)

    @property
    def syncing(self) -> Syncing:
        """The DAG files, and the database."""
        from native_api.adapters.compat import syncing31

        return of_this_version(syncing31.LINES)

    def health(self) -> Dict[str, Any]:
        """
        Return what Airflow says of its own processes: for each its status and its latest heartbeat.

        The status of a triggerer or a DAG processor is None where there never was one.
        """
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
        from sqlalchemy import select

        with self.session() as session:
            return session.scalar(select(Job.id).where(Job.job_type == job_type).limit(1)) is not None

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
        from importlib import import_module

        return bool(import_module(self.secrets_masker).should_hide_value_for_key(name))

    def masked(self, value: Any, name: Optional[str] = None) -> Any:
        """Return *value*, which *name* names, with all that Airflow calls sensitive as ``***``, JSON text included."""
        return masking.MASK if is_too_deep(value) else masking.masked(value, name, self.is_sensitive)

    # Teams

    def team_column(self, model: Any) -> Any:
        """Return the column of a model that has the name of the team."""
        return model.team_name

    def team_name(self, row: Any) -> Optional[str]:
        """Return the name of the team that a pool belongs to, or None."""
        name: Optional[str] = row.team_name
        return name

    def keep_team(self, row: Any, old: Any) -> None:
        """Give a new row the team of the old one."""
        row.team_name = old.team_name

    # Variables

    #: How ``airflow variables export`` is told to print.
    standard_output = "-"

    def variables_import_flags(self, on_conflict: str) -> Optional[List[str]]:
        """Return how ``airflow variables import`` is told so, or None where it cannot be."""
        return [] if on_conflict == "overwrite" else ["--action-on-existing-key", on_conflict]

    # DAGs

    def is_active(self, dag_model: Any) -> Any:
        """Return the condition that a DAG is in its file at present."""
        return dag_model.is_stale.is_(False)

    def file_facts(self, dag_model: Any) -> Dict[str, Any]:
        """Return where the file of a DAG is: relative_fileloc and bundle_name."""
        return {"relative_fileloc": dag_model.relative_fileloc, "bundle_name": dag_model.bundle_name}

    def details_of(self, dag_model: Any) -> Dict[str, Any]:
        """Return what older Airflows do not record of a DAG, or otherwise."""
        return {
            "dag_display_name": dag_model.dag_display_name,
            "bundle_version": dag_model.bundle_version,
            "max_consecutive_failed_dag_runs": dag_model.max_consecutive_failed_dag_runs,
            "asset_expression": dag_model.asset_expression,
        }

    def is_mapped(self, task: Any) -> bool:
        """Return whether it is a task with an instance for each of some values; Airflow 2 does not tell."""
        return bool(getattr(task, "is_mapped", False))

    def validate_params(self, params: Any) -> None:
        """Raise what Airflow raises where a task's params do not fit; those of a mapped task may be a plain dict."""
        if hasattr(params, "validate"):
            params.validate()

    def with_its_parts(self, dag_model: Any, dag_id: str) -> Any:
        """Return the condition for the rows that are paused together with the DAG."""
        return dag_model.dag_id == dag_id

    def folders(self) -> List[str]:
        """Return the folders that DAGs are read from."""
        from airflow.dag_processing.bundles.manager import DagBundlesManager

        return [str(bundle.path) for bundle in DagBundlesManager().get_all_dag_bundles()]

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

    def stored_code(self, dag_model: Any, version_number: Optional[int], session: Any) -> Any:
        """Return a DAG's code as it is stored, of that version or the newest: its row, and the version; or None."""
        from airflow.models.dag_version import DagVersion
        from airflow.models.dagcode import DagCode
        from sqlalchemy import select

        statement = select(DagCode, DagVersion.version_number).join(DagVersion, DagCode.dag_version_id == DagVersion.id)
        statement = statement.where(DagVersion.dag_id == dag_model.dag_id)
        if version_number is not None:
            statement = statement.where(DagVersion.version_number == version_number)
        return session.execute(statement.order_by(DagVersion.version_number.desc()).limit(1)).first()

    def next_runs(self, dag: Any, dag_model: Any, count: int) -> List[Dict[str, Any]]:
        """Return the next runs of the schedule of a stored DAG, as ``airflow dags next-execution`` counts them."""
        runs: List[Dict[str, Any]] = []
        info = dag.timetable.next_run_info_from_dag_model(dag_model=dag_model)
        while info is not None and len(runs) < count:
            runs.append(next_run(info.data_interval, info.run_after, info.partition_key))
            info = dag.next_dagrun_info(last_automated_run_info=info, restricted=False)
        return runs

    def import_error_model(self) -> Any:
        """Return the model of import errors."""
        from airflow.models.errors import ParseImportError

        return ParseImportError

    def bundle_of_errors(self, import_errors: Any, wanted: Optional[str]) -> Any:
        """
        Return the column of import errors that has the name of their bundle.

        :raises Invalid: one is wanted, and this Airflow has none.
        """
        return import_errors.bundle_name

    def of_the_file(self, dag_model: Any, import_error: Any) -> Any:
        """Return the condition that a DAG is one of the file of an import error."""
        same_path = dag_model.relative_fileloc == import_error.filename
        return same_path & (dag_model.bundle_name == import_error.bundle_name)

    def import_errors_command(self, bundle_name: Optional[str]) -> Optional[List[str]]:
        """Return the words after ``airflow`` that list import errors, or None where the command line cannot."""
        return ["dags", "list-import-errors", *(["--bundle-name", bundle_name] if bundle_name else [])]

    def task_tree_command(self, dag_id: str) -> Optional[List[str]]:
        """Return the words after ``airflow`` that show a DAG's tasks as a tree, or None where there are none."""
        return None

    def _stored_at(self, serialized_dag_model: Any) -> Any:
        return serialized_dag_model.created_at

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

    def dag_of_runs(self, dag_id: str) -> List[str]:
        """Return how ``airflow dags list-runs`` is told the DAG."""
        return [dag_id]

    def xcom_table(self) -> Any:
        """Return the table of XComs; reading a row as an object may execute what is pickled in it."""
        from airflow.models.xcom import XComModel

        return XComModel.__table__

    def rendered_fields(self, key: Mapping[str, Any], session: Any) -> Any:
        """Return the template fields that are stored of the task instance of that key, or None."""
        from airflow.models.renderedtifields import RenderedTaskInstanceFields
        from airflow.models.taskinstance import TaskInstance
        from sqlalchemy import select

        latest = session.scalar(select(TaskInstance.id).filter_by(**key))
        stored = latest and RenderedTaskInstanceFields.get_for_attempt(latest, session=session)
        return stored.rendered_fields if stored else None

    def xcom_size(self, column: Any) -> Any:
        """Return the expression for the size of a stored value."""
        from sqlalchemy import Text, cast, func

        return func.length(cast(column, Text))

    def xcom_value(self, stored: Any) -> Any:
        """Return what is stored as a value of JSON; raise :class:`ValueError` where it is something else."""
        return stored

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

    def make_run(self, dag: Any, run_id: str, logical_date: datetime, session: Any) -> Any:
        """Add a run of a stored DAG, with its task instances, to the session; it is not committed."""
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

    def _which_to_clear(self, run: Any, which: Dict[str, Any]) -> Dict[str, Any]:
        which.pop("exclude_subdags")
        which.pop("exclude_parentdag")
        if run is None:
            return which
        # A run without a logical date is in no range of dates.
        return {**which, "run_id": run.run_id, "start_date": None, "end_date": None}

    def without_subdags(self) -> List[str]:
        """Return the arguments about SubDAGs that mean nothing here, since this Airflow has none."""
        return ["exclude_subdags", "exclude_parentdag"]

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

    def finish_run(self, dag: Any, run: Any, state: str, session: Any) -> List[Any]:
        """
        End a run: what runs gets *state*, what has not run is skipped, what has ended stays as it is.

        :return: the task instances whose state has changed.
        """
        from airflow.api.common import mark_tasks

        finish = getattr(mark_tasks, f"set_dag_run_state_to_{state}")
        changed, _ = finish(dag=dag, run_id=run.run_id, commit=True, session=session)
        return list(changed)

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

    def _trigger_dag(
        self,
        dag_id: str,
        *,
        run_id: Optional[str],
        conf: Optional[Dict[str, Any]],
        logical_date: datetime,
        user_name: str,
        session: Any,
    ) -> str:
        from airflow.api.common.trigger_dag import trigger_dag
        from airflow.utils.types import DagRunTriggeredByType

        dag_run: Any = trigger_dag(
            dag_id,
            run_id=run_id,
            conf=conf,
            logical_date=logical_date,
            # 3.x infers the data interval from run_after, not from the date.
            run_after=logical_date,
            replace_microseconds=False,
            triggered_by=DagRunTriggeredByType.REST_API,
            session=session,
            **self._triggering_user(user_name),
        )
        created: str = dag_run.run_id
        session.flush()
        return created

    def _triggering_user(self, name: str) -> Dict[str, Any]:
        return {"triggering_user_name": name}

    def note_author(self, user_id: Any) -> Any:
        """Return the user id in the form that notes keep."""
        return None if user_id is None else str(user_id)

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


Lines = Tuple[Tuple[Tuple[int, int], Type[Airflow]], ...]
