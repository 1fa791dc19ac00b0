"""Task instances that are rendered or tested in Airflow 2."""

from __future__ import annotations

import asyncio
import random
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any, Dict, Iterator, List, Mapping, Optional, Set, Tuple

from sqlalchemy import delete, event, insert, literal, select
from sqlalchemy.orm.attributes import set_committed_value

from native_api.adapters.compat.installed import airflow
from native_api.adapters.compat.interface.test_runs import Instance, Outcome, TestRuns

if TYPE_CHECKING:
    from airflow.models.taskinstance import TaskInstance
    from sqlalchemy.orm import Session

    from native_api.adapters.compat.objects import Task

#: The year of temporary runs, the last that MySQL supports: no real run has such a date, or a later one.
_YEAR = datetime(2037, 1, 1, tzinfo=timezone.utc)


@dataclass
class Caught:
    """Records the exception that ends a block, of whatever class: a task can raise anything."""

    error: Optional[BaseException] = None

    def __enter__(self) -> Caught:
        return self

    def __exit__(self, kind: object, error: Optional[BaseException], traceback: object) -> bool:
        self.error = error
        return True


class TestRuns2(TestRuns):
    """Airflow 2.9 to 2.11."""

    has_dry_run = True

    def _is_mapped(self, task: Task) -> bool:
        from airflow.models.mappedoperator import MappedOperator  # type: ignore[import-not-found]

        return isinstance(task, MappedOperator)

    def _ti_count(self, task: Any) -> Any:
        return type(task).get_mapped_ti_count

    def facts(self, instance: Instance, session: Session) -> Dict[str, Any]:
        return {}

    @contextmanager
    def _rendered(self, task: Any, instance: Instance) -> Iterator[object]:
        # The task instance and its run are not written to the database.
        from airflow.models.dagrun import DagRun
        from airflow.models.taskinstance import TaskInstance
        from airflow.utils.state import DagRunState
        from airflow.utils.task_instance_session import (  # type: ignore[import-not-found]
            set_current_task_instance_session,
        )

        with airflow().session() as session, session.no_autoflush:
            facts = _facts(task, instance, session)
            dag_run: Any = DagRun(**facts, state=DagRunState.RUNNING)
            dag_run.dag = task.dag
            ti: Any = TaskInstance(  # type: ignore[call-arg]
                task, run_id=facts["run_id"], map_index=instance.map_index
            )
            ti.dag_run = dag_run
            ti.refresh_from_task(task)
            try:
                with set_current_task_instance_session(session=session):
                    ti.render_templates()
                    yield ti.task
            finally:
                session.expunge_all()
                session.rollback()

    def run(self, task: Task, instance: Instance, temporary_run_id: str) -> Outcome:
        with airflow().session() as session:
            facts = _facts(task, instance, session)
            _make_run(task, instance, {**facts, "run_id": temporary_run_id}, session)
        shown = {"execution_date": facts["execution_date"], "run_type": facts["run_type"]}
        try:
            with _showing(temporary_run_id, shown):
                return self._to_its_end(task, instance, temporary_run_id)
        finally:
            self.delete_leftovers(instance.dag_id, temporary_run_id)

    def rehearse(self) -> None:
        from airflow.models.dag import DAG
        from airflow.models.taskinstance import TaskInstance
        from airflow.operators.empty import EmptyOperator  # type: ignore[import-not-found]

        now = datetime.now(timezone.utc)
        task = EmptyOperator(task_id="rehearsal", dag=DAG("native_api_rehearsal", start_date=now, schedule=None))
        instance = Instance(task.dag_id, task.task_id, -1, None, now)
        with airflow().session() as session:
            facts = _facts(task, instance, session)
            # It commits, since 2.9, so it is first: there is nothing yet.
            TaskInstance(task, run_id=facts["run_id"]).clear_xcom_data(session=session)  # type: ignore[call-arg]
        with airflow().session() as session, _rolled_back(session):
            _rehearse(task, instance, facts, session)

    def _to_its_end(self, task: Task, instance: Instance, run_id: str) -> Outcome:
        while True:
            with airflow().session() as session:
                ti = _the_instance(task, instance, run_id, session)
            with Caught() as end:
                self._run_once(ti)
            deferral = _deferral(end.error)
            if deferral is None:
                return Outcome(_state(ti, end.error), _returned(ti), _failure(end.error))
            ended = self._resume(ti, deferral)
            if ended is not None:
                return Outcome(ended, _returned(ti))

    def _run_once(self, ti: TaskInstance) -> None:
        ti.run(ignore_all_deps=True, ignore_ti_state=True, test_mode=True, raise_on_defer=True)

    def _resume(self, ti: TaskInstance, deferral: Any) -> Optional[str]:
        """Wait for the trigger of a deferral, and prepare the task to resume, or return the state that it ends in."""
        from airflow.models.taskinstance import TaskInstance

        async def first_event() -> Any:
            async for event in deferral.trigger.run():
                return event

        event = asyncio.run(first_event())
        ended = getattr(event, "task_instance_state", None)
        if ended is not None:
            return str(getattr(ended, "value", ended))
        happened = {} if event is None else {"event": event.payload}
        with airflow().session() as session:
            key = {"dag_id": ti.dag_id, "task_id": ti.task_id, "run_id": ti.run_id, "map_index": ti.map_index}
            row = session.query(TaskInstance).filter_by(**key).one()
            row.next_method = deferral.method_name
            row.next_kwargs = {**(deferral.kwargs or {}), **happened}
        return None

    def delete_leftovers(self, dag_id: str, run_id: str) -> None:
        """Delete the temporary run, with all that hangs on it."""
        with airflow().session() as session:
            session.expunge_all()
            _delete_run(dag_id, run_id, session)


