"""DAGs: list, pause, unpause; they are read from their table, and not deserialized."""

from __future__ import annotations

import os.path
from functools import lru_cache
from typing import Any, Dict, List, Mapping, Optional

from marshmallow import Schema, fields
from sqlalchemy import bindparam, or_, select, update
from sqlalchemy.orm import selectinload

from native_api.adapters.compat import airflow
from native_api.adapters.fields import texts
from native_api.adapters.fields.common import DateTime, Flag, Subdir, dag_id_field
from native_api.adapters.fields.paging import contains, page_fields, page_of
from native_api.adapters.fields.texts import Text, Texts, pattern
from native_api.adapters.fields.versions import limited
from native_api.adapters.import_errors import operations as import_errors
from native_api.effects import Effect
from native_api.errors import DagNotBelow, DagNotFound, OutsideFolders
from native_api.errors.groups import OF_A_DAG
from native_api.permissions import Access, Resource
from native_api.registry import Context, operation


class ListDags(Subdir, Schema.from_dict(page_fields("dag_id", "last_parsed_time", "next_dagrun"))):  # type: ignore[misc]
    """Filters of the list of DAGs."""

    dag_id_pattern = pattern("Only DAGs whose dag_id contains this text")
    tags = Texts(texts.ID, metadata={"description": "Only DAGs with at least one of these tags."})
    owner = Text(2000, metadata={"description": "Only DAGs of this owner."})
    paused = Flag(metadata={"description": "If true, only paused DAGs; if false, only DAGs that are not paused."})
    fileloc = Text(texts.PATH, metadata={"description": "Only DAGs that this file defines."})
    has_import_errors = Flag(
        metadata={
            "description": "If true, only DAGs whose file has an import error; if false, only DAGs whose file has none."
        }
    )


class OneDag(Subdir):
    """Identify a DAG."""

    dag_id = dag_id_field()


class Dag(Schema):
    """A DAG."""

    dag_id = fields.String(required=True)
    description = fields.String(allow_none=True)
    fileloc = fields.String(allow_none=True)
    relative_fileloc = fields.String(
        allow_none=True, metadata={"description": "The path relative to the DAGs folder, or to the DAG bundle."}
    )
    bundle_name = fields.String(allow_none=True, metadata=limited("The DAG bundle of the file.", since=(3, 0)))
    owners = fields.List(fields.String(), required=True)
    tags = fields.List(fields.String(), required=True)
    is_paused = fields.Boolean(required=True)
    is_active = fields.Boolean(required=True)
    has_import_errors = fields.Boolean(required=True)
    timetable_description = fields.String(allow_none=True)
    last_parsed_time = DateTime(allow_none=True)
    next_dagrun = DateTime(allow_none=True)
    max_active_tasks = fields.Integer(allow_none=True)
    max_active_runs = fields.Integer(allow_none=True)


class Dags(Schema):
    """A page of DAGs."""

    dags = fields.List(fields.Nested(Dag), required=True)
    total_entries = fields.Integer(required=True)


class Pause(Schema):
    """A DAG's pause state."""

    dag_id = fields.String(required=True)
    is_paused = fields.Boolean(required=True)


@operation(
    request=ListDags,
    result=Dags,
    access=Access(Resource.DAG, "GET"),
    effect=Effect.READ,
    tag="DAGs",
    errors=(OutsideFolders,),
    command=lambda arguments: ["dags", "list"],
)
def list_dags(context: Context, **arguments: object) -> Dict[str, object]:
    """List the active DAGs that the caller can read."""
    from airflow.models.dag import DagModel

    statement = select(DagModel).options(selectinload(DagModel.tags)).where(*_conditions(arguments))
    statement = of_readable_dags(context, statement, DagModel.dag_id, Access(Resource.DAG, "GET"))
    columns = {name: getattr(DagModel, name) for name in ("dag_id", "last_parsed_time", "next_dagrun")}
    rows, total = page_of(context, statement, arguments, columns, DagModel.dag_id)
    return {"dags": [as_response(row) for row in rows], "total_entries": total}


def of_readable_dags(context: Context, statement: Any, column: Any, access: Access) -> Any:
    """Return the statement without the rows of DAGs on which the caller lacks the right."""
    dag_ids = context.caller.dag_ids(access)
    return statement if dag_ids is None else statement.where(column.in_(dag_ids))


def _pause_command(verb: str) -> Any:
    return lambda arguments: ["dags", verb, arguments["dag_id"]]


@operation(
    request=OneDag,
    result=Pause,
    access=Access(Resource.DAG, "PUT"),
    effect=Effect.WRITE,
    tag="DAGs",
    errors=OF_A_DAG,
    command=_pause_command("pause"),
    example={"dag_id": "example_dag"},
)
def pause_dag(context: Context, dag_id: str, subdir: Optional[str] = None) -> Dict[str, object]:
    """Pause a DAG: the scheduler no longer creates runs of it."""
    return _set_paused(context, dag_id, subdir, is_paused=True)


@operation(
    request=OneDag,
    result=Pause,
    access=Access(Resource.DAG, "PUT"),
    effect=Effect.WRITE,
    tag="DAGs",
    errors=OF_A_DAG,
    command=_pause_command("unpause"),
    example={"dag_id": "example_dag"},
)
def unpause_dag(context: Context, dag_id: str, subdir: Optional[str] = None) -> Dict[str, object]:
    """Unpause a DAG: the scheduler creates its runs again."""
    return _set_paused(context, dag_id, subdir, is_paused=False)


