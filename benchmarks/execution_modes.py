"""
Testing a task in the sandbox, on Airflow's executor, and by Airflow's command line.

Starts an Airflow with two web servers: one with the DAG files and the sandbox, one without and with
``execute_on = executor``; a scheduler, and on Airflow 3 a DAG processor. The rounds alternate between the three ways.
"""

from __future__ import annotations

import os
import shutil
import statistics
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Callable, Dict, List, Mapping, Tuple

from benchmarks.figures import table
from benchmarks.processes import JOBS
from benchmarks.servers import database
from tests.servers.client import Client
from tests.servers.deployment import HERE, TOKEN, Deployment, prepared, running, serving
from tests.servers.processes import eventually
from tests.support.versions import AIRFLOW

INSTANCE = {"dag_id": "user_code", "task_id": "bash", "logical_date": "2024-03-04"}
#: A round takes some seconds.
_MOST_ROUNDS = 7


def measure(folder: Path, kind: str, rounds: int, command_rounds: int) -> Dict[str, Dict[str, float]]:
    """Return the seconds from the request to the result of each way: the median and the maximum."""
    with ExitStack() as stack:
        ways = started(folder, stack.enter_context(database(kind)), stack)
        seconds: Dict[str, List[float]] = {name: [] for name in ways}
        # The first of each imports modules.
        for place in range(-1, min(rounds, _MOST_ROUNDS)):
            for name, way in ways.items():
                start = time.perf_counter()
                way()
                if place >= 0:
                    seconds[name].append(time.perf_counter() - start)
    return {
        name: {"median": statistics.median(measured), "maximum": max(measured)} for name, measured in seconds.items()
    }


def tables(measured: Mapping[str, Mapping[str, float]]) -> List[Tuple[str, str]]:
    """Return the titles and the tables."""
    rows = [(name, f"{of['median']:.2f}", f"{of['maximum']:.2f}") for name, of in measured.items()]
    return [("Test of a BashOperator, in seconds", table(("Way", "Median", "Maximum"), rows))]


def started(folder: Path, options: Mapping[str, str], stack: ExitStack) -> Dict[str, Callable[[], None]]:
    """Start the servers, and return the three ways of testing the task."""
    machine = prepared(folder / "machine", options=options)
    machine.dags = Path(shutil.copytree(HERE / "worker_dags", folder / "worker_dags"))
    machine.options.update(
        AIRFLOW__REST_API_PLUGIN__REST_API_PLUGIN_EXPECTED_HTTP_TOKEN=TOKEN,
        AIRFLOW__CORE__EXECUTOR="LocalExecutor" if AIRFLOW >= (3, 0) or options else "SequentialExecutor",
        AIRFLOW__NATIVE_API__JOBS_PER_CALLER=str(JOBS),
        AIRFLOW__SCHEDULER__SCHEDULER_IDLE_SLEEP_TIME="0.2",
        AIRFLOW__LOGGING__BASE_LOG_FOLDER=str(folder / "logs"),
    )
    (folder / "web").mkdir()
    (folder / "no_dags").mkdir()
    connection = machine.environment()["AIRFLOW__DATABASE__SQL_ALCHEMY_CONN"]
    on_executor = {"AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": connection, "AIRFLOW__NATIVE_API__EXECUTE_ON": "executor"}
    without_files = Deployment(folder / "web", folder / "no_dags", {**machine.options, **on_executor})
    sandbox = stack.enter_context(serving(machine)).holder()
    executor = stack.enter_context(serving(without_files)).holder()
    stack.enter_context(running(machine, *(("scheduler", "dag-processor") if AIRFLOW >= (3, 0) else ("scheduler",))))
    eventually(lambda: _dag_ids(sandbox) >= {"user_code", "native_api_jobs"}, "the DAGs")
    sandbox.write("set_variable", key="a_variable", value="a value").result()
    return {
        "sandbox": lambda: _test(sandbox),
        "executor": lambda: _test(executor),
        f"sandbox, {JOBS} at once": lambda: _tests_at_once(sandbox),
        f"executor, {JOBS} at once": lambda: _tests_at_once(executor),
        "command line": lambda: _run(machine),
    }


def _dag_ids(client: Client) -> set[str]:
    return {dag["dag_id"] for dag in client.read("list_dags", limit=1000).result()["dags"]}


def _test(client: Client) -> None:
    result = client.write("test_task", **INSTANCE).result()
    assert result["state"] == "success", result


def _tests_at_once(client: Client) -> None:
    with ThreadPoolExecutor(JOBS) as threads:
        list(threads.map(lambda _: _test(client), range(JOBS)))


def _run(machine: Deployment) -> None:
    command = ["airflow", "tasks", "test", INSTANCE["dag_id"], INSTANCE["task_id"], INSTANCE["logical_date"]]
    subprocess.run(command, env=machine.environment(), check=True, capture_output=True, cwd=os.fspath(machine.home))
