"""The DAG runs that are jobs, as Airflow has them."""

from __future__ import annotations

from typing import Any

import pendulum
import pytest
from sqlalchemy import select, update

from native_api.adapters import sandbox
from native_api.adapters.compat import airflow as seam
from native_api.adapters.executor import dag, jobs
from native_api.adapters.task_execution import render_job
from native_api.permissions import THIS_PROCESS
from native_api.registry import Context
from tests.support.versions import by_default_on

pytestmark = by_default_on("2.7", "2.11", "3.0", "3.3")

CONFIG = {"native_api": {"image": "another"}}


@pytest.fixture
def _dag_of_jobs(fresh: Any, monkeypatch: Any) -> None:
    """Have a DAG that is here in the place of native_api_jobs."""
    monkeypatch.setattr(dag, "DAG_ID", "wire_dag")
    monkeypatch.setattr(dag, "TASK_ID", "extract")
    monkeypatch.setattr(dag, "unavailable_reason", lambda session: None)


def created() -> str:
    """Create a job, and return its id."""
    job = sandbox.Job(render_job.render, {}, queue="special", executor_config=CONFIG)
    with seam().session() as session:
        context = Context(session, THIS_PROCESS, operation="a test")
        jobs._create_run(session, jobs._request(context, job), job)
    return job.job_id


def is_there(job_id: str) -> bool:
    """Return whether there is a job with that id."""
    with seam().session() as session:
        return jobs.find(session, job_id) is not None


def test_a_job_has_the_queue_and_the_executor_config_of_the_task(_dag_of_jobs: None) -> None:
    """The executor finds both in the task instance."""
    from airflow.models.taskinstance import TaskInstance

    job_id = created()
    with seam().session() as session:
        columns = select(TaskInstance.queue, TaskInstance.executor_config)
        found = session.execute(columns.where(TaskInstance.run_id == job_id)).all()
    assert found and all(tuple(row) == ("special", CONFIG) for row in found)


def test_a_worker_that_starts_meanwhile_does_not_undo_a_cancellation(_dag_of_jobs: None) -> None:
    """Airflow 2's workers write the whole DAG run as they have read it before."""
    from airflow.models.dagrun import DagRun
    from airflow.models.taskinstance import TaskInstance

    job_id = created()
    with seam().session() as session:
        of_job = select(DagRun).where(DagRun.run_id == job_id)
        read_before = session.scalars(of_job).unique().one()
        session.expunge_all()
    with seam().session() as session:
        job = jobs.find(session, job_id)
        assert job is not None
        job.request_cancel()
    with seam().session() as session:
        session.merge(read_before)
    with seam().session() as session:
        states = session.scalars(select(TaskInstance.state).where(TaskInstance.run_id == job_id)).all()
        # The other tasks of this DAG; the DAG of jobs has one.
        assert {*states} <= {"failed", "skipped"}
        session.execute(update(TaskInstance).where(TaskInstance.run_id == job_id).values(state="failed"))
        found = jobs.find(session, job_id)
        assert found is not None and found.state()["state"] == "cancelled"


def test_airflow_db_clean_deletes_jobs(_dag_of_jobs: None, fresh: Any) -> None:
    """Those that have started before the date; Airflow 2 keeps the latest."""
    from airflow.models.dagrun import DagRun

    old, latest = created(), created()
    with seam().session() as session:
        for job_id, month in ((old, 1), (latest, 2)):
            of_job = update(DagRun).where(DagRun.run_id == job_id)
            session.execute(of_job.values(start_date=pendulum.datetime(2024, month, 1)))
    assert is_there(old)
    arguments = ("--clean-before-timestamp", "2025-01-01", "--tables", "dag_run", "--skip-archive", "--yes")
    fresh.command("db", "clean", *arguments)
    assert not is_there(old)
