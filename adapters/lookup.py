"""
Look up the DAG run or the task instance of a request.

An operation on a run has a request that is :class:`~native_api.adapters.fields.common.OneRun` or more; it takes
the fields of that as one, unread, and begins with :func:`named_run`::

    def dag_state(context: Context, **run: Any) -> Dict[str, Any]:
        return shown(named_run(context, **run))

One on a task instance has :class:`~native_api.adapters.task_instances.operations.OneTaskInstance` or more, and
begins with :func:`named_instance`::

    def task_state(context: Context, **instance: Any) -> Dict[str, Any]:
        run, key = named_instance(context, **instance)
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any, List, Mapping, Optional, Tuple

from sqlalchemy import bindparam, func, select
from sqlalchemy.orm import joinedload

from native_api.adapters.compat import airflow
from native_api.adapters.dags.operations import require_active_dag
from native_api.errors import DagRunNotFound, TaskInstanceNotFound, TaskNotFound
from native_api.registry import Context

if TYPE_CHECKING:
    from datetime import datetime

    from airflow.models.dagrun import DagRun
    from sqlalchemy.orm import Session

    from native_api.adapters.compat.objects import Dag, InstanceKey


def named_run(
    context: Context,
    dag_id: str,
    run_id: Optional[str] = None,
    logical_date: Optional[datetime] = None,
    subdir: Optional[str] = None,
) -> Any:
    """
    Return the DAG run of the request.

    :raises DagNotFound: no active DAG has that id.
    :raises DagNotBelow: its file is not below *subdir*.
    :raises DagRunNotFound: the DAG has no such run.
    """
    if subdir is not None:
        require_active_dag(context, dag_id, subdir)
    row = _run_of_active_dag(context.session, dag_id, run_id, logical_date)
    if row is None and " " in (run_id or ""):
        row = _run_of_active_dag(context.session, dag_id, with_pluses(str(run_id)), None)
    if row is None:
        require_active_dag(context, dag_id)
        raise _missing_run(dag_id, run_id, logical_date)
    if run_id is not None:
        context.resolved_arguments["run_id"] = row.run_id
    return row


def _run_of_active_dag(
    session: Session, dag_id: str, run_id: Optional[str], logical_date: Optional[datetime]
) -> Optional[DagRun]:
    """Return the run with exactly that id, or for that date, with its note, or None if it or its DAG does not exist."""
    named = {"logical_date": logical_date} if run_id is None else {"run_id": run_id}
    statement = _statement(by_id=run_id is not None)
    row: Optional[DagRun] = session.scalars(statement, {"dag_id": dag_id, **named}).unique().first()
    return row


@lru_cache(maxsize=None)
def _statement(by_id: bool) -> Any:
    from airflow.models.dag import DagModel
    from airflow.models.dagrun import DagRun

    named = DagRun.run_id == bindparam("run_id") if by_id else airflow().date_of_runs() == bindparam("logical_date")
    of_dag = select(DagRun).options(joinedload(DagRun.dag_run_note)).join(DagModel, DagModel.dag_id == DagRun.dag_id)
    return of_dag.where(DagRun.dag_id == bindparam("dag_id"), named, airflow().is_active(DagModel))


def named_instance(context: Context, dag_id: str, task_id: str, map_index: int, **run: Any) -> Tuple[Any, InstanceKey]:
    """
    Return the DAG run of the task instance, and the key of the task instance.

    The key is for :func:`of_key` and :func:`missing_instance`. The task instance itself is not read.

    :raises TaskNotFound: neither the run nor the task exists.
    :raises DagRunNotFound: the run does not exist; and the errors of :func:`named_run`.
    """
    try:
        row = named_run(context, dag_id, **run)
    except DagRunNotFound:
        _require_task(context.session, dag_id, task_id)
        raise
    return row, {"dag_id": dag_id, "run_id": row.run_id, "task_id": task_id, "map_index": map_index}


def find_run(session: Session, dag_id: str, run_id: Optional[str], logical_date: Optional[datetime]) -> Any:
    """
    Return the run with that id, or for that date.

    An id with spaces that does not exist is looked up with pluses instead.

    :raises DagRunNotFound: there is no such run.
    """
    row = run_of(session, dag_id, run_id, logical_date)
    if row is None and " " in (run_id or ""):
        row = run_of(session, dag_id, with_pluses(str(run_id)), None)
    if row is None:
        raise _missing_run(dag_id, run_id, logical_date)
    return row


def _missing_run(dag_id: str, run_id: Optional[str], logical_date: Optional[datetime]) -> DagRunNotFound:
    return DagRunNotFound(dag_id, run_id, logical_date.isoformat() if logical_date else None)


def run_of(session: Session, dag_id: str, run_id: Optional[str], logical_date: Optional[datetime]) -> Any:
    """Return the run with exactly that id, or for that date, or None."""
    from airflow.models.dagrun import DagRun

    named = DagRun.run_id == run_id if run_id is not None else airflow().date_of_runs() == logical_date
    return session.scalars(select(DagRun).where(DagRun.dag_id == dag_id, named)).unique().first()


def stored_run_id(context: Context, statement: Any, column: Any, run_id: str) -> str:
    """Return the id among the rows of *statement* that *run_id* resolves to, as :func:`find_run` resolves it."""
    if " " not in run_id:
        return run_id
    readings = (run_id, with_pluses(run_id))
    found = set(context.session.scalars(statement.with_only_columns(column).where(column.in_(readings)).distinct()))
    stored = next((reading for reading in readings if reading in found), run_id)
    context.resolved_arguments["run_id"] = stored
    return stored


def with_pluses(run_id: str) -> str:
    """Return the id with the plus of an offset restored, which an unescaped query string turns into a space."""
    return run_id.replace(" ", "+")


def of_key(table: Any, key: Mapping[str, object]) -> List[Any]:
    """Return the conditions for the row of *table* with that key."""
    return [getattr(table, name) == value for name, value in key.items()]


def dag_with_task(session: Session, dag_id: str, task_id: str, *, shared: bool = False) -> Dag:
    """
    Return the deserialized DAG.

    :param shared: whether the caller changes nothing of it, so that calls can share it.
    :raises TaskNotFound: it has no such task.
    """
    dag = airflow().shared_dag(dag_id, session) if shared else airflow().stored_dag(dag_id, session)
    if task_id not in dag.task_dict:
        raise TaskNotFound(dag_id, task_id)
    return dag


def missing_instance(session: Session, dag_id: str, run_id: str, task_id: str, map_index: int) -> Exception:
    """
    Return the error for a task instance that does not exist.

    :raises TaskNotFound: the task does not exist.
    """
    from airflow.models.taskinstance import TaskInstance

    key = {"dag_id": dag_id, "run_id": run_id, "task_id": task_id}
    last = session.scalar(select(func.max(TaskInstance.map_index)).where(*of_key(TaskInstance, key)))
    if last is None:
        _require_task(session, dag_id, task_id)
    return TaskInstanceNotFound(dag_id, task_id, run_id, map_index, last if last is not None and last >= 0 else None)


def _require_task(session: Session, dag_id: str, task_id: str) -> None:
    if task_id not in {task["task_id"] for task in airflow().stored_tasks(dag_id, session)}:
        raise TaskNotFound(dag_id, task_id)
