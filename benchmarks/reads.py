"""Reads and small writes, beside Airflow's REST API, Airflow's command line, and the bare query."""

from __future__ import annotations

import subprocess
import time
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Dict, List, Mapping, Optional, Tuple
from urllib.parse import urlencode

from benchmarks import figures
from benchmarks.floor import Query, floor
from benchmarks.rows import DAG_ID, RUN_ID, TASK_ID
from benchmarks.servers import REST, Connection, Timed, logins, served, token
from tests.servers.client import TYPED
from tests.servers.deployment import Deployment, Server
from tests.support.versions import AIRFLOW

#: Method, path, body.
Request = Tuple[str, str, Optional[Mapping[str, Any]]]

RUN = {"dag_id": DAG_ID, "run_id": RUN_ID}
INSTANCE = {**RUN, "task_id": TASK_ID}
_RUN_PATH = f"dags/{DAG_ID}/dagRuns/{RUN_ID}"
_INSTANCE_PATH = f"{_RUN_PATH}/taskInstances/{TASK_ID}"
_PAGE = {"limit": 100}


@dataclass(frozen=True)
class Compared:
    """An operation, the path of the same in Airflow's REST API, the command, and the query."""

    operation: str
    arguments: Mapping[str, Any]
    path: str
    command: Optional[List[str]] = None
    query: Optional[Query] = None
    #: Of a write.
    method: str = "GET"
    body: Optional[Mapping[str, Any]] = None

    @property
    def ours(self) -> Request:
        """The request to this API."""
        if self.method != "GET":
            return "POST", f"{TYPED}{self.operation}", self.arguments
        return "GET", f"{TYPED}{self.operation}?{urlencode(self.arguments)}", None

    @property
    def theirs(self) -> Request:
        """The request to Airflow's REST API."""
        return self.method, f"{REST}{self.path}", self.body


def compared(source_path: str) -> List[Compared]:
    """
    Return what is compared.

    :param source_path: the path of the DAG's source in Airflow's REST API.
    """
    models = "airflow.models."
    dag, run, instance = (
        (models + "dag", "DagModel"),
        (models + "dagrun", "DagRun"),
        (models + "taskinstance", "TaskInstance"),
    )
    variable, connection, pool = ((f"{models}{noun}", noun.title()) for noun in ("variable", "connection", "pool"))
    health = "health" if AIRFLOW < (3, 0) else "monitor/health"
    return [
        Compared("version", {}, "version", ["version"]),
        Compared("health", {}, health),
        Compared("list_dags", _PAGE, "dags?limit=100", ["dags", "list"], (*dag, {}, 100)),
        Compared("dag_details", {"dag_id": DAG_ID}, f"dags/{DAG_ID}/details", ["dags", "details", DAG_ID]),
        Compared("dag_source", {"dag_id": DAG_ID}, source_path),
        Compared("list_tasks", {"dag_id": DAG_ID}, f"dags/{DAG_ID}/tasks", ["tasks", "list", DAG_ID]),
        Compared("list_dag_runs", _PAGE, "dags/~/dagRuns?limit=100", None, (*run, {}, 100)),
        Compared("dag_state", RUN, _RUN_PATH, None, (*run, RUN, None)),
        Compared("list_task_instances", _PAGE, "dags/~/dagRuns/~/taskInstances?limit=100", None, (*instance, {}, 100)),
        Compared(
            "task_state",
            INSTANCE,
            _INSTANCE_PATH,
            ["tasks", "state", DAG_ID, TASK_ID, RUN_ID],
            (*instance, INSTANCE, None),
        ),
        Compared(
            "task_failed_deps",
            INSTANCE,
            f"{_INSTANCE_PATH}/dependencies",
            ["tasks", "failed-deps", DAG_ID, TASK_ID, RUN_ID],
        ),
        Compared("list_xcoms", INSTANCE, f"{_INSTANCE_PATH}/xcomEntries"),
        Compared("list_variables", _PAGE, "variables?limit=100", ["variables", "list"], (*variable, {}, 100)),
        Compared(
            "get_variable",
            {"key": "key_1"},
            "variables/key_1",
            ["variables", "get", "key_1"],
            (*variable, {"key": "key_1"}, None),
        ),
        Compared("list_connections", _PAGE, "connections?limit=100", ["connections", "list"], (*connection, {}, 100)),
        Compared(
            "get_connection",
            {"conn_id": "connection_1"},
            "connections/connection_1",
            ["connections", "get", "connection_1"],
            (*connection, {"conn_id": "connection_1"}, None),
        ),
        Compared("list_pools", _PAGE, "pools?limit=100", ["pools", "list"], (*pool, {}, 100)),
        Compared(
            "get_pool",
            {"name": "pool_1"},
            "pools/pool_1",
            ["pools", "get", "pool_1"],
            (*pool, {"pool": "pool_1"}, None),
        ),
        Compared("list_import_errors", _PAGE, "importErrors?limit=100"),
        Compared(
            "set_variable",
            {"key": "key_2", "value": "another"},
            "variables/key_2",
            ["variables", "set", "key_2", "another"],
            method="PATCH",
            body={"key": "key_2", "value": "another"},
        ),
        Compared(
            "pause_dag",
            {"dag_id": DAG_ID},
            f"dags/{DAG_ID}",
            ["dags", "pause", DAG_ID],
            method="PATCH",
            body={"is_paused": True},
        ),
        Compared(
            "clear_tasks",
            {**RUN, "dry_run": True},
            f"dags/{DAG_ID}/clearTaskInstances",
            method="POST",
            body={"dag_run_id": RUN_ID, "dry_run": True, "only_failed": False},
        ),
    ]


