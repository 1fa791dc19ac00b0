"""Connections: list, get, add, delete."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Collection, Dict, Iterable, List, Mapping, Optional

from marshmallow import Schema, ValidationError, fields, validate, validates_schema
from sqlalchemy import delete, inspect, select

from native_api import audit
from native_api.adapters.compat import airflow
from native_api.adapters.compat.masking import MASK
from native_api.adapters.connections.uris import LONGEST_URI, Extra, Uri, masked_extra, masked_uri
from native_api.adapters.encryption import decrypted, undecryptable
from native_api.adapters.fields import texts
from native_api.adapters.fields.common import Flag, Whole
from native_api.adapters.fields.paging import page_fields, page_of, readable
from native_api.adapters.fields.texts import Text, pattern
from native_api.effects import Effect
from native_api.errors import ConnectionExists, ConnectionNotFound, Invalid, Refused
from native_api.errors.groups import OF_SECRETS
from native_api.permissions import Access, Resource
from native_api.registry import Context, operation

if TYPE_CHECKING:
    from airflow.models.connection import Connection as AirflowConnection
    from sqlalchemy.orm import Session

ID_LENGTH = texts.ID

#: Fields that a URI includes; they cannot be combined with one.
IN_A_URI = ("conn_type", "host", "login", "password", "schema", "port")


def _conn_id(*rules: object) -> Text:
    return Text(
        ID_LENGTH, *rules, shortest=1, required=True, metadata={"description": "The conn_id of the connection."}
    )


def _text(description: str, longest: int) -> Text:
    return Text(longest, allow_none=True, metadata={"description": description})


class AddConnection(Schema):
    """A connection, as a URI or field by field."""

    conn_id = _conn_id(
        # Airflow 2.8 to 2.11 take no letters but these, and drop an id that has others.
        validate.Regexp(
            r"[A-Za-z0-9_.-]+\Z", error="Must consist of A-Z, a-z, 0-9, underscores, dots and hyphens only."
        )
    )
    conn_uri = Uri(
        metadata={"description": "The connection as a URI.", "masked": masked_uri},
    )
    conn_type = _text("The type of the connection; required without conn_uri.", 500)
    description = _text("The description.", 5000)
    host = _text("The host.", 500)
    login = _text("The login.", LONGEST_URI)
    password = _text("The password.", LONGEST_URI)
    schema = _text("The schema, or the name of the database.", 500)
    port = Whole(allow_none=True, validate=validate.Range(min=0, max=65535), metadata={"description": "The port."})
    extra = Extra(
        allow_none=True,
        metadata={
            "description": "A JSON object, or its text, with the other fields of the type. With conn_uri, it replaces "
            "the query of the URI.",
            "masked": masked_extra,
        },
    )
    replace = Flag(
        load_default=False,
        metadata={"description": "If true, replace an existing connection completely."},
    )

    @validates_schema
    def _says_it_once(self, data: Mapping[str, object], **kwargs: object) -> None:
        beside = [name for name in IN_A_URI if data.get(name) is not None]
        if "conn_uri" in data and beside:
            raise ValidationError(f"Send conn_uri or {', '.join(beside)}, not both.", "conn_uri")
        if "conn_uri" not in data and not data.get("conn_type"):
            raise ValidationError("Send conn_type or conn_uri.", "conn_type")


class OneConnection(Schema):
    """Identify a connection."""

    conn_id = _conn_id()


class ListConnections(
    Schema.from_dict(page_fields("conn_id", "conn_type", "host", "port", "id")),  # type: ignore[misc]
):
    """Filters of the list of connections."""

    conn_id_pattern = pattern("Only connections whose conn_id contains this text")
    conn_type = Text(500, metadata={"description": "Only connections of this type."})


class Connection(Schema):
    """A connection."""

    conn_id = fields.String(required=True)
    conn_type = fields.String(required=True)
    description = fields.String(allow_none=True)
    host = fields.String(allow_none=True)
    login = fields.String(allow_none=True)
    password = fields.String(allow_none=True)
    schema = fields.String(allow_none=True)
    port = fields.Integer(allow_none=True)
    extra = fields.String(allow_none=True, metadata={"description": "The text of a JSON object."})
    is_encrypted = fields.Boolean(allow_none=True)
    is_extra_encrypted = fields.Boolean(allow_none=True)


class Connections(Schema):
    """A page of connections."""

    connections = fields.List(fields.Nested(Connection), required=True)
    total_entries = fields.Integer(required=True)


class DeletedConnection(Schema):
    """The deleted connection."""

    conn_id = fields.String(required=True)


def _add_command(arguments: Mapping[str, Any]) -> Optional[List[str]]:
    if arguments["replace"]:
        # The command line refuses an id that is there.
        return None
    shown = audit.masked(AddConnection(), arguments)
    words = ["connections", "add", arguments["conn_id"]]
    for name in ("conn_uri", *IN_A_URI, "extra", "description"):
        if shown.get(name) is not None:
            words += [f"--conn-{name.replace('conn_', '')}", str(shown[name])]
    return words


@operation(
    request=ListConnections,
    result=Connections,
    access=Access(Resource.CONNECTION, "GET"),
    effect=Effect.READ,
    tag="Connections",
    errors=(Refused,),
    command=lambda arguments: ["connections", "list"],
)
def list_connections(
    context: Context, conn_id_pattern: Optional[str] = None, conn_type: Optional[str] = None, **arguments: object
) -> Dict[str, object]:
    """List the connections of the metadata database, with passwords and sensitive extras masked."""
    from airflow.models.connection import Connection as AirflowConnection

    row = AirflowConnection
    statement = readable(context, select(_table()), row.conn_id, Resource.CONNECTION, conn_id_pattern)
    if conn_type is not None:
        statement = statement.where(row.conn_type == conn_type)
    columns = {name: getattr(row, name) for name in ("conn_id", "conn_type", "host", "port", "id")}
    rows, total = page_of(context, statement, arguments, columns, AirflowConnection.id)
    return {"connections": [_as_response(row) for row in rows], "total_entries": total}


@operation(
    request=OneConnection,
    result=Connection,
    access=Access(Resource.CONNECTION, "GET"),
    effect=Effect.READ,
    tag="Connections",
    errors=(*OF_SECRETS, ConnectionNotFound),
    command=lambda arguments: ["connections", "get", arguments["conn_id"]],
    example={"conn_id": "warehouse"},
)
def get_connection(context: Context, conn_id: str) -> Dict[str, object]:
    """
    Return a connection of the metadata database, including its password.

    The secrets backends and the environment are searched first if the option read_secrets_backends is true, and always
    in the Python API. A connection with a password, or with a sensitive value in its extra, is returned unmasked and
    requires the permission to edit it.
    """
    return unmasked(context, _wherever(context, conn_id) or _find(context.session, conn_id))


@operation(
    request=AddConnection,
    result=Connection,
    access=Access(Resource.CONNECTION, "POST"),
    effect=Effect.WRITE,
    tag="Connections",
    errors=(ConnectionExists,),
    creates=True,
    command=_add_command,
    example={"conn_id": "lake", "conn_type": "http", "host": "lake.example.com", "extra": {"timeout": 10}},
)
def add_connection(context: Context, conn_id: str, replace: bool, **wanted: object) -> Dict[str, object]:
    """
    Add a connection, or replace an existing one with replace.

    Send a URI or the fields. Replacing a connection also requires the permission to edit it. The response is masked, as
    in list_connections.
    """
    present = _stored(context.session, conn_id)
    if present is not None and not replace:
        raise ConnectionExists(conn_id)
    row = built(conn_id, **wanted)
    if present is None:
        context.created = True
    else:
        context.caller.require(Access(Resource.CONNECTION, "PUT"), conn_id)
    put_in_place(context.session, [present] if present else [], {conn_id: row})
    return _as_response(row)


@operation(
    request=OneConnection,
    result=DeletedConnection,
    access=Access(Resource.CONNECTION, "DELETE"),
    effect=Effect.WRITE,
    tag="Connections",
    errors=(ConnectionNotFound,),
    command=lambda arguments: ["connections", "delete", arguments["conn_id"]],
    example={"conn_id": "warehouse"},
)
def delete_connection(context: Context, conn_id: str) -> Dict[str, object]:
    """Delete a connection from the metadata database."""
    _delete(context.session, [_find(context.session, conn_id)])
    return {"conn_id": conn_id}


def _wherever(context: Context, conn_id: str) -> Optional[AirflowConnection]:
    """
    Return the connection from the secrets backends or the environment, None if they are not searched or have none.
    """
    from airflow.exceptions import AirflowNotFoundException  # type: ignore[attr-defined]
    from airflow.models.connection import Connection as AirflowConnection

    if not context.caller.reads_secrets_backends(conn_id):
        return None
    team = airflow().rights.team_of(_stored(context.session, conn_id))
    try:
        return AirflowConnection.get_connection_from_secrets(conn_id, **team)
    except AirflowNotFoundException:
        return None


def _table() -> Any:
    """Return the table: loading Airflow's Connection objects decrypts them, which can fail."""
    from airflow.models.connection import Connection as AirflowConnection

    return AirflowConnection.__table__


