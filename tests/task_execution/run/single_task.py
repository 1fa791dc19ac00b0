"""The DAG whose tasks are run, and the states after it."""

from __future__ import annotations

from typing import Any, Dict, List

import pendulum
import pytest

import native_api
from tests.support import airflow_under_test

DATE = "2026-03-01T00:00:00+00:00"
RUN = f"manual__{DATE}"
ONLY_2 = pytest.mark.skipif(airflow_under_test.version() >= (3, 0), reason="Airflow 3 has no such executors")
ONLY_3 = pytest.mark.skipif(airflow_under_test.version() < (3, 0), reason="Airflow 2 goes by its executor")


def run(task_id: str, **how: Any) -> Dict[str, Any]:
    """Run a task of the tests' DAG in the sandbox."""
    which = {} if "run_id" in how else {"logical_date": DATE}
    return native_api.call("run_task", **{"dag_id": "alone", "task_id": task_id, "local": True, **which, **how})


def states(run_id: str = RUN) -> Dict[str, Any]:
    """Return the state of the run, and of all task instances by task."""
    listed = native_api.call("list_task_instances", dag_id="alone", run_id=run_id)["task_instances"]
    run = native_api.call("dag_state", dag_id="alone", run_id=run_id)
    found = {f"{row['task_id']}[{row['map_index']}]".replace("[-1]", ""): row["state"] for row in listed}
    return {"the run": run["state"], **found}


def task_state(task_id: str) -> Any:
    """Return the state of a task in the new run, or None if there is no such run yet."""
    listed = native_api.call("list_task_instances", dag_id="alone", task_id=task_id)["task_instances"]
    return listed[0]["state"] if listed else None


def rows(run_id: str, but: str) -> List[Any]:
    """Return the rows of the run and of its task instances, except for one task."""
    from airflow.models.dagrun import DagRun
    from airflow.models.taskinstance import TaskInstance

    ti, dr = TaskInstance.__table__, DagRun.__table__
    with airflow_under_test.session() as session:
        runs = session.execute(dr.select().where(dr.c.run_id == run_id)).all()
        others = (ti.c.run_id == run_id) & (ti.c.task_id != but)
        # What Airflow notes on every change of a row, and where it last looked for work, says nothing.
        columns = [column for column in ti.c if column.name != "updated_at"]
        found = session.execute(ti.select().with_only_columns(*columns).where(others).order_by(ti.c.task_id)).all()
    return [*map(repr, found), repr({**runs[0]._mapping, "updated_at": None})]


def finished_run(run_id: str = "r", state: str = "success", of_tasks: str = "success", began: bool = True) -> None:
    """Create an ended run, all of whose task instances are at their first try."""
    from airflow.models.dagrun import DagRun
    from airflow.models.taskinstance import TaskInstance

    native_api.call("trigger_dag", dag_id="alone", run_id=run_id)
    ti, dr = TaskInstance.__table__, DagRun.__table__
    moment = pendulum.datetime(2026, 4, 1) if began else None
    with airflow_under_test.session() as session:
        session.execute(ti.update().where(ti.c.run_id == run_id).values(state=of_tasks, try_number=1))
        session.execute(dr.update().where(dr.c.run_id == run_id).values(state=state, start_date=moment))


def log(task_id: str, try_number: int, run_id: str = RUN) -> str:
    """Return the log of a try, as task_log returns it."""
    asked = {"dag_id": "alone", "task_id": task_id, "run_id": run_id, "try_number": try_number}
    return str(native_api.call("task_log", **asked)["content"])
