"""XComs: list, get. No value is unpickled, and no XCom backend is called."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Dict, Mapping, Optional

from marshmallow import Schema, fields, validate
from sqlalchemy import case, func, select

from native_api.adapters.compat import airflow
from native_api.adapters.compat.masking import MASK
from native_api.adapters.dag_runs.operations import between, of_runs
from native_api.adapters.fields import strict_json, texts
from native_api.adapters.fields.common import LARGEST, DateTime, Flag, RunDates, RunFilters, Subdir, Whole
from native_api.adapters.fields.paging import contains, page_fields, page_of
from native_api.adapters.fields.texts import Text, pattern
from native_api.adapters.lookup import missing_instance, named_instance, of_key, stored_run_id
from native_api.adapters.task_instances.operations import OneTaskInstance
from native_api.effects import Effect
from native_api.errors import TaskInstanceNotFound, XComNotFound
from native_api.errors.groups import OF_A_DAG, OF_A_TASK
from native_api.permissions import Access, Resource
from native_api.registry import Context, operation

if TYPE_CHECKING:
    from datetime import datetime

    from sqlalchemy.orm import Session

#: Maximum length of a key in the table.
KEY_LENGTH = 512

#: Maximum size of a returned value, of one XCom and in a list.
VALUE_SIZE, LISTED_SIZE = 1048576, 4096

VALUE = {"description": "The stored JSON, with sensitive values masked; null if truncated is true or is_json is false."}
IS_JSON = {"description": "Whether the stored value is JSON, not a pickle of Airflow 2; null if truncated is true."}
TRUNCATED = {"description": "Whether the value exceeds the maximum size and is omitted."}

#: Values of order_by.
ORDER = ("task_id", "key", "timestamp", "dag_id", "run_id")


class OneXCom(OneTaskInstance):
    """Identify an XCom of a task instance."""

    key = Text(
        KEY_LENGTH,
        shortest=1,
        load_default="return_value",
        metadata={"description": "The key. By default, return_value."},
    )


class ListXComs(Subdir, RunFilters, Schema.from_dict(page_fields(*ORDER))):  # type: ignore[misc]
    """Filters of the list of XComs."""

    run_id = Text(texts.ID, metadata={"description": "Only XComs of DAG runs with this run_id."})
    task_id = Text(texts.ID, metadata={"description": "Only XComs of this task."})
    map_index = Whole(
        validate=validate.Range(min=-1, max=LARGEST),
        metadata={"description": "Only XComs with this map_index; -1 for tasks that are not mapped."},
    )
    key = Text(KEY_LENGTH, metadata={"description": "Only XComs with this key."})
    key_pattern = pattern("Only XComs whose key contains this text")
    values = Flag(
        load_default=False,
        metadata={"description": f"If true, also return the values, each up to a size of {LISTED_SIZE}."},
    )


class ListedXCom(RunDates):
    """An XCom."""

    dag_id = fields.String(required=True)
    run_id = fields.String(required=True)
    task_id = fields.String(required=True)
    map_index = fields.Integer(required=True)
    key = fields.String(required=True)
    timestamp = DateTime(required=True)
    size = fields.Integer(
        required=True,
        allow_none=True,
        metadata={"description": "Size of the stored value: bytes on Airflow 2, characters of the JSON on Airflow 3."},
    )
    value = fields.Raw(allow_none=True, metadata=VALUE)
    is_json = fields.Boolean(allow_none=True, metadata=IS_JSON)
    truncated = fields.Boolean(metadata=TRUNCATED)


class XCom(ListedXCom):
    """An XCom with its value."""

    value = fields.Raw(required=True, allow_none=True, metadata=VALUE)
    is_json = fields.Boolean(required=True, allow_none=True, metadata=IS_JSON)
    truncated = fields.Boolean(required=True, metadata=TRUNCATED)


class XComs(Schema):
    """A page of XComs."""

    xcom_entries = fields.List(fields.Nested(ListedXCom), required=True)
    total_entries = fields.Integer(required=True)


@operation(
    request=ListXComs,
    result=XComs,
    access=Access(Resource.XCOM, "GET"),
    effect=Effect.READ,
    tag="XComs",
    errors=OF_A_DAG,
    example={"dag_id": "example_dag", "run_id": "manual__2026-11-01T00:00:00+00:00"},
)
def list_xcoms(
    context: Context,
    values: bool,
    dag_id: Optional[str] = None,
    run_id: Optional[str] = None,
    subdir: Optional[str] = None,
    logical_date_gte: Optional[datetime] = None,
    logical_date_lte: Optional[datetime] = None,
    key_pattern: Optional[str] = None,
    **arguments: object,
) -> Dict[str, object]:
    """List the XComs that the caller can read, with their values on request."""
    from airflow.models.dagrun import DagRun

    xcom = airflow().xcom_table().c
    statement = select(*_columns(LISTED_SIZE if values else None)).join(DagRun, DagRun.id == xcom.dag_run_id)
    statement = of_runs(context, statement, xcom.dag_id, Access(Resource.XCOM, "GET"), dag_id, subdir)
    statement = between(statement, logical_date_gte, logical_date_lte)
    if run_id is not None:
        statement = statement.where(xcom.run_id == stored_run_id(context, statement, xcom.run_id, run_id))
    if key_pattern is not None:
        statement = statement.where(contains(xcom.key, key_pattern))
    for name in ("task_id", "map_index", "key"):
        if name in arguments:
            statement = statement.where(xcom[name] == arguments[name])
    columns = {name: xcom[name] for name in ORDER}
    ties = (xcom.dag_id, xcom.dag_run_id, xcom.task_id, xcom.map_index, xcom.key)
    rows, total = page_of(context, statement, arguments, columns, *ties)
    shown = [_with_value(row._mapping) if values else row._mapping for row in rows]
    return {"xcom_entries": shown, "total_entries": total}


@operation(
    request=OneXCom,
    result=XCom,
    access=Access(Resource.XCOM, "GET"),
    effect=Effect.READ,
    tag="XComs",
    errors=(*OF_A_TASK, TaskInstanceNotFound, XComNotFound),
    example={"dag_id": "example_dag", "run_id": "manual__2026-11-01T00:00:00+00:00", "task_id": "extract"},
)
def get_xcom(context: Context, key: str, **instance: Any) -> Dict[str, object]:
    """
    Return an XCom of a task instance, with the value that is stored in the metadata database.

    A value that is not plain JSON, such as a date or a tuple, is returned as Airflow serializes it. A pickle is not
    read, and a value above 1 MiB is not returned.
    """
    from airflow.models.dagrun import DagRun

    _, names = named_instance(context, **instance)
    xcom = airflow().xcom_table().c
    statement = select(*_columns(VALUE_SIZE)).join(DagRun, DagRun.id == xcom.dag_run_id)
    statement = statement.where(xcom.key == key, *(xcom[name] == value for name, value in names.items()))
    row = context.session.execute(statement).first()
    if row is None:
        raise _missing(context.session, names, key)
    return _with_value(row._mapping)


def _columns(size: Optional[int]) -> Any:
    """Return the columns of an XCom; with *size*, its value too if it is not larger."""
    xcom = airflow().xcom_table().c
    stored = airflow().xcom_size(xcom.value)
    names = ("dag_id", "run_id", "task_id", "map_index", "key", "timestamp")
    columns = [*(xcom[name] for name in names), airflow().date_of_runs().label("logical_date"), stored.label("size")]
    if size is None:
        return columns
    # What is larger never leaves the database.
    return [*columns, case((stored <= size, xcom.value)).label("value"), (stored > size).label("truncated")]


def _with_value(row: Mapping[str, Any]) -> Dict[str, object]:
    """Return a row with its value as JSON, masked."""
    shown = {**row, "truncated": bool(row["truncated"])}
    if shown["truncated"]:
        return {**shown, "value": None, "is_json": None}
    try:
        value = airflow().masked(airflow().xcom_value(row["value"]), row["key"])
        return {**shown, "value": strict_json.plain(value, MASK), "is_json": True}
    except (ValueError, RecursionError):
        return {**shown, "value": None, "is_json": False}


def _missing(session: Session, names: Mapping[str, Any], key: str) -> Exception:
    """Return the error for an XCom that does not exist."""
    from airflow.models.taskinstance import TaskInstance

    if session.scalar(select(func.count()).where(*of_key(TaskInstance, names))) == 0:
        return missing_instance(session, **names)
    xcom = airflow().xcom_table().c
    others = [xcom[name] == value for name, value in names.items() if name != "map_index"]
    last = session.scalar(select(func.max(xcom.map_index)).where(xcom.key == key, *others))
    return XComNotFound(**names, key=key, last_map_index=last if last is not None and last >= 0 else None)
