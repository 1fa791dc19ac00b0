"""Fill the database with runs and task instances of every DAG, in every state and of every type."""

from __future__ import annotations

import datetime
import functools
import itertools
import json
import uuid
from typing import Any, Dict, FrozenSet, List, Optional

import native_api
from tests.support import airflow_under_test
from tests.support.database_copy import DatabaseCopy

Row = Dict[str, Any]

#: DAGs that have a run of each type, besides the one that every DAG has.
MANY_RUNS = ("wire_dag", "mapped", "unicodé_dåg", "tutorial")

FIRST_DAY = datetime.datetime(2026, 10, 1, tzinfo=datetime.timezone.utc)

#: What a DAG wants before it can run at all.
ASKED = {
    "example_params_ui_tutorial": {"conf": {"required_field": "long enough"}},
    "late_start": {"logical_date": "2030-02-01"},
}

CONFS: List[Any] = [{}, {"name": "bob", "age": "42"}, {"größe": {"deep": [1, None, 2.5]}}]

VARIABLES = {
    "plain": "text",
    "unicodé": "grüße, 世界",
    "lines": "one\ntwo\n",
    "object": '{"b": [1, 2.5, null], "a": "ä"}',
    "number": "42",
    "null": "null",
    "quoted": '"text"',
    "not_a_number": "NaN",
    "api_password": "hunter2",
    "none": "None",
}

CONNECTIONS: List[Dict[str, Any]] = [
    {"conn_id": "by_uri", "conn_uri": "postgres://ada:p%40ss@db.example.com:5432/main?sslmode=require"},
    {"conn_id": "by_fields", "conn_type": "http", "host": "example.com", "port": 80, "description": "Grüße"},
    {"conn_id": "with_extra", "conn_type": "aws", "login": "AKIA", "extra": {"region": "eu", "nested": {"n": 1}}},
    {"conn_id": "with_secrets", "conn_type": "aws", "password": "hunter2", "extra": {"secret_key": "s", "a": "b"}},
    {"conn_id": "bare", "conn_type": "fs"},
]

POOLS = (
    ("small", 3, "a pool", False),
    ("unlimited", -1, "", True),
    ("umläut", 0, "Grüße", True),
)


def fill() -> None:
    """Fill a clean database."""
    _runs()
    for key, value in VARIABLES.items():
        native_api.call("set_variable", key=key, value=value, description="said" if key == "plain" else None)
    for connection in CONNECTIONS:
        native_api.call("add_connection", **connection)
    _pools()


def dags() -> List[Dict[str, Any]]:
    """Return every DAG."""
    found: List[Dict[str, Any]] = native_api.call("list_dags", limit=1000)["dags"]
    return found


def is_ours(dag_id: str) -> bool:
    """Return whether a DAG is one of tests/support/dags, each of which has another shape."""
    return dag_id in _ours()


@functools.lru_cache(maxsize=None)
def _ours() -> FrozenSet[str]:
    return frozenset(dag["dag_id"] for dag in dags() if dag["fileloc"].startswith(str(airflow_under_test.DAGS)))


def one_of_each_kind(instances: List[Dict[str, Any]]) -> List[Dict[str, Any]]:
    """
    Return one of the task instances that are alike. Of the tests' DAGs those of one task in one state are alike, mapped
    or not; of Airflow's examples those of one DAG.
    """
    kinds: Dict[Any, Dict[str, Any]] = {}
    for ti in instances:
        what = (ti["task_id"], ti["state"], ti["map_index"] >= 0) if is_ours(ti["dag_id"]) else ()
        kinds.setdefault((ti["dag_id"], *what), ti)
    return list(kinds.values())


def of_a_subdag(dag_id: str) -> bool:
    """Return whether a DAG is a SubDAG, which only Airflow 2 has."""
    return dag_id.startswith("example_subdag_operator.")


def runs() -> List[Dict[str, Any]]:
    """Return every run."""
    return _all("list_dag_runs", "dag_runs")


def task_instances() -> List[Dict[str, Any]]:
    """Return every task instance."""
    return _all("list_task_instances", "task_instances")


