"""pool: set, get, delete, or list."""

from __future__ import annotations

from typing import Dict, List, Mapping

from native_api.errors import BadRequest, PoolNotFound
from native_api.http.legacy.protocol import Arguments, Plan, legacy_name
from native_api.http.legacy.tables import boxed


@legacy_name("pool", "cmd set pool_name slot_count description pool_description get delete")
def pool(arguments: Arguments) -> Plan:
    """Set, get or delete a pool, or list all pools if the request names no command."""
    if arguments.get("set") or arguments.get("cmd") == "set":
        return Plan("set_pool", _wanted(arguments), _one)
    if arguments.get("get"):
        return _about_one("get_pool", str(arguments.get("get")))
    if arguments.get("delete"):
        return _about_one("delete_pool", str(arguments.get("delete")))
    return Plan("list_pools", {}, lambda result: _table(result["pools"]), defaults={"order_by": "id"})


def _wanted(arguments: Arguments) -> Dict[str, object]:
    older = arguments.get("set")
    if older:
        name, _, rest = older.partition(" ")
        slots, _, description = rest.partition(" ")
        values = {"name": name, "slots": slots, "description": description}
    else:
        values = {
            "name": arguments.get("pool_name") or "",
            "slots": arguments.get("slot_count") or "",
            "description": arguments.get("description") or arguments.get("pool_description") or "",
        }
    if not values["name"] or not values["slots"]:
        raise BadRequest("The argument(s) ['pool_name', 'slot_count'] are required")
    return {name: value for name, value in values.items() if value}


def _about_one(operation: str, name: str) -> Plan:
    return Plan(operation, {"name": name}, _one, {PoolNotFound: f"Pool '{name}' doesn't exist\n"})


def _one(result: Mapping[str, object]) -> str:
    return _table([result])


def _table(pools: List[Mapping[str, object]]) -> str:
    rows = [[pool["name"], pool["slots"], pool["description"]] for pool in pools]
    return "\n" + boxed(rows, ("Pool", "Slots", "Description"))
