"""Requests per second and the slowest of them with 1, 4, 16 and 64 clients, beside Airflow's REST API."""

from __future__ import annotations

import statistics
import threading
import time
from http import HTTPStatus
from http.client import HTTPException
from pathlib import Path
from typing import Any, Dict, List, Mapping, Tuple

from benchmarks import figures
from benchmarks.reads import Compared, compared
from benchmarks.servers import Connection, logins, served
from tests.servers.deployment import Server
from tests.support.versions import AIRFLOW

CLIENTS = (1, 4, 16, 64)
WORKERS = 2
SECONDS = 8.0
#: A page of Airflow's web server, whose time under load is measured, too.
PAGE = "/" if AIRFLOW >= (3, 0) else "/login/"
_MIXES = {
    "reads": ("list_dags", "dag_state", "list_task_instances", "get_variable", "task_state"),
    "writes": ("set_variable", "pause_dag", "clear_tasks"),
}


def measure(folder: Path, kind: str, rounds: int, command_rounds: int) -> List[Dict[str, Any]]:
    """Return the figures of each mix by the number of clients."""
    measured = []
    with served(folder, kind, workers=WORKERS, dags=100, runs=100) as server:
        wanted = compared("")
        headers = [*logins(server).values()][-1]
        for mix, names in _MIXES.items():
            requests = [one for one in wanted if one.operation in names]
            for clients in CLIENTS:
                for side in ("ours", "theirs"):
                    load = Load(server, headers, requests, side)
                    about = {"mix": mix, "clients": clients, "side": side}
                    measured.append({**about, **load.figures_with(clients)})
    return measured


class Load:
    """Clients that send requests one after the other, each on its own connection."""

    def __init__(self, server: Server, headers: Mapping[str, str], wanted: List[Compared], side: str) -> None:
        self._server, self._headers = server, headers
        self._requests = [getattr(one, side) for one in wanted]
        self._seconds: List[List[float]] = []
        self._failures: List[str] = []

    def figures_with(self, clients: int) -> Dict[str, Any]:
        """Return the figures with that number of clients."""
        start = time.perf_counter()
        end = start + SECONDS
        threads = [threading.Thread(target=self._send_until, args=(end, place)) for place in range(clients)]
        page: List[float] = []
        threads.append(threading.Thread(target=self._load_page_until, args=(end, page)))
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        took = time.perf_counter() - start
        everything = [seconds for of_client in self._seconds for seconds in of_client]
        return {
            "per_second": round(len(everything) / took, 1),
            "failures": len(self._failures),
            "failure": next(iter(self._failures), None),
            # Of the client that has had the fewest.
            "fewest": min(map(len, self._seconds)),
            "slowest": round(1000 * max(everything, default=0), 1),
            **figures.summary(everything or [0.0]),
            "page": round(1000 * statistics.median(page), 1),
        }

    def _load_page_until(self, end: float, taken: List[float]) -> None:
        """Load a page of Airflow's own, five times a second, beside the clients."""
        connection = Connection(self._server, {"Accept": "text/html"}, counts_cpu=False)
        while not taken or time.perf_counter() < end:
            timed = connection.send("GET", PAGE)
            assert timed.status == HTTPStatus.OK, timed
            taken.append(timed.seconds)
            time.sleep(0.2)

    def _send_until(self, end: float, place: int) -> None:
        connection = Connection(self._server, self._headers, counts_cpu=False)
        taken: List[float] = []
        self._seconds.append(taken)
        while time.perf_counter() < end:
            request = self._requests[(place + len(taken)) % len(self._requests)]
            try:
                timed = connection.send(*request)
                timed.result()
            except (OSError, HTTPException, AssertionError) as exc:
                self._failures.append(repr(exc)[:300])
                connection = Connection(self._server, self._headers, counts_cpu=False)
                continue
            taken.append(timed.seconds)


def tables(measured: List[Mapping[str, Any]]) -> List[Tuple[str, str]]:
    """Return the titles and the tables of the figures."""
    by_side = {(row["mix"], row["clients"], row["side"]): row for row in measured}
    rows = []
    for mix, clients in dict.fromkeys((row["mix"], row["clients"]) for row in measured):
        ours, theirs = by_side[mix, clients, "ours"], by_side[mix, clients, "theirs"]
        rows.append(
            [
                mix,
                str(clients),
                *(
                    text
                    for row in (ours, theirs)
                    for text in (
                        f"{row['per_second']:.0f}",
                        figures.number(row["median"]),
                        figures.number(row["p99"]),
                        str(row["failures"]),
                        figures.number(row["page"]),
                    )
                ),
                figures.ratio(ours["per_second"], theirs["per_second"]),
            ]
        )
    of_each = ("/s", "median ms", "p99 ms", "failures", "page ms")
    header = ["Mix", "Clients", *of_each, *(f"REST API {name}" for name in of_each), "Ratio"]
    return [(f"Throughput with {WORKERS} web workers", figures.table(header, rows))]