def _all(operation: str, name: str) -> List[Dict[str, Any]]:
    """Return the entries of all pages."""
    entries: List[Dict[str, Any]] = []
    while True:
        response = native_api.call(operation, limit=500, offset=len(entries))
        entries += response[name]
        if len(entries) >= response["total_entries"]:
            return entries


def _runs() -> None:
    from airflow.models.dag import DagModel
    from sqlalchemy import update

    for number, dag in enumerate(dags()):
        dag_id = dag["dag_id"]
        asked: Dict[str, Any] = {
            "run_id": "by_hand",
            "logical_date": FIRST_DAY,
            "conf": CONFS[number % len(CONFS)],
            **ASKED.get(dag_id, {}),
        }
        if not _has_run(dag_id):
            native_api.call("trigger_dag", dag_id=dag_id, **asked)
    unpaused = [dag["dag_id"] for dag in dags()[::2]]
    with airflow_under_test.session() as session:
        _more_runs(session)
        session.execute(
            update(DagModel)
            .where(DagModel.dag_id.in_(unpaused))
            .values(is_paused=False)
            .execution_options(synchronize_session=False)
        )
        _states(session)


def _has_run(dag_id: str) -> bool:
    # A SubDAG of Airflow 2 gets its run with its parent.
    return bool(native_api.call("list_dag_runs", dag_id=dag_id)["total_entries"])


def _more_runs(session: Any) -> None:
    """
    Copy the run of some DAGs: one of each type, one with an odd id, one with a secret, on Airflow 3 one without a date.
    """
    from airflow.utils.types import DagRunType

    date = "logical_date" if airflow_under_test.version() >= (3, 0) else "execution_date"
    for dag_id in MANY_RUNS:
        day = itertools.count(1)

        def later(dag_id: str = dag_id, day: Any = day) -> datetime.datetime:
            return FIRST_DAY + datetime.timedelta(days=next(day), microseconds=5)

        for kind in DagRunType:
            moment = later()
            _copy_run(session, dag_id, f"{kind.value}__{moment.isoformat()}", {date: moment, "run_type": kind.value})
        _copy_run(session, dag_id, "schlüssel_1/2_%", {date: FIRST_DAY.replace(year=2016, month=2, day=29)})
        _copy_run(session, dag_id, "with_a_secret", {date: later()}, conf={"password": "hunter2"})
        # Older than Airflow's check of ids, which accepts none with a space.
        _copy_run(session, dag_id, "with a space", {date: later()})
        if airflow_under_test.version() >= (3, 0):
            _copy_run(session, dag_id, "without_a_date", {date: None, "data_interval_start": None})


def _copy_run(session: Any, dag_id: str, run_id: str, changes: Dict[str, Any], conf: Optional[Any] = None) -> None:
    from airflow.models.dagrun import DagRun
    from airflow.models.taskinstance import TaskInstance
    from sqlalchemy import insert, select

    for table in (DagRun.__table__, TaskInstance.__table__):
        copied = select(table).where(table.c.dag_id == dag_id, table.c.run_id == "by_hand")
        for row in session.execute(copied).all():
            values = {**row._mapping, "run_id": run_id}
            if table is DagRun.__table__:
                values = {**values, **changes, **({"conf": conf} if conf else {})}
                values["data_interval_start"] = values["data_interval_end"] = next(iter(changes.values()))
                if "run_after" in values and next(iter(changes.values())):
                    values["run_after"] = next(iter(changes.values()))
                del values["id"]
            elif "id" in values:
                old = values["id"]
                values["id"] = uuid.uuid4() if isinstance(old, uuid.UUID) else str(uuid.uuid4())
            session.execute(insert(table).values(values))


