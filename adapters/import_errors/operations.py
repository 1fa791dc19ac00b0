"""Import errors: the DAG files that did not load when Airflow last parsed them."""

from __future__ import annotations

import os
from contextlib import suppress
from typing import Any, Dict, Optional

from marshmallow import Schema, fields
from sqlalchemy import false, select, true
from sqlalchemy.orm import aliased

from native_api.adapters.compat import airflow
from native_api.adapters.fields import texts
from native_api.adapters.fields.common import DateTime
from native_api.adapters.fields.paging import contains, page_fields, page_of
from native_api.adapters.fields.texts import Text, pattern
from native_api.adapters.fields.versions import limited
from native_api.effects import Effect
from native_api.permissions import Access, Resource
from native_api.registry import Context, operation

#: Maximum number of files with import errors that are searched for a DAG, and of bytes of each.
FILES_READ, BYTES_READ = 20, 262144


class ListImportErrors(Schema.from_dict(page_fields("id", "timestamp", "filename"))):  # type: ignore[misc]
    """Filters of the list of import errors."""

    filename_pattern = pattern("Only files whose path contains this text")
    bundle = Text(texts.ID, metadata=limited("Only files of this DAG bundle.", since=(3, 0)))


class ImportError(Schema):
    """A DAG file that did not load when Airflow last parsed it."""

    import_error_id = fields.Integer(required=True)
    timestamp = DateTime(required=True, allow_none=True, metadata={"description": "Timestamp of the parsing."})
    filename = fields.String(
        required=True,
        allow_none=True,
        metadata={
            "description": "Airflow 2: the absolute path of the file. Airflow 3: the path relative to its bundle."
        },
    )
    bundle_name = fields.String(
        required=True, allow_none=True, metadata=limited("The DAG bundle of the file.", since=(3, 0))
    )
    stack_trace = fields.String(
        required=True,
        allow_none=True,
        metadata={"description": "The stack trace; null if the file has DAGs that the caller cannot read."},
    )


class ImportErrors(Schema):
    """A page of import errors."""

    import_errors = fields.List(fields.Nested(ImportError), required=True)
    total_entries = fields.Integer(required=True)


@operation(
    request=ListImportErrors,
    result=ImportErrors,
    access=Access(Resource.IMPORT_ERROR, "GET"),
    effect=Effect.READ,
    tag="Import Errors",
    command=lambda arguments: airflow().import_errors_command(arguments.get("bundle")),
    example={"filename_pattern": "reports"},
)
def list_import_errors(
    context: Context, filename_pattern: Optional[str] = None, bundle: Optional[str] = None, **arguments: object
) -> Dict[str, object]:
    """
    List the import errors that Airflow has stored; nothing is parsed.

    If DAGs of the file are known from an earlier parsing, its import error requires the permission to read one of them,
    and the stack trace that to read all of them. Otherwise the permission to read every DAG is required or, in
    multi-team mode, every DAG of the team.
    """
    error = airflow().import_error_model()
    bundle_name = airflow().bundle_of_errors(error, bundle)
    visible, hidden = _rights(context, error)
    statement = select(
        error.id.label("import_error_id"),
        error.timestamp,
        error.filename,
        bundle_name.label("bundle_name"),
        error.stacktrace.label("stack_trace"),
        hidden.label("hidden"),
    ).where(visible)
    if filename_pattern is not None:
        statement = statement.where(contains(error.filename, filename_pattern))
    if bundle is not None:
        statement = statement.where(bundle_name == bundle)
    columns = {name: getattr(error, name) for name in ("id", "timestamp", "filename")}
    rows, total = page_of(context, statement, arguments, columns, error.id)
    return {"import_errors": [_as_response(row) for row in rows], "total_entries": total}


def file_naming(context: Context, dag_id: str) -> Optional[str]:
    """
    Return the file with an import error that defines a DAG, None if there is none that the caller can read.

    It is the file that Airflow has stored for the DAG, or else one on this host that has the dag_id in its text.
    """
    from airflow.models.dag import DagModel

    if not context.caller.may(Access(Resource.IMPORT_ERROR, "GET"), None):
        return None
    error = airflow().import_error_model()
    visible, _ = _rights(context, error)
    # An alias, since the conditions have the table in selects of their own.
    dag = aliased(DagModel)
    of_the_dag = select(error.filename).join(dag, airflow().of_the_file(dag, error))
    known = context.session.scalar(of_the_dag.where(visible, dag.dag_id == dag_id).limit(1))
    if known is not None:
        return str(known)
    latest = select(error.filename).where(visible).order_by(error.timestamp.desc()).limit(FILES_READ)
    return next((str(file) for file in context.session.scalars(latest) if _names(file, dag_id)), None)


def _names(file: str, dag_id: str) -> bool:
    """Return whether the part of a file that is searched has the dag_id in quotes."""
    words = [quote + dag_id.encode("utf-8", "replace") + quote for quote in (b"'", b'"')]
    for folder in airflow().folders():
        path = os.path.join(folder, file)
        with suppress(OSError):
            if os.path.isfile(path):
                with open(path, "rb") as opened:
                    text = opened.read(BYTES_READ)
                return any(word in text for word in words)
    return False


def _rights(context: Context, error: Any) -> Any:
    """Return the conditions that the caller can read an import error, and that its stack trace is hidden."""
    from airflow.models.dag import DagModel

    bundles = context.caller.bundles()
    dag_ids = context.caller.dag_ids(Access(Resource.DAG, "GET"))
    if dag_ids is None:
        return true(), false()
    of_the_file = select(DagModel.dag_id).where(airflow().of_the_file(DagModel, error))
    others = DagModel.dag_id.not_in(dag_ids)
    if bundles is None:
        sees_the_rest = ~select(DagModel.dag_id).where(others).exists()
    else:
        sees_the_rest = error.bundle_name.in_(bundles)
    of_the_callers = of_the_file.where(DagModel.dag_id.in_(dag_ids)).exists()
    return of_the_callers | (~of_the_file.exists() & sees_the_rest), of_the_file.where(others).exists()


def _as_response(row: Any) -> Dict[str, object]:
    return {**row._mapping, "stack_trace": None if row.hidden else row.stack_trace}