def _stored(session: Session, conn_id: str) -> Any:
    """Return the connection's row in the metadata database, or None."""
    return next(iter(stored_connections(session, [conn_id])), None)


def _find(session: Session, conn_id: str) -> Any:
    """Return the connection's row, or raise :class:`ConnectionNotFound`."""
    row = _stored(session, conn_id)
    if row is None:
        raise ConnectionNotFound(conn_id)
    return row


def stored_connections(session: Session, conn_ids: Optional[Collection[str]] = None) -> List[Any]:
    """Return the existing rows with those ids; None selects all."""
    statement = select(_table())
    if conn_ids is not None:
        statement = statement.where(_table().c.conn_id.in_(conn_ids))
    return list(session.execute(statement))


def _delete(session: Session, rows: Iterable[Any]) -> None:
    session.execute(delete(_table()).where(_table().c.id.in_([row.id for row in rows])))


def unmasked(context: Context, row: Any) -> Dict[str, object]:
    """
    Return a row unmasked, and note that for the audit log.

    :raises SensitiveValue: it has a sensitive value, and the caller lacks the permission to edit it.
    """
    true = _true(row)
    if _as_response(row) != true:
        context.caller.require_secret(Resource.CONNECTION, row.conn_id)
        context.disclosed.append(row.conn_id)
    return true