def _states(session: Any) -> None:
    """Set the states of runs and task instances in turn, with the dates that belong to them."""
    from airflow.models.dagrun import DagRun
    from airflow.models.taskinstance import TaskInstance
    from airflow.utils.state import DagRunState, TaskInstanceState
    from sqlalchemy import select, update

    run, ti = DagRun.__table__, TaskInstance.__table__
    kinds = itertools.cycle([state.value for state in DagRunState])
    for (row_id,) in session.execute(select(run.c.id).order_by(run.c.dag_id, run.c.run_id)).all():
        state = next(kinds)
        session.execute(update(run).where(run.c.id == row_id).values(state=state, **_dates(state)))
    kinds = itertools.cycle([None, *(state.value for state in TaskInstanceState)])
    # 3.4 has given the column another name.
    index = ti.c.map_index if "map_index" in ti.c else ti.c.region_index
    key = (ti.c.dag_id, ti.c.run_id, ti.c.task_id, index)
    for row in session.execute(select(*key).order_by(*key)).all():
        state = next(kinds)
        values: Dict[str, Any] = {"state": state, **_dates(state)}
        if "end_date" in values:
            values["duration"] = 60.5
        if state in ("success", "failed", "up_for_retry", "running"):
            values.update(try_number=1, hostname="worker", operator="BashOperator")
        if state == "running" and "job_id" in ti.c:
            # Airflow 2 asks a task to stop by its job.
            values["job_id"] = 7
        same = [column == value for column, value in zip(key, row)]
        session.execute(update(ti).where(*same).values(**values))


def _dates(state: Optional[str]) -> Dict[str, Any]:
    started = FIRST_DAY + datetime.timedelta(days=40, microseconds=7)
    if state in ("running", "restarting", "deferred"):
        return {"start_date": started, "end_date": None}
    if state in ("success", "failed", "up_for_retry", "up_for_reschedule", "upstream_failed", "skipped"):
        return {"start_date": started, "end_date": started + datetime.timedelta(seconds=60.5)}
    return {"start_date": None, "end_date": None}


def _pools() -> None:
    from airflow.models.pool import Pool

    for name, slots, description, include_deferred in POOLS:
        Pool.create_or_update_pool(name=name, slots=slots, description=description, include_deferred=include_deferred)


class Snapshot(DatabaseCopy):
    """A snapshot of the database, which can be restored and compared with another one."""

    #: Tables that say who did something, or that a process lives, and not what the state is.
    ASIDE = frozenset({"log", "job", "alembic_version", "session", "sqlite_sequence"})

    def rows(self) -> Dict[str, List[Row]]:
        """Return the rows of every table, without arbitrary ids, and with ``now`` for times of this hour."""
        names = self._copy.execute("select name from sqlite_master where type = 'table'").fetchall()
        return {name: self._rows(name) for (name,) in sorted(names) if name not in self.ASIDE}

    def _rows(self, table: str) -> List[Row]:
        cursor = self._copy.execute(f'select * from "{table}"')
        columns = [column[0] for column in cursor.description]
        today = datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%d")
        rows = [{name: _plain(name, value, today) for name, value in zip(columns, row)} for row in cursor.fetchall()]
        return sorted(rows, key=lambda row: json.dumps(row, default=str, sort_keys=True))


def unlike(theirs: Dict[str, List[Row]], ours: Dict[str, List[Row]]) -> Dict[str, List[Any]]:
    """Return the differences of two sets of tables by table and column, each with where, theirs and ours."""
    found: Dict[str, List[Any]] = {}
    for table in theirs:
        left, right = _by_key(theirs[table]), _by_key(ours[table])
        for key in sorted(set(left) | set(right)):
            if key not in left or key not in right:
                whose = "theirs" if key in left else "ours"
                found.setdefault(f"{table}: rows of {whose} only", []).append((key, None, None))
                continue
            for column in left[key]:
                if left[key][column] != right[key][column]:
                    pair = (key, left[key][column], right[key][column])
                    found.setdefault(f"{table}.{column}", []).append(pair)
    return found


#: The columns that identify rows of Airflow's tables.
KEYS = ("dag_id", "run_id", "task_id", "map_index", "region_index", "key")


def _by_key(rows: List[Row]) -> Dict[str, Row]:
    keyed = {" ".join(str(row[name]) for name in KEYS if name in row): row for row in rows}
    if len(keyed) == len(rows):
        return keyed
    # Rows without such a key are the same, or they are not.
    whole = [json.dumps(row, default=str, sort_keys=True) for row in rows]
    return {f"{text} {whole[:number].count(text)}": {} for number, text in enumerate(whole)}


def _plain(column: str, value: Any, today: str) -> Any:
    if column in ("id", "task_instance_id", "ti_id", "pid", "context_carrier"):
        return None
    if column == "duration" and value and value > 1000:
        return "until now"
    return "now" if isinstance(value, str) and value.startswith(today) and len(value) > 10 else value
