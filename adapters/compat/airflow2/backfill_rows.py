"""The rows of the table ``log`` that say what the backfills of Airflow 2 are."""

from __future__ import annotations

import json
from datetime import datetime
from typing import TYPE_CHECKING, Any, Dict, List, Mapping, Optional, Sequence, Tuple

from sqlalchemy import select

from native_api.adapters.compat.interface.backfills import BackfillRecord
from native_api.errors import Invalid

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

#: The event of these rows.
EVENT = "native_api_backfill"
#: The text in the row of a backfill that has not completed, and of one whose run_ids all have its own prefix.
_UNENDED, _NO_RUN_IDS = '"is_over": false', '"run_ids": []'

#: The maximum length of a row on MySQL, whose column holds 65,535 bytes.
_MYSQL_TEXT = 65_000


def prefix(backfill_id: int) -> str:
    """Return what the ids of runs begin with that the backfill has made for the scheduler."""
    return f"native_api_backfill__{backfill_id}__"


def listed(session: Session, dag_id: Optional[str]) -> List[Tuple[int, str]]:
    """Return the ids of the backfills, each with the id of its DAG."""
    from airflow.models.log import Log

    return [(row.id, row.dag_id) for row in session.execute(select(Log.id, Log.dag_id).where(*_are_backfills(dag_id)))]


def by_id(session: Session, backfill_ids: Sequence[int]) -> List[BackfillRecord]:
    """Return the backfills of these ids, the oldest first."""
    from airflow.models.log import Log

    return _find(session, Log.id.in_(backfill_ids), *_are_backfills(None))


def unfinished(session: Session, dag_id: Optional[str]) -> List[BackfillRecord]:
    """Return the backfills that are not over, the oldest first."""
    from airflow.models.log import Log

    return _find(session, Log.extra.contains(_UNENDED, autoescape=True), *_are_backfills(dag_id))


def _are_backfills(dag_id: Optional[str]) -> List[Any]:
    """Return the conditions that rows of the table are backfills, and of the DAG where there is one."""
    from airflow.models.log import Log

    return [Log.event == EVENT] + ([] if dag_id is None else [Log.dag_id == dag_id])


def _find(session: Session, *conditions: Any) -> List[BackfillRecord]:
    from airflow.models.log import Log

    rows = session.scalars(select(Log).where(*conditions).order_by(Log.id)).all()
    owners = _owners(session, rows)
    return [record_of(row, owners) for row in rows]


def _owners(session: Session, rows: Sequence[Any]) -> Dict[Tuple[str, str], int]:
    """Return the last backfill that names a run, by DAG and run, of those that are younger than the first of these."""
    from airflow.models.log import Log

    if not rows:
        return {}
    of_dags = Log.dag_id.in_({row.dag_id for row in rows})
    names_some = ~Log.extra.contains(_NO_RUN_IDS, autoescape=True)
    later = select(Log.id, Log.dag_id, Log.extra).where(*_are_backfills(None), of_dags, names_some, Log.id > rows[0].id)
    return {
        (row.dag_id, run_id): row.id
        for row in session.execute(later.order_by(Log.id))
        for run_id in json.loads(row.extra)["run_ids"]
    }


def record_of(row: Any, owners: Mapping[Tuple[str, str], int]) -> BackfillRecord:
    """Return the backfill of a row; *owners* are the last to name each run."""
    record = json.loads(row.extra)
    taken = {run_id for (dag_id, run_id), owner in owners.items() if dag_id == row.dag_id and owner > row.id}
    run_ids = tuple(run_id for run_id in record["run_ids"] if run_id not in taken)
    given_up = tuple(run_id for run_id in taken if run_id.startswith(prefix(row.id)))
    return BackfillRecord(
        backfill_id=row.id,
        dag_id=row.dag_id,
        from_date=_moment(record["from_date"]),
        to_date=_moment(record["to_date"]),
        reprocess_behavior=record["reprocess_behavior"],
        max_active_runs=record["max_active_runs"],
        created_at=row.dttm,
        created_by=row.owner,
        is_over=record["is_over"],
        is_open=record["local"] and record["ended"] is None,
        ended=record["ended"],
        local=record["local"],
        job_id=record["job_id"],
        hostname=record["hostname"],
        run_ids=run_ids,
        given_up=given_up,
        taken_over=len(record["run_ids"]) - len(run_ids) + len(given_up),
        dates=record["dates"],
        date_ranges=tuple((_moment(first), _moment(last)) for first, last in record["date_ranges"]),
    )


def record_end(session: Any, backfill_id: int, state: str, **values: object) -> None:
    """Add to what is known of a backfill; the state that it has first ended in stays."""
    from airflow.models.log import Log

    # A web worker and the job can do so at the same time.
    row = session.get(Log, backfill_id, populate_existing=True, with_for_update=True)
    record = json.loads(row.extra)
    row.extra = json.dumps({**record, **values, "ended": record["ended"] or state})
    session.flush()


def require_room(text: str, dialect: str) -> None:
    """
    Raise where the column of the database would not hold a backfill's row, and what its end adds to that.

    :raises Invalid: it has too many runs.
    """
    if dialect == "mysql" and len(text) > _MYSQL_TEXT:
        raise Invalid({"to_date": ["MySQL's table 'log' cannot store the ids of that many runs: reduce the range."]})


def _moment(text: str) -> datetime:
    return datetime.fromisoformat(text)
