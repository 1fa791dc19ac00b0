"""A backfill with a real scheduler and executor."""

from __future__ import annotations

from typing import Any, Dict, List

import pytest

from tests.servers.client import Client
from tests.servers.deployment import Server
from tests.servers.processes import eventually
from tests.support.versions import on

pytestmark = [on("2.11", "3.3"), pytest.mark.slow]

#: With SQLite Airflow 2 runs one task at a time, and starts an Airflow for each.
SECONDS = 300
DATES = [f"2024-01-0{day}T00:00:00+00:00" for day in (2, 3, 4)]


def ended(client: Client, url: str) -> Dict[str, Any]:
    """Return the state of a backfill that has ended."""

    def state() -> Any:
        result = client.get(url).result()
        return None if result["state"] == "running" else result

    result: Dict[str, Any] = eventually(state, "the backfill ends", seconds=SECONDS)
    return result


def runs(client: Client) -> List[Dict[str, Any]]:
    listed: List[Dict[str, Any]] = client.read(
        "list_dag_runs", dag_id="dated", limit=1000, order_by="logical_date"
    ).result()["dag_runs"]
    return listed


def test_a_backfill_of_three_days_succeeds(scheduled: Server) -> None:
    """
    With the API only: unpause, backfill, and get the URL in the response. The DAG has catchup: runs of the scheduler's
    own type would have it create every run since.
    """
    admin = scheduled.user("admin")
    admin.write("unpause_dag", dag_id="dated").result()
    before, others = next_dagrun(scheduled), runs(admin)
    started = admin.write("backfill_dag", dag_id="dated", from_date=DATES[0], to_date=DATES[2])
    body = started.result(202)
    assert started.headers["Location"] == body["url"]
    result = ended(admin, body["url"])
    assert (result["state"], result["runs"], result["tasks"]) == ("success", {"success": 3}, {"success": 3})
    assert (result["fraction_done"], result["failed_runs"], result["failed_tasks"]) == (1.0, [], [])
    made = [run for run in runs(admin) if run["logical_date"] in DATES]
    assert [run["logical_date"] for run in made] == DATES
    assert [run["data_interval_start"] for run in made] == DATES
    assert all(run["start_date"] and run["end_date"] for run in made)
    # At midnight the scheduler makes the run of the day that has ended.
    assert next_dagrun(scheduled) >= before
    kept = [run for run in runs(admin) if run["logical_date"] not in DATES and run["logical_date"][:10] < before[:10]]
    assert kept == others


def next_dagrun(server: Server) -> str:
    """Return the date of the run that the scheduler creates next."""
    ((date,),) = server.deployment.rows("SELECT next_dagrun FROM dag WHERE dag_id = 'dated'")
    return str(date)