class TestRuns28(TestRuns2):
    """Airflow 2.7 and 2.8."""

    def _run_once(self, ti: TaskInstance) -> None:
        # raise_on_defer exists since 2.9; before, the deferral is written to the database, where a triggerer takes it.
        def raised(defer: BaseException, session: Session) -> None:
            raise defer

        ti._defer_task = raised
        ti.run(ignore_all_deps=True, ignore_ti_state=True, test_mode=True)


def _facts(task: Task, instance: Instance, session: Session) -> Dict[str, Any]:
    """Return the columns of the instance's run, or of the one that there would be."""
    from airflow.models.dagrun import DagRun
    from airflow.utils.types import DagRunType

    if instance.run_id is None:
        assert instance.logical_date is not None
        interval = task.dag.timetable.infer_manual_data_interval(run_after=instance.logical_date)
        return {
            "dag_id": instance.dag_id,
            "run_id": f"manual__{instance.logical_date.isoformat()}",
            "run_type": DagRunType.MANUAL,
            "execution_date": instance.logical_date,
            "data_interval": interval,
            "external_trigger": True,
            "conf": {},
        }
    row = session.query(DagRun).filter_by(dag_id=instance.dag_id, run_id=instance.run_id).one()
    columns = ("dag_id", "run_id", "run_type", "execution_date", "start_date", "external_trigger", "conf")
    return {
        **{name: getattr(row, name) for name in columns},
        "data_interval": task.dag.get_run_data_interval(row),
    }


def _make_run(task: Task, instance: Instance, facts: Dict[str, Any], session: Session) -> None:
    """Add the temporary run, with the one task instance and the XComs of the real run."""
    from airflow.models.dagrun import DagRun
    from airflow.utils.state import DagRunState
    from airflow.utils.types import DagRunType

    hidden = {"execution_date": _free_date(), "run_type": DagRunType.MANUAL, "state": DagRunState.SUCCESS}
    dag_run = DagRun(**{**facts, **hidden})
    dag_run.dag = task.dag
    session.add(dag_run)
    session.flush()
    own = (instance.task_id, instance.map_index)
    pushing = set() if instance.run_id is None else _pushing(instance, session)
    for task_id, map_index in pushing | {own}:
        if task_id in task.dag.task_dict:
            _add_instance(task.dag.task_dict[task_id], dag_run.run_id, map_index, session)
    if instance.run_id is not None:
        _copy_xcoms(instance, dag_run, list(task.dag.task_dict), session)


def _add_instance(task: Any, run_id: str, map_index: int, session: Session) -> None:
    from airflow.models.taskinstance import TaskInstance

    session.add(TaskInstance(task, run_id=run_id, map_index=map_index))  # type: ignore[call-arg]
    session.flush()


def _pushing(instance: Instance, session: Session) -> Set[Tuple[str, int]]:
    """Return the task instances of the real run that have XComs."""
    from airflow.models.xcom import BaseXCom

    pushed = select(BaseXCom.task_id, BaseXCom.map_index).where(
        BaseXCom.dag_id == instance.dag_id, BaseXCom.run_id == instance.run_id
    )
    return {(task_id, map_index) for task_id, map_index in session.execute(pushed.distinct())}


