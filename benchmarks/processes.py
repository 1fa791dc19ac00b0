"""The processes of an Airflow whose web server runs DAG code, and their memory."""

from __future__ import annotations

from contextlib import contextmanager
from pathlib import Path
from typing import Iterator, List, Optional

import psutil

from benchmarks.servers import database
from tests.servers.deployment import TOKEN, Deployment, Server, prepared
from tests.servers.processes import eventually

#: Jobs that run at once.
JOBS = 8
#: An invalid value of an option disables the plugin.
DISABLED = {"AIRFLOW__NATIVE_API__PAGE_LIMIT": "disabled"}


@contextmanager
def deployed(folder: Path, kind: str) -> Iterator[Deployment]:
    """Return an Airflow with the DAGs of the tests."""
    with database(kind) as options:
        options.update(
            {
                "AIRFLOW__REST_API_PLUGIN__REST_API_PLUGIN_EXPECTED_HTTP_TOKEN": TOKEN,
                "AIRFLOW__NATIVE_API__JOB_SLOTS": str(JOBS),
                "AIRFLOW__NATIVE_API__JOBS_PER_CALLER": str(4 * JOBS),
                # As it is installed: the modules are compiled once.
                "PYTHONDONTWRITEBYTECODE": "",
            }
        )
        yield prepared(folder / "airflow", options=options)


def web_workers(server: Server) -> List[psutil.Process]:
    """Return the processes of a web server that have no children, or that process itself."""
    parent = psutil.Process(server.process.pid)
    started = [
        process for process in parent.children(recursive=True) if "resource_tracker" not in str(process.cmdline())
    ]
    return [process for process in started if not process.children()] or [parent]


def warm_process(server: Server) -> psutil.Process:
    """Return the warm process when it has imported Airflow: when its processor time does not grow."""
    return eventually(lambda: _idle_warm_process(server), "the warm process is ready")


def _idle_warm_process(server: Server) -> Optional[psutil.Process]:
    found = family_of_jobs(server)
    # The processes of jobs are forks of the first.
    first = [process for process in found if process.ppid() not in {other.pid for other in found}]
    return first[0] if first and first[0].cpu_percent(3) == 0 else None


def family_of_jobs(server: Server) -> List[psutil.Process]:
    """Return the warm process of a web server and its forks."""
    home = str(server.deployment.home)
    return [
        process
        for process in psutil.process_iter(["cmdline", "environ"])
        if any("adapters.warm_process" in word for word in process.info["cmdline"] or [])
        and (process.info["environ"] or {}).get("AIRFLOW_HOME") == home
    ]


def mib(processes: List[psutil.Process], kind: str = "pss") -> float:
    """Return the sum of the memory of processes in MiB; PSS counts a page that n processes share 1/n times."""
    return round(sum(getattr(process.memory_full_info(), kind) for process in processes) / 2**20, 1)
