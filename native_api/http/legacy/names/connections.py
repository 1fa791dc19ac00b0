"""connections: list, add, delete, or nothing."""

from __future__ import annotations

import reprlib
from typing import Any, Mapping

from native_api.adapters.connections.uris import masked_uri
from native_api.errors import BadRequest, ConnectionExists, ConnectionNotFound
from native_api.http.legacy.protocol import Arguments, Plan, legacy_name
from native_api.http.legacy.tables import boxed

COLUMNS = {
    "conn_id": "Conn Id",
    "conn_type": "Conn Type",
    "host": "Host",
    "port": "Port",
    "is_encrypted": "Is Encrypted",
    "is_extra_encrypted": "Is Extra Encrypted",
    "extra": "Extra",
}
_IN_ORDER = {"order_by": "id"}


@legacy_name("connections", "list add delete conn_id conn_uri conn_type conn_extra")
def connections(arguments: Arguments) -> Plan:
    """List, add or delete connections, as the checkboxes say; without one the output is empty."""
    if arguments.flag("list"):
        return Plan("list_connections", {}, _table, defaults=_IN_ORDER)
    if arguments.flag("delete"):
        return _delete(arguments)
    if arguments.flag("add"):
        return _add(arguments)
    return Plan("list_connections", {}, defaults=_IN_ORDER)


def _delete(arguments: Arguments) -> Plan:
    conn_id = _conn_id(arguments)
    return Plan(
        "delete_connection",
        {"conn_id": conn_id},
        lambda result: _line(f"Successfully deleted `conn_id`={conn_id}"),
        {ConnectionNotFound: _line(f"Did not find a connection with `conn_id`={conn_id}")},
    )


def _add(arguments: Arguments) -> Plan:
    conn_id = _conn_id(arguments)
    said = arguments.given("conn_uri", "conn_type", "conn_extra")
    if not {"conn_uri", "conn_type"} & set(said):
        raise BadRequest("The argument(s) ['conn_uri or conn_type'] are required")
    # The old command printed only these fields, and asterisks for the password even if there was none.
    uri = masked_uri(said.get("conn_uri")) or f"{said['conn_type']}://:******@:"
    if "conn_extra" in said:
        said["extra"] = said.pop("conn_extra")
    return Plan(
        "add_connection",
        {"conn_id": conn_id, **said},
        lambda result: _line(f"Successfully added `conn_id`={conn_id} : {uri}"),
        {ConnectionExists: _line(f"A connection with `conn_id`={conn_id} already exists")},
    )


def _conn_id(arguments: Arguments) -> str:
    conn_id = arguments.get("conn_id")
    if conn_id is None:
        raise BadRequest("The argument(s) ['conn_id'] are required")
    return conn_id


def _line(text: str) -> str:
    return f"\n\t{text}\n\n"


def _table(result: Mapping[str, Any]) -> str:
    rows = [[reprlib.repr(connection[name]) for name in COLUMNS] for connection in result["connections"]]
    return boxed(rows, COLUMNS.values())
