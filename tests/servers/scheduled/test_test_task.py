"""test_task with a real scheduler."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any, Set, Tuple

import pytest

from tests.servers.deployment import Server
from tests.servers.processes import eventually
from tests.support.versions import on

pytestmark = [on("2.11", "3.3"), pytest.mark.slow]

RUNS = "SELECT run_id, state FROM dag_run WHERE dag_id = 'tried'"
INSTANCES = "SELECT task_id, state FROM task_instance WHERE dag_id = 'tried' AND run_id LIKE '__airflow_temporary%'"
NEXT = "SELECT next_dagrun, next_dagrun_create_after FROM dag WHERE dag_id = 'tried'"


def test_the_scheduler_does_not_run_the_test_run(scheduled: Server) -> None:
    """The task runs once, downstream tasks do not; its run on Airflow 2 is unchanged."""
    admin, deployment = scheduled.user("admin"), scheduled.deployment
    wrote = deployment.home / "tried"
    admin.write("unpause_dag", dag_id="tried").result()
    eventually(lambda: len(deployment.rows(RUNS)) == 1, "the scheduler makes the run that is due")
    eventually(lambda: deployment.rows(RUNS)[0][1] in ("success", "failed"), "it ends", seconds=240)
    wrote.write_text("")
    before = [deployment.rows(query) for query in (RUNS, NEXT)]
    seen: Set[Tuple[Any, ...]] = set()
    with ThreadPoolExecutor(1) as threads:
        asked = threads.submit(
            lambda: admin.write("test_task", dag_id="tried", task_id="slow", logical_date="2024-03-04").result()
        )
        while not asked.done():
            seen.update(deployment.rows(INSTANCES))
    response = asked.result()
    assert (response["state"], response["exit_code"]) == ("success", 0)
    assert seen <= {("slow", None)}
    assert [deployment.rows(query) for query in (RUNS, NEXT)] == before
    assert deployment.rows(INSTANCES) == []
    assert wrote.read_text() == "slow 2024-03-04\n"