def _set_paused(context: Context, dag_id: str, subdir: Optional[str], *, is_paused: bool) -> Dict[str, object]:
    from airflow.models.dag import DagModel

    require_active_dag(context, dag_id, subdir)
    context.session.execute(
        update(DagModel)
        .where(airflow().with_its_parts(DagModel, dag_id))
        .values(is_paused=is_paused)
        .execution_options(synchronize_session=False)
    )
    return {"dag_id": dag_id, "is_paused": is_paused}


def active_dag(context: Context, dag_id: str, subdir: Optional[str] = None) -> Any:
    """
    Return the row of an active DAG.

    :raises DagNotFound: there is none with that id; the error names a file with import errors that may define it.
    :raises DagNotBelow: its file is not below *subdir*.
    :raises OutsideFolders: *subdir* is neither in the DAGs folder nor in a DAG bundle.
    """
    from airflow.models.dag import DagModel

    row = _required(context, dag_id, subdir, DagModel)[0]
    return row


def require_active_dag(context: Context, dag_id: str, subdir: Optional[str] = None) -> None:
    """Raise the errors of :func:`active_dag`, without loading the row."""
    _required(context, dag_id, subdir)


def _required(context: Context, dag_id: str, subdir: Optional[str], *selected: Any) -> Any:
    """Return what is selected of an active DAG, and the path of its file."""
    folder = None if subdir is None else checked_subdir(subdir)
    found = context.session.execute(_of_active_dag(*selected), {"dag_id": dag_id}).first()
    if found is None:
        raise DagNotFound(dag_id, import_errors.file_naming(context, dag_id))
    if folder is not None and not _lies_in(os.path.realpath(found[-1] or ""), folder):
        raise DagNotBelow(dag_id, str(subdir))
    return found


@lru_cache(maxsize=None)
def _of_active_dag(*selected: Any) -> Any:
    """Return the statement; to build it takes as long as to execute it."""
    from airflow.models.dag import DagModel

    by_id = DagModel.dag_id == bindparam("dag_id")
    return select(*selected, DagModel.fileloc).where(by_id, airflow().is_active(DagModel))


def checked_subdir(subdir: str) -> str:
    """
    Return the real path of *subdir*.

    :raises OutsideFolders: it is neither in the DAGs folder nor in a DAG bundle.
    """
    # The time that it takes to follow links grows with the square of the length; no file system has a longer path.
    if "\0" in subdir or len(subdir) > texts.PATH:
        raise OutsideFolders(subdir[: texts.PATH])
    folders = [os.path.realpath(folder) for folder in airflow().folders()]
    # DAGS_FOLDER is the first folder, as on Airflow's command line.
    path = os.path.realpath(os.path.join(folders[0], subdir.replace("DAGS_FOLDER", folders[0], 1)))
    if not any(_lies_in(path, folder) for folder in folders):
        raise OutsideFolders(subdir)
    return path


def file_in(subdir: str) -> Any:
    """
    Return the condition that a DAG file is below *subdir*.

    :raises OutsideFolders: *subdir* is neither in the DAGs folder nor in a DAG bundle.
    """
    from airflow.models.dag import DagModel

    folder = checked_subdir(subdir)
    below = DagModel.fileloc.startswith(folder.rstrip(os.sep) + os.sep, autoescape=True)
    return or_(DagModel.fileloc == folder, below)


def _lies_in(path: str, folder: str) -> bool:
    return path == folder or path.startswith(folder.rstrip(os.sep) + os.sep)


def _conditions(filters: Mapping[str, Any]) -> List[Any]:
    """Return the conditions on the table of DAGs for the given filters."""
    from airflow.models.dag import DagModel

    conditions = [airflow().is_active(DagModel)]
    if "dag_id_pattern" in filters:
        conditions.append(contains(DagModel.dag_id, filters["dag_id_pattern"]))
    if filters.get("tags"):
        conditions.append(DagModel.tags.any(_tag().name.in_(filters["tags"])))
    if "owner" in filters:
        # The owners of a DAG are one text, parted by commas.
        owner, owners = filters["owner"].replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_"), DagModel.owners
        forms = (owner, f"{owner}, %", f"%, {owner}", f"%, {owner}, %")
        conditions.append(or_(*(owners.like(form, escape="\\") for form in forms)))
    if "paused" in filters:
        conditions.append(DagModel.is_paused.is_(filters["paused"]))
    if "has_import_errors" in filters:
        conditions.append(DagModel.has_import_errors.is_(filters["has_import_errors"]))
    if "fileloc" in filters:
        conditions.append(DagModel.fileloc == filters["fileloc"])
    if "subdir" in filters:
        conditions.append(file_in(filters["subdir"]))
    return conditions


def _tag() -> Any:
    from airflow.models.dag import DagTag

    return DagTag


def as_response(row: Any) -> Dict[str, object]:
    """Return the fields of :class:`Dag` for a row of the table of DAGs."""
    return {
        "dag_id": row.dag_id,
        "description": row.description,
        "fileloc": row.fileloc,
        **airflow().file_facts(row),
        "owners": [owner.strip() for owner in (row.owners or "").split(",") if owner.strip()],
        "tags": sorted(tag.name for tag in row.tags),
        "is_paused": row.is_paused,
        "is_active": True,
        "has_import_errors": bool(row.has_import_errors),
        "timetable_description": row.timetable_description,
        "last_parsed_time": row.last_parsed_time,
        "next_dagrun": row.next_dagrun,
        "max_active_tasks": row.max_active_tasks,
        "max_active_runs": row.max_active_runs,
    }
