"""All connections at once: import and export."""

from __future__ import annotations

from typing import Any, Dict, List, Mapping, Optional

from marshmallow import Schema, ValidationError, fields

from native_api.adapters import server_files
from native_api.adapters.compat.masking import MASK
from native_api.adapters.connections.operations import (
    AddConnection,
    built,
    put_in_place,
    stored_connections,
    undecryptable,
    unmasked,
)
from native_api.adapters.fields.common import Nothing
from native_api.adapters.fields.import_files import (
    Entries,
    EntriesField,
    Entry,
    Import,
    Imported,
    entries_of_file,
    import_entries,
    omit,
    read_content,
    read_each,
    refuse_mask,
    unwrapped,
)
from native_api.effects import Effect
from native_api.errors import ConnectionsExist, Invalid
from native_api.permissions import Access, Resource
from native_api.registry import Context, operation

#: What `airflow connections export` writes of a connection.
EXPORTED = ("conn_type", "description", "host", "login", "password", "schema", "port", "extra")

#: Other names of fields that `airflow connections import` reads.
OTHER_NAMES = {"uri": "conn_uri", "extra_dejson": "extra"}


class ImportConnections(Import):
    """What to import, and what becomes of connections that are there."""

    entries = "connections"

    connections = EntriesField(
        lambda content: entries_of(content),
        "An object with a connection's fields, or its URI, for each conn_id, as `airflow connections export` writes "
        "it; as JSON, as the text of it, or as an uploaded file.",
    )


class ImportedConnections(Imported):
    """What an import did, by conn_id."""


class ExportedConnection(Schema):
    """A connection, as import_connections takes it."""

    conn_type = fields.String(required=True)
    description = fields.String(required=True, allow_none=True)
    host = fields.String(required=True, allow_none=True)
    login = fields.String(required=True, allow_none=True)
    password = fields.String(required=True, allow_none=True)
    schema = fields.String(required=True, allow_none=True)
    port = fields.Integer(required=True, allow_none=True)
    extra = fields.String(required=True, allow_none=True, metadata={"description": "The text of a JSON object."})


class ExportedConnections(Schema):
    """All connections, as import_connections takes them."""

    connections = fields.Dict(
        keys=fields.String(),
        values=fields.Nested(ExportedConnection),
        required=True,
        metadata={"description": "By conn_id."},
    )
    warnings = fields.List(fields.String())


def _import_command(arguments: Mapping[str, Any]) -> Optional[List[str]]:
    flags = {"overwrite": ["--overwrite"], "skip": []}.get(arguments["on_conflict"])
    if flags is None or "file" not in arguments:
        return None
    return ["connections", "import", *flags, server_files.path_of(arguments["file"])]


@operation(
    request=ImportConnections,
    result=ImportedConnections,
    access=Access(Resource.CONNECTION, "POST"),
    effect=Effect.WRITE,
    tag="Connections",
    creates=True,
    command=_import_command,
    example={
        "connections": {
            "lake": {"conn_type": "http", "host": "lake.example.com", "extra": {"timeout": 10}},
            "mart": "postgres://ada@mart.example.com/main",
        }
    },
)
def import_connections(
    context: Context, on_conflict: str, connections: Optional[Entries] = None, file: Optional[str] = None
) -> Dict[str, Any]:
    """
    Import connections: all of them, or none if one cannot be added.

    Nothing stays of a connection that is overwritten but its team. Masked values are refused. To overwrite a
    connection needs the permission to edit it.
    """
    entries = connections if connections is not None else entries_of_file(str(file), entries_of)
    present = _present(context.session)

    def store(conn_ids: List[str]) -> None:
        rows, wrong = {}, {}
        for conn_id in conn_ids:
            try:
                rows[conn_id] = built(**entries[conn_id])
            except Invalid as exc:
                wrong[conn_id] = exc.errors
        if wrong:
            raise Invalid({"file" if connections is None else "connections": wrong})
        put_in_place(context.session, stored_connections(context.session, set(rows) & present), rows)

    return import_entries(
        context,
        entries,
        resource=Resource.CONNECTION,
        present=present,
        on_conflict=on_conflict,
        exist=ConnectionsExist,
        store=store,
    )


@operation(
    request=Nothing,
    result=ExportedConnections,
    access=Access(Resource.CONNECTION, "GET"),
    effect=Effect.READ,
    tag="Connections",
    command=lambda arguments: ["connections", "export", "--file-format", "json", "-"],
)
def export_connections(context: Context) -> Dict[str, Any]:
    """
    Export all connections of the metadata database unmasked, in the format of import_connections.

    A connection with a password, or with something sensitive in its extra, is returned to those who may edit it; for
    others the whole export is refused. What cannot be decrypted is omitted, with a warning; where nothing can be, the
    export is refused.
    """
    rows = stored_connections(context.session, context.caller.names(Resource.CONNECTION))
    exported: Dict[str, Any] = {}
    broken, decrypted = [], 0
    for row in sorted(rows, key=lambda row: str(row.conn_id)):
        try:
            true = unmasked(context, row)
        except undecryptable():
            broken.append(str(row.conn_id))
            continue
        decrypted += bool(row.is_encrypted or row.is_extra_encrypted)
        exported[str(row.conn_id)] = {name: true[name] for name in EXPORTED}
    omit(context, "connections", broken, decrypted)
    return {"connections": exported}


def entries_of(content: Any) -> Entries:
    """
    Return the connections that an import's content says, by conn_id: what :func:`built` takes.

    :raises ValidationError: keyed by what is wrong.
    """
    return read_each(unwrapped(read_content(content), "connections"), _entry)


def _entry(conn_id: Any, said: Any) -> Entry:
    if isinstance(said, str):
        said = {"conn_uri": said}
    if not isinstance(said, dict):
        raise ValidationError("Must be an object with the connection's fields, or its URI.")
    if said.get("conn_id", conn_id) != conn_id:
        raise ValidationError({"conn_id": ["Is another one than that of the entry."]})
    wanted: Dict[str, Any] = {}
    for name, value in said.items():
        known = str(OTHER_NAMES.get(name, name))
        if known in wanted:
            raise ValidationError({known: ["Is given twice, by two names."]})
        wanted[known] = value
    refuse_mask(wanted)
    if MASK in str(wanted.get("conn_uri")):
        raise ValidationError({"conn_uri": [f"Holds {MASK}, which stands for a value that was not shown."]})
    loaded: Entry = AddConnection(exclude=("replace",)).load({**wanted, "conn_id": conn_id})
    return loaded


def _present(session: Any) -> Any:
    from airflow.models.connection import Connection
    from sqlalchemy import select

    return set(session.scalars(select(Connection.conn_id)))
