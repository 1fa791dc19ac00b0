"""
Run as a process: fill an Airflow's database with many rows, each a copy of one that Airflow has created.

    python -m benchmarks.rows '{"dags": 1000, "runs": 100, "permitted": 50}'

``runs`` are runs of the DAG ``benched``, each with 10 task instances. The other DAGs have a run each, without task
instances. The user ``restricted`` can read ``permitted`` of the DAGs and their runs.
"""

from __future__ import annotations

import datetime
import json
import sys
import uuid
from typing import Any, Callable, Dict, Iterator, List

from sqlalchemy import select

import native_api
from tests.servers.fill import application_builder

DAG_ID, RUN_ID, TASK_ID = "benched", "manual_0", "task_0"
#: Variables, connections, pools, and XComs of one task instance.
SMALL_ROWS = 200
_ROWS_AT_ONCE = 5000
_FIRST_DATE = datetime.datetime(2021, 1, 1, tzinfo=datetime.timezone.utc)


def main() -> None:
    """Fill the database."""
    wanted = json.loads(sys.argv[1])
    if not native_api.call("list_dag_runs", dag_id=DAG_ID)["total_entries"]:
        native_api.call("trigger_dag", dag_id=DAG_ID, run_id=RUN_ID, logical_date=_FIRST_DATE)
        _add_small_rows()
    _add_runs(wanted["runs"])
    _add_dags(wanted["dags"])
    if "permitted" in wanted:
        _permit(wanted["permitted"])


def dag_id_of(number: int) -> str:
    """Return the dag_id of a copied DAG."""
    return f"copy_{number:05}"


def _add_small_rows() -> None:
    for number in range(SMALL_ROWS):
        native_api.call("set_variable", key=f"key_{number}", value=f"value {number}")
        native_api.call("set_pool", name=f"pool_{number}", slots=number)
        uri = f"postgres://user:secret@host-{number}/schema"
        native_api.call("add_connection", conn_id=f"connection_{number}", conn_uri=uri)


def _add_runs(count: int) -> None:
    from airflow.models.dagrun import DagRun
    from airflow.models.taskinstance import TaskInstance

    first = {"dag_id": DAG_ID, "run_id": RUN_ID}
    present = native_api.call("list_dag_runs", dag_id=DAG_ID, limit=1)["total_entries"]
    numbers = range(present, count)
    _copy(DagRun, first, lambda row: ({**row, **_run(number)} for number in numbers))
    _copy(TaskInstance, first, lambda row: ({**row, "run_id": _run(number)["run_id"]} for number in numbers))


def _add_dags(count: int) -> None:
    from airflow.models.dag import DagModel, DagTag
    from airflow.models.dagrun import DagRun

    present = native_api.call("list_dags", dag_id_pattern="copy_", limit=1)["total_entries"]
    for model in (DagModel, DagTag):
        _copy(model, {"dag_id": DAG_ID}, lambda row: ({**row, "dag_id": dag_id_of(i)} for i in range(present, count)))
    first = {"dag_id": DAG_ID, "run_id": RUN_ID}
    _copy(DagRun, first, lambda row: ({**row, "dag_id": dag_id_of(i)} for i in range(present, count)))


def _run(number: int) -> Dict[str, Any]:
    from native_api.adapters.compat import airflow

    date = _FIRST_DATE + datetime.timedelta(hours=number)
    return {"run_id": f"manual_{number}", airflow().date_column: date}


def _copy(model: Any, where: Dict[str, Any], copies: Callable[[Dict[str, Any]], Iterator[Dict[str, Any]]]) -> None:
    """Insert copies of each row of a table for which the columns have those values."""
    from airflow.utils.session import create_session

    table = model.__table__
    with create_session() as session:
        for found in session.execute(select(table).filter_by(**where)).mappings().all():
            row = dict(found)
            identifier = row.pop("id", None)
            pending: List[Dict[str, Any]] = []
            for copied in copies(row):
                if isinstance(identifier, (uuid.UUID, str)):
                    copied["id"] = type(identifier)(str(uuid.uuid4()))
                pending.append(copied)
                if len(pending) == _ROWS_AT_ONCE:
                    session.execute(table.insert(), pending)
                    pending = []
            if pending:
                session.execute(table.insert(), pending)


def _permit(count: int) -> None:
    """Let the role Restricted of tests/servers/fill.py read and edit some of the DAGs."""
    with application_builder() as builder:
        manager = builder.sm
        role = manager.find_role("Restricted")
        resources = [f"DAG:{dag_id}" for dag_id in (DAG_ID, *map(dag_id_of, range(count - 1)))]
        for resource in (*resources, "Task Instances", "DAG Runs"):
            for action in ("can_read", "can_edit"):
                manager.add_permission_to_role(role, manager.create_permission(action, resource))


if __name__ == "__main__":
    main()
