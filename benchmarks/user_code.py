"""
Have user code run by this API and by Airflow's command line, on one running server.

    python benchmarks/user_code.py http://127.0.0.1:8080 --token TOKEN --dag-id example --bash extract \\
        --python transform --file example.py

Run it with the interpreter and the environment (AIRFLOW_HOME, AIRFLOW__…) of that Airflow. The calls alternate, so
that whatever else the machine does falls on both alike. Prints the medians in seconds, the first job's seconds apart,
and the memory of the warm processes in MiB.
"""

from __future__ import annotations

import argparse
import http.client
import json
import statistics
import subprocess
import sys
import time
from typing import Any, Dict, List, Tuple
from urllib.parse import urlsplit

import psutil

DATE = "2026-11-01T00:00:00+00:00"


class Server:
    """A running web server."""

    def __init__(self, url: str, token: str) -> None:
        self._parts, self._token = urlsplit(url), token

    def seconds(self, operation: str, arguments: Dict[str, Any]) -> float:
        """Return the duration of a call, which must succeed."""
        connection = http.client.HTTPConnection(self._parts.hostname or "", self._parts.port, timeout=300)
        headers = {"Content-Type": "application/json", "rest-api-plugin-http-token": self._token}
        start = time.perf_counter()
        path = f"{self._parts.path.rstrip('/')}/native_api/v1/{operation}"
        connection.request("POST", path, json.dumps(arguments), headers)
        response = connection.getresponse()
        body = response.read()
        spent = time.perf_counter() - start
        if response.status != 200:
            raise SystemExit(f"{operation} answered {response.status}: {body.decode()[:300]}")
        return spent


def command_seconds(words: List[str]) -> float:
    """Return the duration of an Airflow command, which must succeed."""
    start = time.perf_counter()
    done = subprocess.run([sys.executable, "-m", "airflow", *words], capture_output=True, text=True)
    spent = time.perf_counter() - start
    if done.returncode:
        raise SystemExit(f"airflow {' '.join(words)} ended with {done.returncode}: {done.stderr[-300:]}")
    return spent


def warm_memory() -> List[int]:
    """Return the resident MiB of each warm process."""
    processes = psutil.process_iter(["cmdline", "memory_info"])
    warm = [process for process in processes if "adapters.warm_process" in " ".join(process.info["cmdline"] or [])]
    return [process.info["memory_info"].rss // 2**20 for process in warm]


def main() -> None:
    """Measure and print the latency of jobs."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("url")
    parser.add_argument("--token", required=True)
    parser.add_argument("--dag-id", required=True)
    parser.add_argument("--bash", required=True, metavar="TASK_ID")
    parser.add_argument("--python", required=True, metavar="TASK_ID")
    parser.add_argument("--file", required=True, help="the DAG's file below the DAGs folder")
    parser.add_argument("--calls", type=int, default=5)
    options = parser.parse_args()
    server = Server(options.url, options.token)
    of_dag = {"dag_id": options.dag_id, "logical_date": DATE}
    asked: Dict[str, Tuple[str, Dict[str, Any], List[str]]] = {
        f"{verb} {task_id}": (
            f"{verb}_task",
            {**of_dag, "task_id": task_id},
            ["tasks", verb, options.dag_id, task_id, DATE],
        )
        for verb, task_id in (("render", options.bash), ("test", options.bash), ("test", options.python))
    }
    subdir = f"DAGS_FOLDER/{options.file}"
    asked["report of a file"] = ("dag_report", {"subdir": subdir}, ["dags", "report"])
    print(f"first job: {server.seconds('dag_report', {'subdir': subdir}):.2f} s")
    print(f"{'what':20} {'native_api s':>13} {'airflow s':>10}  (median of {options.calls} each)")
    for name, (operation, arguments, words) in asked.items():
        pairs = [(server.seconds(operation, arguments), command_seconds(words)) for _ in range(options.calls)]
        ours, theirs = (statistics.median(values) for values in zip(*pairs))
        print(f"{name:20} {ours:13.2f} {theirs:10.2f}")
    print(f"warm processes: {warm_memory()} MiB")


if __name__ == "__main__":
    main()
