"""Lists and reads while DAGs and task instances grow in number, for an administrator and a limited role."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path
from typing import Any, Dict, List, Mapping, Tuple

from benchmarks import figures
from benchmarks.reads import RUN, Compared, compared
from benchmarks.rows import DAG_ID
from benchmarks.servers import Connection, Timed, fill, logins, served
from tests.support.versions import HAS_FAB

#: DAGs and runs of one DAG, each of which has 10 task instances.
SIZES = ((100, 100), (1000, 1000), (10000, 10000))
#: The number of DAGs that the limited role can read.
PERMITTED = 50
_NAMES = ("list_dags", "list_dag_runs", "list_task_instances", "dag_state")


def measure(folder: Path, kind: str, rounds: int, command_rounds: int) -> List[Dict[str, Any]]:
    """Return the figures of each operation by the user and the size."""
    rows = {"permitted": PERMITTED} if HAS_FAB else {}
    wanted = [one for one in compared("") if one.operation in _NAMES] + [_cleared_tasks()]
    measured = []
    with served(folder, kind, dags=SIZES[0][0], runs=SIZES[0][1], **rows) as server:
        users = ("admin", "restricted") if HAS_FAB else ("admin",)
        # Once: Airflow limits how often a user logs in.
        headers = {user: [*logins(server, user).values()][-1] for user in users}
        for dags, runs in SIZES:
            fill(server.deployment, dags=dags, runs=runs)
            clients = {user: Connection(server, sent) for user, sent in headers.items()}
            taken: Dict[Tuple[str, str, str], List[Timed]] = defaultdict(list)
            for number in range(-2, rounds):
                for one in wanted:
                    for user, client in clients.items():
                        for side in ("ours", "theirs") if number % 2 else ("theirs", "ours"):
                            timed = client.send(*getattr(one, side))
                            timed.result()
                            taken[one.operation, user, side].append(timed)
            for (operation, user, side), timed_ones in taken.items():
                seconds, cpu = zip(*((timed.seconds, timed.cpu) for timed in timed_ones[2:]))
                about = {"operation": operation, "user": user, "side": side, "dags": dags, "runs": runs}
                measured.append({**about, **figures.summary(seconds, cpu)})
    return measured


def _cleared_tasks() -> Compared:
    body = {"dag_run_id": RUN["run_id"], "dry_run": True, "only_failed": False}
    return Compared(
        "clear_tasks", {**RUN, "dry_run": True}, f"dags/{DAG_ID}/clearTaskInstances", method="POST", body=body
    )


def tables(measured: List[Mapping[str, Any]]) -> List[Tuple[str, str]]:
    """Return the titles and the tables of the figures."""
    # The clock shows what else the host does.
    medians = {(row["operation"], row["user"], row["side"], row["dags"]): row["cpu"] for row in measured}
    rows = []
    for operation, user in dict.fromkeys((row["operation"], row["user"]) for row in measured):
        ours, theirs = ([medians[operation, user, side, dags] for dags, _ in SIZES] for side in ("ours", "theirs"))
        rows.append(
            [
                f"``{operation}``",
                user,
                *map(figures.number, ours),
                figures.ratio(ours[-1], ours[0]),
                *map(figures.number, theirs),
                figures.ratio(ours[-1], theirs[-1]),
            ]
        )
    numbers = [f"{dags:,}" for dags, _ in SIZES]
    header = ["Operation", "User", *numbers, "Growth", *(f"REST API, {number}" for number in numbers), "Ratio"]
    return [("Growth, milliseconds of CPU time of the web server by the number of DAGs", figures.table(header, rows))]
