"""Helpers for tests of backfills."""

from __future__ import annotations

from typing import Any, Dict, List

import native_api
from tests.support import airflow_under_test


def state_of(backfill_id: int) -> Dict[str, Any]:
    return native_api.call("backfill_state", backfill_id=backfill_id)


def run_of(date: str) -> str:
    return str(next(run["run_id"] for run in runs() if run["logical_date"] == date))


def set_run(date: str, state: str) -> None:
    """Set the state of a run, as the scheduler does."""
    from airflow.models.dagrun import DagRun

    table = DagRun.__table__
    with airflow_under_test.session() as session:
        session.execute(table.update().where(table.c.run_id == run_of(date)).values(state=state))


DAYS = {"from_date": "2024-01-01", "to_date": "2024-01-03"}


DATES = [f"2024-01-0{day}T00:00:00+00:00" for day in (1, 2, 3)]


ON_2 = airflow_under_test.version() < (3, 0)


def backfill(dag_id: str = "daily", **arguments: Any) -> Dict[str, Any]:
    return native_api.call("backfill_dag", dag_id=dag_id, **{**DAYS, **arguments})


def runs(dag_id: str = "daily") -> List[Dict[str, Any]]:
    listed: List[Dict[str, Any]] = native_api.call("list_dag_runs", dag_id=dag_id, order_by="logical_date")["dag_runs"]
    return listed


def set_state(state: str, date: str = DATES[0], dag_id: str = "daily") -> None:
    native_api.call("set_dag_run_state", dag_id=dag_id, logical_date=date, state=state)


def trigger(date: str, dag_id: str = "daily") -> str:
    run_id: str = native_api.call("trigger_dag", dag_id=dag_id, logical_date=date)["run_id"]
    return run_id


def finish(dag_id: str, state: str, failed: str = "", only: str = "") -> None:
    """Let all queued runs of a DAG end, as the scheduler does."""
    import pendulum
    from airflow.models.dagrun import DagRun
    from airflow.models.taskinstance import TaskInstance

    now = pendulum.now("UTC")
    run, ti = DagRun.__table__, TaskInstance.__table__
    with airflow_under_test.session() as session:
        these = (run.c.dag_id == dag_id) & (run.c.state == "queued")
        if only:
            these = these & (run.c.run_id == only)
        session.execute(run.update().where(these).values(state=state))
        left = ti.update().where(ti.c.dag_id == dag_id, ti.c.state.is_(None))
        if failed:
            session.execute(left.where(ti.c.task_id == failed).values(state="failed", start_date=now, end_date=now))
        session.execute(left.values(state="success", start_date=now, end_date=now))
