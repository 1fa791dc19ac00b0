"""DAG code in the sandbox of a web server with four workers, and by Airflow's command line."""

from __future__ import annotations

import statistics
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Callable, Dict, List, Sequence, Tuple

from benchmarks.figures import number, ratio, table
from benchmarks.processes import JOBS, deployed, warm_process
from tests.servers.deployment import Deployment, Server, serving

WORKERS = 4
DATE = "2024-03-04"
#: Each job: its operation, its arguments, and the command.
WAYS: Dict[str, Tuple[str, Dict[str, Any], Sequence[str]]] = {
    "render a task": (
        "render_task",
        {"dag_id": "tried", "task_id": "after", "logical_date": DATE},
        ("tasks", "render", "tried", "after", DATE),
    ),
    "test a BashOperator": (
        "test_task",
        {"dag_id": "tried", "task_id": "after", "logical_date": DATE},
        ("tasks", "test", "tried", "after", DATE),
    ),
    "test a Python task": (
        "test_task",
        {"dag_id": "two_tasks", "task_id": "first", "logical_date": DATE},
        ("tasks", "test", "two_tasks", "first", DATE),
    ),
    "report on the DAG files": ("dag_report", {}, ("dags", "report")),
}


def measure(folder: Path, kind: str, rounds: int, command_rounds: int) -> Dict[str, Any]:
    """Return the seconds of the first job, of each kind of job and command, and of eight jobs at once."""
    with deployed(folder, kind) as deployment:
        with serving(deployment, workers=WORKERS) as server:
            at_once = _timed(lambda: _job(server, "report on the DAG files"))
        with serving(deployment, workers=WORKERS) as server:
            warm_process(server)
            # Each web worker imports the operations with its first request.
            for _ in range(10 * WORKERS):
                server.holder().read("list_dags").result()
            first = {name: _timed(lambda name=name: _job(server, name)) for name in WAYS}  # type: ignore[misc]
            measured: Dict[str, Any] = {name: {"warm": [], "command": []} for name in WAYS}
            for place in range(min(rounds, 20)):
                for name in WAYS:
                    measured[name]["warm"].append(_timed(lambda name=name: _job(server, name)))  # type: ignore[misc]
                    if place < command_rounds:
                        measured[name]["command"].append(_timed(lambda name=name: _command(deployment, name)))  # type: ignore[misc]
            eight = [_timed(lambda: _jobs_at_once(server)) for _ in range(min(rounds, 5))]
    medians = {
        name: {way: statistics.median(seconds) for way, seconds in of.items() if seconds}
        for name, of in measured.items()
    }
    return {"with_start": at_once, "first": first, "median": medians, f"{JOBS}_at_once": statistics.median(eight)}


def tables(measured: Dict[str, Any]) -> List[Tuple[str, str]]:
    """Return the titles and the tables."""
    rows = []
    for name, seconds in measured["median"].items():
        command = seconds.get("command", 0)
        rows.append(
            (
                name,
                number(1000 * measured["first"][name]),
                number(1000 * seconds["warm"]),
                number(1000 * command),
                ratio(command, seconds["warm"]),
            )
        )
    rows.append(("report, as soon as the web server responds", number(1000 * measured["with_start"]), "", "", ""))
    rows.append((f"{JOBS} renderings at once", "", number(1000 * measured[f"{JOBS}_at_once"]), "", ""))
    return [("DAG code, in milliseconds", table(("Job", "First", "Warm", "Command line", "Command / warm"), rows))]


def _job(server: Server, name: str) -> None:
    operation, arguments, _ = WAYS[name]
    server.holder().write(operation, **arguments).result()


def _jobs_at_once(server: Server) -> None:
    with ThreadPoolExecutor(JOBS) as threads:
        list(threads.map(lambda _: _job(server, "render a task"), range(JOBS)))


def _command(deployment: Deployment, name: str) -> None:
    command = ["airflow", *WAYS[name][2]]
    subprocess.run(command, env=deployment.environment(), check=True, capture_output=True, cwd=deployment.home.parent)


def _timed(call: Callable[[], None]) -> float:
    start = time.perf_counter()
    call()
    return time.perf_counter() - start
