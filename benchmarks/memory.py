"""The memory of the web workers, with and without the plugin, of the warm process, and of a job."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any, Dict, List, Tuple

from benchmarks.figures import table
from benchmarks.processes import DISABLED, deployed, family_of_jobs, mib, warm_process, web_workers
from tests.servers.deployment import Server, serving

WORKERS = 4


def measure(folder: Path, kind: str, rounds: int, command_rounds: int) -> Dict[str, Any]:
    """Return the MiB of each, by PSS."""
    with deployed(folder, kind) as deployment:
        without = deployment.copy(folder / "without", **DISABLED)
        with serving(without, workers=WORKERS) as server:
            of_workers = {"without the plugin": _of_worker(server)}
        with serving(deployment, workers=WORKERS) as server:
            warm_process(server)
            of_workers["not called"] = _of_worker(server)
            for _ in range(10 * WORKERS):
                server.holder().read("list_dags").result()
            of_workers["called"] = _of_worker(server)
            return {"web_worker": of_workers, **_of_jobs(server)}


def tables(measured: Dict[str, Any]) -> List[Tuple[str, str]]:
    """Return the titles and the tables."""
    rows = [(f"Web worker, {name}", f"{size:.0f}") for name, size in measured["web_worker"].items()]
    rows.append(("Warm process", f"{measured['warm_process']:.0f}"))
    rows.append(("A job that runs a BashOperator, in addition", f"{measured['job']:.0f}"))
    return [(f"Memory (PSS) with {WORKERS} web workers, in MiB", table(("Process", "MiB"), rows))]


def _of_worker(server: Server) -> float:
    time.sleep(2)
    workers = web_workers(server)
    assert len(workers) == WORKERS, workers
    return mib(workers) / WORKERS


def _of_jobs(server: Server) -> Dict[str, float]:
    alone = mib([warm_process(server)])
    holder = server.holder()
    started = {"dag_id": "hanging", "task_id": "sleep", "logical_date": "2024-03-04", "async": True}
    job_id = holder.write("test_task", **started).result(202)["job_id"]
    while holder.read("job_state", job_id=job_id).result()["state"] != "running":
        time.sleep(0.5)
    time.sleep(5)
    together = mib(family_of_jobs(server))
    holder.write("cancel_job", job_id=job_id).result()
    return {"warm_process": alone, "job": together - alone}
