"""health."""

from __future__ import annotations

import datetime
from typing import Any

import pytest

import native_api
from tests.support import airflow_under_test, jobs_under_test

NAMES = {"scheduler": "SchedulerJob", "triggerer": "TriggererJob", "dag_processor": "DagProcessorJob"}


@pytest.fixture
def jobs(fresh: Any, monkeypatch: Any) -> Any:
    """Return a function that notes a process of Airflow down, as one that beat so many seconds ago."""
    from airflow.jobs.job import Job
    from sqlalchemy import delete

    monkeypatch.setenv("AIRFLOW__SCHEDULER__STANDALONE_DAG_PROCESSOR", "True")

    def beat(kind: str, seconds: int) -> str:
        moment = datetime.datetime.now(datetime.timezone.utc) - datetime.timedelta(seconds=seconds)
        with airflow_under_test.session() as session:
            job = Job(state="running", latest_heartbeat=moment)
            job.job_type = NAMES[kind]
            session.add(job)
        return moment.isoformat()

    yield beat
    with airflow_under_test.session() as session:
        session.execute(delete(Job).execution_options(synchronize_session=False))


def test_nothing_runs(fresh: Any) -> None:
    answer = native_api.call("health")
    assert answer["metadatabase"] == {"status": "healthy"}
    assert answer["scheduler"] == {"status": "unhealthy", "latest_scheduler_heartbeat": None}
    assert answer["triggerer"] == {"status": None, "latest_triggerer_heartbeat": None}
    assert answer["dag_processor"] == {"status": None, "latest_dag_processor_heartbeat": None}
    assert answer["version"] == native_api.call("version")["version"]
    assert answer["plugin_version"] == native_api.__version__
    assert answer["jobs"] == {"running": 0, "queued": 0}


def test_jobs(fresh: Any, monkeypatch: Any) -> None:
    """One has the only place, one waits for it, and one has ended."""
    monkeypatch.setenv("AIRFLOW__NATIVE_API__JOB_SLOTS", "1")
    jobs_under_test.wait(jobs_under_test.start("add", {"a": 1, "b": 1}), "success")
    jobs_under_test.wait(jobs_under_test.start("sleep"), "running")
    jobs_under_test.start("sleep")
    assert native_api.call("health")["jobs"] == {"running": 1, "queued": 1}


@pytest.mark.parametrize("kind", sorted(NAMES))
@pytest.mark.parametrize("seconds, status", [(0, "healthy"), (100000, "unhealthy")])
def test_a_process(jobs: Any, kind: str, seconds: int, status: str) -> None:
    heartbeat = jobs(kind, seconds)
    assert native_api.call("health")[kind] == {"status": status, f"latest_{kind}_heartbeat": heartbeat}


def test_the_database_is_down(web: Any, mocker: Any) -> None:
    """The holder of the token, whom no database knows, is told so."""
    from sqlalchemy.exc import OperationalError

    down = OperationalError("SELECT 1", {}, Exception("refused"))
    mocker.patch("sqlalchemy.engine.base.Engine.raw_connection", side_effect=down)
    answer = web.typed("health")
    assert answer.status == 200, answer.text
    assert answer.json["metadatabase"] == {"status": "unhealthy"}


def test_it_asks_for_credentials(web: Any) -> None:
    """Airflow's own page answers anybody; it names no versions."""
    assert web.typed("health", login=None).status == 401
