"""
Compare testing a task in the sandbox, on Airflow's executor, and by Airflow's command line, side by side in one run.

    python -m benchmarks.execution_modes --rounds 7

Starts an Airflow with two web servers: one with the DAG files and the sandbox, one without and with
``execute_on = executor``; a scheduler, and on Airflow 3 a DAG processor. The rounds alternate between the three ways.
Prints the median and the maximum of each in seconds, from the request to the result.
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import subprocess
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Callable, Dict, List

from tests.servers.client import Client
from tests.servers.deployment import HERE, TOKEN, Deployment, prepared, running, serving
from tests.servers.processes import eventually
from tests.support.versions import AIRFLOW

INSTANCE = {"dag_id": "user_code", "task_id": "bash", "logical_date": "2024-03-04"}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=7)
    rounds = parser.parse_args().rounds
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        ways = started(Path(folder), stack)
        seconds: Dict[str, List[float]] = {name: [] for name in ways}
        for way in ways.values():
            way()
        for _ in range(rounds):
            for name, way in ways.items():
                start = time.perf_counter()
                way()
                seconds[name].append(time.perf_counter() - start)
    print(f"Airflow {'.'.join(map(str, AIRFLOW))}, test of a BashOperator, {rounds} rounds, seconds: median, maximum")
    for name, measured in seconds.items():
        print(f"  {name:14}{statistics.median(measured):8.3f}{max(measured):8.3f}")


def started(folder: Path, stack: ExitStack) -> Dict[str, Callable[[], None]]:
    """Start the servers, and return the three ways of testing the task."""
    machine = prepared(folder / "machine")
    machine.dags = Path(shutil.copytree(HERE / "worker_dags", folder / "worker_dags"))
    machine.options.update(
        AIRFLOW__REST_API_PLUGIN__REST_API_PLUGIN_EXPECTED_HTTP_TOKEN=TOKEN,
        AIRFLOW__CORE__EXECUTOR="LocalExecutor" if AIRFLOW >= (3, 0) else "SequentialExecutor",
        AIRFLOW__SCHEDULER__SCHEDULER_IDLE_SLEEP_TIME="0.2",
        AIRFLOW__LOGGING__BASE_LOG_FOLDER=str(folder / "logs"),
    )
    (folder / "web").mkdir()
    (folder / "no_dags").mkdir()
    options = {
        **machine.options,
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{machine.database}",
        "AIRFLOW__NATIVE_API__EXECUTE_ON": "executor",
    }
    without_files = Deployment(folder / "web", folder / "no_dags", options)
    sandbox = stack.enter_context(serving(machine)).holder()
    executor = stack.enter_context(serving(without_files)).holder()
    stack.enter_context(running(machine, *(("scheduler", "dag-processor") if AIRFLOW >= (3, 0) else ("scheduler",))))
    eventually(lambda: _dag_ids(sandbox) >= {"user_code", "native_api_jobs"}, "the DAGs")
    sandbox.write("set_variable", key="a_variable", value="a value").result()
    return {
        "sandbox": lambda: _test(sandbox),
        "executor": lambda: _test(executor),
        "command line": lambda: _run(machine),
    }


def _dag_ids(client: Client) -> set[str]:
    return {dag["dag_id"] for dag in client.read("list_dags", limit=1000).result()["dags"]}


def _test(client: Client) -> None:
    result = client.write("test_task", **INSTANCE).result()
    assert result["state"] == "success", result


def _run(machine: Deployment) -> None:
    command = ["airflow", "tasks", "test", INSTANCE["dag_id"], INSTANCE["task_id"], INSTANCE["logical_date"]]
    subprocess.run(command, env=machine.environment(), check=True, capture_output=True, cwd=os.fspath(machine.home))


if __name__ == "__main__":
    main()
