"""Import and export of connections."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Dict, List, Mapping, Optional

from marshmallow import Schema, ValidationError, fields
from sqlalchemy import select

from native_api.adapters import server_files
from native_api.adapters.compat.masking import MASK
from native_api.adapters.connections.operations import (
    AddConnection,
    built,
    put_in_place,
    stored_connections,
    unmasked,
)
from native_api.adapters.encryption import undecryptable
from native_api.adapters.fields.common import Nothing
from native_api.adapters.fields.import_files import (
    Entries,
    EntriesField,
    Entry,
    Import,
    Imported,
    import_entries,
    omit,
    read_content,
    read_each,
    refuse_mask,
    unwrapped,
)
from native_api.effects import Effect
from native_api.errors import ConnectionsExist, Invalid
from native_api.errors.groups import OF_A_SERVER_FILE, OF_SECRETS
from native_api.permissions import Access, Resource
from native_api.registry import Context, operation

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

#: The fields that `airflow connections export` writes.
EXPORTED = ("conn_type", "description", "host", "login", "password", "schema", "port", "extra")

#: Aliases of fields that `airflow connections import` reads.
OTHER_NAMES = {"uri": "conn_uri", "extra_dejson": "extra"}


class ImportConnections(Import):
    """The connections to import, and the action on conflict."""

    entries = "connections"

    connections = EntriesField(
        lambda content: entries_of(content),
        "An object with the fields, or the URI, of the connection for each conn_id, as `airflow connections export` "
        "writes it; as JSON, as its text, or as an uploaded file.",
    )


class ImportedConnections(Imported):
    """The result of an import, by conn_id."""


class ExportedConnection(Schema):
    """A connection, in the format of import_connections."""

    conn_type = fields.String(required=True)
    description = fields.String(required=True, allow_none=True)
    host = fields.String(required=True, allow_none=True)
    login = fields.String(required=True, allow_none=True)
    password = fields.String(required=True, allow_none=True)
    schema = fields.String(required=True, allow_none=True)
    port = fields.Integer(required=True, allow_none=True)
    extra = fields.String(required=True, allow_none=True, metadata={"description": "A JSON object, as text."})


class ExportedConnections(Schema):
    """All connections, in the format of import_connections."""

    connections = fields.Dict(
        keys=fields.String(),
        values=fields.Nested(ExportedConnection),
        required=True,
        metadata={"description": "The connections by conn_id."},
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
    errors=(*OF_A_SERVER_FILE, ConnectionsExist),
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
) -> Dict[str, object]:
    """
    Import connections: all of them, or none if one cannot be added.

    An overwritten connection retains only its team. Masked values are refused. Overwriting a connection requires the
    permission to edit it.
    """
    present = _present(context.session)

    def store(entries: Entries) -> None:
        rows, wrong = {}, {}
        for conn_id, entry in entries.items():
            try:
                rows[conn_id] = built(**entry)
            except Invalid as exc:
                wrong[conn_id] = exc.errors
        if wrong:
            raise ValidationError(wrong)
        put_in_place(context.session, stored_connections(context.session, set(rows) & present), rows)

    return import_entries(
        context,
        connections,
        file,
        entries_of,
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
    errors=OF_SECRETS,
    command=lambda arguments: ["connections", "export", "--file-format", "json", "-"],
)
def export_connections(context: Context) -> Dict[str, object]:
    """
    Export all connections of the metadata database unmasked, in the format of import_connections.

    If a connection has a password, or a sensitive value in its extra, the export requires the permission to edit that
    connection. Connections that cannot be decrypted are omitted, with a warning; if none can be decrypted, the export
    is refused.
    """
    rows = stored_connections(context.session, context.caller.names(Resource.CONNECTION))
    exported: Dict[str, object] = {}
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


def entries_of(content: object) -> Entries:
    """
    Return the connections of an import by conn_id, with the arguments of :func:`built`.

    :raises ValidationError: entries are invalid; keyed by their names.
    """
    return read_each(unwrapped(read_content(content), "connections"), _entry)


def _entry(conn_id: Any, said: object) -> Entry:
    if isinstance(said, str):
        said = {"conn_uri": said}
    if not isinstance(said, dict):
        raise ValidationError("Must be an object with the fields of the connection, or its URI.")
    if said.get("conn_id", conn_id) != conn_id:
        raise ValidationError({"conn_id": ["Differs from the conn_id of the entry."]})
    wanted: Dict[str, object] = {}
    for name, value in said.items():
        known = str(OTHER_NAMES.get(name, name))
        if known in wanted:
            raise ValidationError({known: ["Is given twice, as a field and as its alias."]})
        wanted[known] = value
    refuse_mask(wanted)
    if MASK in str(wanted.get("conn_uri")):
        raise ValidationError({"conn_uri": [f"Contains {MASK}, the mask of a sensitive value; send the value itself."]})
    loaded: Entry = AddConnection(exclude=("replace",)).load({**wanted, "conn_id": conn_id})
    return loaded


def _present(session: Session) -> Any:
    from airflow.models.connection import Connection

    return set(session.scalars(select(Connection.conn_id)))