def measure(folder: Path, kind: str, rounds: int, command_rounds: int) -> Dict[str, Any]:
    """Return the figures of each operation by the way of authentication."""
    with served(folder, kind, dags=100, runs=100) as server, floor(server.deployment) as seconds_of:
        wanted = compared(_source_path(server))
        clients = {name: Connection(server, headers) for name, headers in logins(server).items()}
        with_token = Connection(server, token())
        taken: Dict[Tuple[str, str, str], List[Timed]] = defaultdict(list)
        floors: Dict[str, List[float]] = defaultdict(list)
        commands: Dict[str, List[float]] = defaultdict(list)
        for number in range(-3, rounds):
            for one in wanted:
                for login, client in clients.items():
                    for side in ("ours", "theirs") if number % 2 else ("theirs", "ours"):
                        if side == "ours" and login == "session" and one.method != "GET":
                            # A page would send Airflow's CSRF token with it.
                            continue
                        taken[one.operation, login, side].append(_sent(client, getattr(one, side)))
                taken[one.operation, "token", "ours"].append(_sent(with_token, one.ours))
                if one.query:
                    floors[one.operation].append(seconds_of(one.query))
                if one.command and 0 <= number < command_rounds:
                    commands[one.operation].append(_seconds_of_command(server.deployment, one.command))
    return {
        "times": [
            {"operation": key[0], "login": key[1], "side": key[2], **_figures(timed[3:])}
            for key, timed in taken.items()
        ],
        "floor": {name: figures.summary(seconds[3:]) for name, seconds in floors.items()},
        "command": {name: figures.summary(seconds) for name, seconds in commands.items()},
    }


def tables(measured: Mapping[str, Any]) -> List[Tuple[str, str]]:
    """Return the titles and the tables of the figures."""
    times = {(time["operation"], time["login"], time["side"]): time for time in measured["times"]}
    names = dict.fromkeys(row["operation"] for row in measured["times"])
    shown = []
    for login in dict.fromkeys(row["login"] for row in measured["times"] if row["side"] == "theirs"):
        rows = []
        for name in names:
            if (name, login, "ours") not in times:
                continue
            ours, theirs, with_token = (
                times[name, login, "ours"],
                times[name, login, "theirs"],
                times[name, "token", "ours"],
            )
            rows.append(
                [
                    f"``{name}``",
                    figures.number(ours["median"]),
                    figures.number(theirs["median"]),
                    *(figures.ratio(ours[what], theirs[what]) for what in ("median", "p99", "cpu")),
                    figures.number(with_token["median"]),
                    *(
                        figures.number(measured[other][name]["median"]) if name in measured[other] else ""
                        for other in ("floor", "command")
                    ),
                ]
            )
        header = ["Operation", "Ours", "REST API", "Ratio", "of p99", "of CPU", "Token", "Query", "Command"]
        shown.append((f"Reads and writes, milliseconds, {login}", figures.table(header, rows)))
    return shown


def _sent(client: Connection, request: Request) -> Timed:
    timed = client.send(*request)
    timed.result()
    return timed


def _figures(timed: List[Timed]) -> Dict[str, float]:
    return figures.summary([one.seconds for one in timed], [one.cpu for one in timed])


def _source_path(server: Server) -> str:
    if AIRFLOW >= (3, 0):
        return f"dagSources/{DAG_ID}"
    token_of_file = server.user("admin").get(f"{REST}dags/{DAG_ID}").result()["file_token"]
    return f"dagSources/{token_of_file}"


def _seconds_of_command(deployment: Deployment, command: List[str]) -> float:
    start = time.perf_counter()
    subprocess.run(
        ["airflow", *command], env=deployment.environment(), check=True, capture_output=True, cwd=deployment.home.parent
    )
    return time.perf_counter() - start