def built(conn_id: str, **wanted: Any) -> AirflowConnection:
    """Return a new row, built by Airflow from the URI or from the fields."""
    from airflow.exceptions import AirflowException  # type: ignore[attr-defined]
    from airflow.models.connection import Connection as AirflowConnection

    said = dict(wanted)
    uri, extra = said.pop("conn_uri", None), said.pop("extra", None)
    try:
        row = AirflowConnection(conn_id=conn_id, uri=uri, **said)
    except (AirflowException, ValueError) as exc:
        # Airflow's own sentence shows the URI.
        raise Invalid({"conn_uri": ["Airflow cannot read it."]}) from exc
    if extra is not None:
        row.set_extra(extra)
    _require_room(row)
    return row


def _require_room(row: AirflowConnection) -> None:
    """
    Refuse values that are longer than Airflow's columns, since SQLite does not check this. Passwords are encrypted.
    """
    lengths = {
        attribute.key: getattr(attribute.columns[0].type, "length", None)
        for attribute in inspect(type(row)).column_attrs
    }
    for name, longest in lengths.items():
        if longest is not None and len(getattr(row, name) or "") > longest:
            raise Invalid({name.lstrip("_"): [f"Too long: the maximum is {longest} characters."]})


def put_in_place(session: Session, present: Iterable[Any], rows: Mapping[str, Any]) -> None:
    """Store new rows by id; one that replaces a *present* row keeps its primary key and team."""
    present = list(present)
    for old in present:
        rows[old.conn_id].id = old.id
        airflow().keep_team(rows[old.conn_id], old)
    _delete(session, present)
    # Those with a primary key first, or SQLite gives it to a new one.
    session.add_all(row for row in rows.values() if row.id is not None)
    session.flush()
    session.add_all(rows.values())
    session.flush()


def _true(row: Any) -> Dict[str, object]:
    """Return a row unmasked."""
    return {**_facts(row), "password": _password(row), "extra": _extra(row)}


def _facts(row: Any) -> Dict[str, object]:
    """Return the fields of a row that are not secret."""
    facts = ("conn_id", "conn_type", "description", "host", "login", "schema", "port")
    return {name: getattr(row, name) for name in (*facts, "is_encrypted", "is_extra_encrypted")}


def _as_response(row: Any) -> Dict[str, object]:
    """Return a row with its password, and the sensitive values of its extra, masked."""
    try:
        extra = _extra(row)
    except undecryptable():
        # A list does not fail by one row.
        extra = MASK
    # Airflow stores no empty password encrypted.
    return {**_facts(row), "password": _stored_password(row) and MASK, "extra": masked_extra(extra)}


def _password(row: Any) -> Optional[str]:
    return decrypted(_stored_password(row), row.is_encrypted)


def _stored_password(row: Any) -> Optional[str]:
    password: Optional[str] = getattr(row, "_password", None) or row.password
    return password


def _extra(row: Any) -> Optional[str]:
    # Airflow 3 does not return an extra that is not a JSON object, which older versions stored.
    return decrypted(getattr(row, "_extra", None) or row.extra, row.is_extra_encrypted)
