"""What the plugin adds to the start of a web server, and to the other processes of Airflow."""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, Dict, List, Tuple

from benchmarks.figures import number, table
from benchmarks.processes import DISABLED, deployed
from tests.servers.deployment import Deployment, serving

#: What the processes of Airflow import before plugins are loaded, on Airflow 3 or on Airflow 2.
PROCESSES = {
    "scheduler": ["airflow.jobs.scheduler_job_runner"],
    "DAG processor": ["airflow.dag_processing.manager"],
    "task": ["airflow.sdk.execution_time.task_runner", "airflow.jobs.local_task_job_runner"],
}
_LOAD = """
import importlib, json, sys, time
import airflow.models, airflow.plugins_manager

def pss():
    with open("/proc/self/smaps_rollup") as lines:
        return next(int(line.split()[1]) for line in lines if line.startswith("Pss:")) / 1024

for name in json.loads(sys.argv[1]):
    try:
        importlib.import_module(name)
        break
    except ImportError:
        continue
memory, start = pss(), time.process_time()
from native_api.plugin import NativeApiPlugin
NativeApiPlugin.on_load()
print(json.dumps([time.process_time() - start, pss() - memory]))
"""


def measure(folder: Path, kind: str, rounds: int, command_rounds: int) -> Dict[str, Any]:
    """Return the seconds until a web server responds, and the CPU seconds and the MiB in other processes."""
    with deployed(folder, kind) as deployment:
        without = deployment.copy(folder / "without", **DISABLED)
        starts: Dict[str, List[float]] = {"with": [], "without": []}
        for _ in range(1 + command_rounds):
            starts["without"].append(_start(without))
            starts["with"].append(_start(deployment))
        # The first of each compiles modules.
        responds = {name: statistics.median(seconds[1:]) for name, seconds in starts.items()}
        return {"web_server": responds, **{name: _load(deployment, names) for name, names in PROCESSES.items()}}


def tables(measured: Dict[str, Any]) -> List[Tuple[str, str]]:
    """Return the titles and the tables."""
    started = [(name, f"{seconds:.1f}") for name, seconds in measured["web_server"].items()]
    loaded = [(name, number(1000 * measured[name]["seconds"]), f"{measured[name]['mib']:.1f}") for name in PROCESSES]
    return [
        ("Start of a web server until it responds, in seconds", table(("Plugin", "Seconds"), started)),
        ("What the plugin adds to other processes", table(("Process", "CPU ms", "MiB"), loaded)),
    ]


def _start(deployment: Deployment) -> float:
    start = time.perf_counter()
    with serving(deployment):
        return time.perf_counter() - start


def _load(deployment: Deployment, names: List[str]) -> Dict[str, float]:
    figures = []
    for _ in range(6):
        command = [sys.executable, "-W", "ignore", "-c", _LOAD, json.dumps(names)]
        done = subprocess.run(command, env=deployment.environment(), check=True, capture_output=True, text=True)
        figures.append(json.loads(done.stdout.splitlines()[-1]))
    seconds, sizes = zip(*figures[1:])
    return {"seconds": statistics.median(seconds), "mib": statistics.median(sizes)}
