"""Delete the metadata of a DAG."""

from __future__ import annotations

import os.path
from typing import Any, Dict, List, Mapping

from marshmallow import Schema, fields
from sqlalchemy import select

from native_api.adapters.compat import airflow
from native_api.adapters.fields.common import Flag, dag_id_field
from native_api.effects import Effect
from native_api.errors import DagIsDefined, DagNotFound, Missing
from native_api.permissions import Access, Resource
from native_api.registry import Context, operation


class DeleteDag(Schema):
    """The DAG whose metadata is deleted."""

    dag_id = dag_id_field()
    force = Flag(
        load_default=False,
        metadata={
            "description": "If true, delete the DAG even if its file still defines it; the DAG then reappears "
            "without runs."
        },
    )


class DeletedDag(Schema):
    """The deleted DAG."""

    dag_id = fields.String(required=True)
    deleted_rows = fields.Integer(required=True, metadata={"description": "Number of deleted rows."})


def _delete_command(arguments: Mapping[str, Any]) -> List[str]:
    return ["dags", "delete", "--yes", arguments["dag_id"]]


@operation(
    request=DeleteDag,
    result=DeletedDag,
    access=Access(Resource.DAG, "DELETE"),
    effect=Effect.WRITE,
    tag="DAGs",
    errors=(DagNotFound, DagIsDefined, Missing),
    command=_delete_command,
    example={"dag_id": "example_dag", "force": True},
)
def delete_dag(context: Context, dag_id: str, force: bool) -> Dict[str, object]:
    """
    Delete all metadata of a DAG: its runs, task instances and serialized form.

    The audit log is retained. If the DAG file still defines the DAG, the request is refused without force, since the
    DAG processor would add the DAG again. A DAG with running task instances is not deleted.
    """
    from airflow.models.dag import DagModel

    row = context.session.scalars(select(DagModel).where(DagModel.dag_id == dag_id)).first()
    if row is None:
        raise DagNotFound(dag_id)
    if not force and _is_defined(context, row):
        raise DagIsDefined(dag_id, row.fileloc)
    return {"dag_id": dag_id, "deleted_rows": airflow().delete_dag(dag_id, context.session)}


def _is_defined(context: Context, row: Any) -> bool:
    """Return whether the DAG file still defines the DAG, as far as this is known without parsing."""
    from airflow.models.dag import DagModel

    active = select(DagModel.dag_id).where(DagModel.dag_id == row.dag_id, airflow().is_active(DagModel))
    if context.session.scalar(active) is None:
        return False
    if os.path.exists(row.fileloc or "") or not os.path.isdir(os.path.dirname(row.fileloc or "")):
        return True
    # A web server that does not share the DAGs folder cannot see whether the file has gone.
    return not airflow().dag_files.is_shared(row)
