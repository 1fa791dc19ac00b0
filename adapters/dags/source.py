"""Stored DAG code."""

from __future__ import annotations

from typing import Dict, Optional

from marshmallow import Schema, fields, validate
from sqlalchemy import select

from native_api.adapters.compat import airflow
from native_api.adapters.dags.operations import OneDag, active_dag
from native_api.adapters.fields.common import LARGEST, DateTime, Whole
from native_api.adapters.fields.versions import limited
from native_api.effects import Effect
from native_api.errors import CodeNotStored, Forbidden, NotSupported
from native_api.errors.groups import OF_A_DAG
from native_api.permissions import Access, Resource
from native_api.registry import Context, operation


class OneVersion(OneDag):
    """Identify a DAG, or a version of it."""

    version_number = Whole(
        validate=validate.Range(min=1, max=LARGEST),
        metadata=limited("The version of the DAG. By default, the latest.", since=(3, 0)),
    )


class DagSource(Schema):
    """The code of a DAG."""

    dag_id = fields.String(required=True)
    fileloc = fields.String(required=True, metadata={"description": "The file of the code."})
    source = fields.String(required=True)
    version_number = fields.Integer(
        required=True, allow_none=True, metadata=limited("The version of the DAG.", since=(3, 0))
    )
    last_updated = DateTime(required=True, metadata={"description": "When Airflow stored the code."})


@operation(
    request=OneVersion,
    result=DagSource,
    access=Access(Resource.DAG_CODE, "GET"),
    effect=Effect.READ,
    tag="DAGs",
    errors=(*OF_A_DAG, CodeNotStored, NotSupported),
    example={"dag_id": "example_dag"},
)
def dag_source(
    context: Context, dag_id: str, subdir: Optional[str] = None, version_number: Optional[int] = None
) -> Dict[str, object]:
    """
    Return the DAG code that Airflow has stored; the DAG file is not read.

    Requires the permission to read every DAG of the file.
    """
    dag_model = active_dag(context, dag_id, subdir)
    _require_whole_file(context, dag_model.fileloc)
    found = airflow().stored_code(dag_model, version_number, context.session)
    if found is None:
        raise CodeNotStored(dag_id, version_number)
    code, version = found
    return {
        "dag_id": dag_id,
        "fileloc": code.fileloc,
        "source": code.source_code,
        "version_number": version,
        "last_updated": code.last_updated,
    }


def _require_whole_file(context: Context, fileloc: str) -> None:
    """Require the permission to read every DAG of the file, as newer Airflow versions do."""
    from airflow.models.dag import DagModel

    readable = context.caller.dag_ids(Access(Resource.DAG, "GET"))
    if readable is None:
        return
    in_file = set(context.session.scalars(select(DagModel.dag_id).where(DagModel.fileloc == fileloc)))
    if not in_file <= readable:
        raise Forbidden(f"read all DAGs of the file '{fileloc}'")
