"""health."""

from __future__ import annotations

import datetime
import os
import threading
from typing import Any, List

import pytest

import native_api
from native_api.host import hostname
from native_api.http import health
from tests.support import airflow_under_test, jobs_under_test

NAMES = {"scheduler": "SchedulerJob", "triggerer": "TriggererJob", "dag_processor": "DagProcessorJob"}


@pytest.fixture
def jobs(fresh: Any, monkeypatch: Any) -> Any:
    """Return a function that stores a process of Airflow with a heartbeat some seconds ago."""
    from airflow.jobs.job import Job
    from sqlalchemy import delete

    monkeypatch.setenv("AIRFLOW__SCHEDULER__STANDALONE_DAG_PROCESSOR", "True")

    def heartbeat(kind: str, seconds: int) -> str:
        moment = datetime.datetime.now(datetime.timezone.utc) - datetime.timedelta(seconds=seconds)
        with airflow_under_test.session() as session:
            job = Job(state="running", latest_heartbeat=moment)
            job.job_type = NAMES[kind]
            session.add(job)
        return moment.isoformat()

    yield heartbeat
    with airflow_under_test.session() as session:
        session.execute(delete(Job).execution_options(synchronize_session=False))


def test_without_processes_the_scheduler_is_unhealthy(fresh: Any) -> None:
    response = native_api.call("health")
    assert response["metadatabase"] == {"status": "healthy"}
    assert response["scheduler"] == {"status": "unhealthy", "latest_scheduler_heartbeat": None}
    assert response["triggerer"] == {"status": None, "latest_triggerer_heartbeat": None}
    assert response["dag_processor"] == {"status": None, "latest_dag_processor_heartbeat": None}
    assert response["version"] == native_api.call("version")["version"]
    assert response["plugin_version"] == native_api.__version__
    assert response["jobs"] == {"running": 0, "queued": 0}
    assert (response["hostname"], response["mode"]) == (hostname(), "web_server")
    assert response["state_dir"] == f"{os.environ['AIRFLOW_HOME']}/native_api"


def test_it_counts_running_and_queued_jobs(fresh: Any, monkeypatch: Any) -> None:
    """Not those that have ended."""
    monkeypatch.setenv("AIRFLOW__NATIVE_API__JOB_SLOTS", "1")
    jobs_under_test.wait(jobs_under_test.start("add", {"a": 1, "b": 1}), "success")
    jobs_under_test.wait(jobs_under_test.start("sleep"), "running")
    jobs_under_test.start("sleep")
    assert native_api.call("health")["jobs"] == {"running": 1, "queued": 1}


@pytest.mark.parametrize("kind", sorted(NAMES))
@pytest.mark.parametrize("seconds, status", [(0, "healthy"), (100000, "unhealthy")])
def test_the_status_depends_on_the_latest_heartbeat(jobs: Any, kind: str, seconds: int, status: str) -> None:
    heartbeat = jobs(kind, seconds)
    assert native_api.call("health")[kind] == {"status": status, f"latest_{kind}_heartbeat": heartbeat}


def test_the_database_is_down(web: Any, mocker: Any) -> None:
    """With the static token, whose holder needs no database."""
    from sqlalchemy.exc import OperationalError

    down = OperationalError("SELECT 1", {}, Exception("refused"))
    mocker.patch("sqlalchemy.engine.base.Engine.raw_connection", side_effect=down)
    response = web.typed("health")
    assert response.status == 200, response.text
    assert response.json["metadatabase"] == {"status": "unhealthy"}


def test_it_requires_authentication(web: Any) -> None:
    """Airflow's own health check does not; it has no versions."""
    assert web.typed("health", login=None).status == 401


class TestForLoadBalancers:
    """The health check of the plugin needs no authentication and has no details."""

    @pytest.fixture(autouse=True)
    def nothing_is_known(self, monkeypatch: Any) -> None:
        monkeypatch.setattr(health, "database", health.Check(health._reaches_database))

    @pytest.mark.parametrize("path", ["/native_api/health", "/native_api/health/"])
    def test_it_is_200_and_ok(self, web: Any, path: str) -> None:
        response = web.request("GET", path, login=None)
        assert (response.status, response.json) == (200, {"status": "ok"})

    def test_head_is_200(self, web: Any) -> None:
        response = web.request("HEAD", "/native_api/health", login=None)
        assert (response.status, response.text) == (200, "")

    def test_another_method_is_405(self, web: Any) -> None:
        response = web.request("POST", "/native_api/health", login=None)
        assert (response.status, response.json["code"]) == (405, "method_not_allowed")

    def test_it_is_503_if_the_database_is_unavailable(self, web: Any, mocker: Any) -> None:
        from sqlalchemy.exc import OperationalError

        down = OperationalError("SELECT 1", {}, Exception("refused"))
        mocker.patch("sqlalchemy.engine.base.Engine.raw_connection", side_effect=down)
        response = web.request("GET", "/native_api/health", login=None)
        assert (response.status, response.json) == (503, {"status": "unhealthy"})
        assert web.request("HEAD", "/native_api/health", login=None).status == 503


class TestCheck:
    """The check is limited in time and frequency."""

    def test_its_result_is_cached(self, monkeypatch: Any) -> None:
        made: List[int] = []

        def look() -> bool:
            made.append(1)
            return True

        check = health.Check(look)
        assert [check.passes() for _ in range(100)] == [True] * 100
        assert len(made) == 1
        monkeypatch.setattr(health, "KEPT_SECONDS", 0.0)
        assert check.passes()
        assert len(made) == 2

    def test_it_fails_after_the_timeout(self, monkeypatch: Any) -> None:
        """Later requests do not wait; when it returns, its result is used."""
        monkeypatch.setattr(health, "LIMIT_SECONDS", 0.2)
        monkeypatch.setattr(health, "KEPT_SECONDS", 60.0)
        goes_on = threading.Event()
        made: List[int] = []

        def hang() -> bool:
            made.append(1)
            return goes_on.wait(60)

        check = health.Check(hang)
        assert check.passes() is False
        assert [check.passes() for _ in range(100)] == [False] * 100
        assert len(made) == 1
        goes_on.set()
        check._thread.join()  # type: ignore[union-attr]
        assert check.passes() is True

    def test_simultaneous_requests_get_the_last_result(self, monkeypatch: Any) -> None:
        monkeypatch.setattr(health, "KEPT_SECONDS", 0.0)
        monkeypatch.setattr(health, "LIMIT_SECONDS", 60.0)
        goes_on, waits = threading.Event(), threading.Event()
        goes_on.set()

        def look() -> bool:
            waits.set()
            return goes_on.wait(60)

        check = health.Check(look)
        assert check.passes()
        goes_on.clear()
        waits.clear()
        first = threading.Thread(target=check.passes)
        first.start()
        assert waits.wait(60)
        assert check.passes()
        goes_on.set()
        first.join()