def _copy_xcoms(instance: Instance, dag_run: Any, task_ids: List[str], session: Session) -> None:
    """Give the temporary run the XComs of the real one, and the lengths of the lists among them."""
    from airflow.models.taskmap import TaskMap
    from airflow.models.xcom import BaseXCom

    for model in (BaseXCom, TaskMap):
        table = model.__table__
        ours = {"run_id": literal(dag_run.run_id), "dag_run_id": literal(dag_run.id)}
        copied = [ours.get(column.name, column).label(column.name) for column in table.columns]
        of_run = (table.c.dag_id == instance.dag_id, table.c.run_id == instance.run_id, table.c.task_id.in_(task_ids))
        names = [column.name for column in table.columns]
        session.execute(insert(table).from_select(names, select(*copied).where(*of_run)))


def _free_date() -> datetime:
    return _YEAR + timedelta(microseconds=random.SystemRandom().randrange(365 * 24 * 3600 * 10**6))


@contextmanager
def _showing(run_id: str, shown: Mapping[str, object]) -> Iterator[None]:
    """Show other values in the columns of a run to this process; they are not written to the database."""
    from airflow.models.dagrun import DagRun

    def show(row: Any, *context: object) -> None:
        if row.run_id == run_id:
            for name, value in shown.items():
                set_committed_value(row, name, value)

    event.listen(DagRun, "load", show)
    event.listen(DagRun, "refresh", show)
    try:
        yield
    finally:
        event.remove(DagRun, "load", show)
        event.remove(DagRun, "refresh", show)


def _the_instance(task: Any, instance: Instance, run_id: str, session: Session) -> Any:
    """Return the task instance of the temporary run, ready to run."""
    from airflow.models.taskinstance import TaskInstance

    session.expunge_all()
    key = {"dag_id": instance.dag_id, "task_id": instance.task_id, "map_index": instance.map_index}
    ti = session.query(TaskInstance).filter_by(run_id=run_id, **key).one()
    ti.dag_run.dag = task.dag
    ti.refresh_from_task(task)
    session.expunge_all()
    return ti


@contextmanager
def _rolled_back(session: Session) -> Iterator[None]:
    """Roll the session back at the end, and raise RuntimeError if something commits before."""

    def refuse(session: Session) -> None:
        raise RuntimeError("A rehearsal does not commit.")

    event.listen(session, "before_commit", refuse)
    try:
        yield
    finally:
        event.remove(session, "before_commit", refuse)
        session.rollback()


def _rehearse(task: Any, instance: Instance, facts: Dict[str, Any], session: Session) -> None:
    """Run the statements of Airflow and of this module, in their order."""
    from airflow.utils.state import DagRunState

    _make_run(task, instance, facts, session)
    ti = _the_instance(task, instance, facts["run_id"], session)
    ti.refresh_from_db(session=session)
    ti.refresh_from_db(session=session, lock_for_update=True)
    ti.get_previous_dagrun(session=session)
    ti.get_previous_dagrun(state=DagRunState.SUCCESS, session=session)
    ti.xcom_push("return_value", "", session=session)
    _return_value(ti, session)
    _delete_run(instance.dag_id, facts["run_id"], session)


def _delete_run(dag_id: str, run_id: str, session: Session) -> None:
    from airflow.models.dagrun import DagRun
    from airflow.models.log import Log

    this_run = (DagRun.dag_id == dag_id, DagRun.run_id == run_id)
    session.execute(delete(DagRun).where(*this_run).execution_options(synchronize_session=False))
    # Since 2.9 an event can have a run_id.
    if hasattr(Log, "run_id"):
        session.execute(delete(Log).where(Log.run_id == run_id).execution_options(synchronize_session=False))


def _deferral(error: Optional[BaseException]) -> Any:
    from airflow.exceptions import TaskDeferred

    return error if isinstance(error, TaskDeferred) else None


def _failure(error: Optional[BaseException]) -> Optional[BaseException]:
    # Before 2.10 exit code 0 is raised, too; such a task has succeeded.
    return None if isinstance(error, SystemExit) and error.code in (0, None) else error


def _state(ti: TaskInstance, error: Optional[BaseException]) -> str:
    if error is not None:
        return "success" if _failure(error) is None else "failed"
    word = str(getattr(ti.state, "value", ti.state))
    # In test mode a sensor to be rescheduled keeps its state.
    return "up_for_reschedule" if word in ("running", "None") else word


def _returned(ti: TaskInstance) -> Any:
    with airflow().session() as session:
        return _return_value(ti, session)


def _return_value(ti: TaskInstance, session: Session) -> Any:
    from airflow.models.xcom import XCom

    key = {"dag_id": ti.dag_id, "task_id": ti.task_id, "run_id": ti.run_id, "map_index": ti.map_index}
    return XCom.get_one(key="return_value", session=session, **key)
