"""variables: set, get, delete, import, export, or list."""

from __future__ import annotations

from typing import Any, Mapping

from native_api.errors import BadRequest, VariableNotFound
from native_api.http.legacy.protocol import Arguments, Plan, legacy_name


@legacy_name("variables", "cmd set key value get json default import export delete")
def variables(arguments: Arguments) -> Plan:
    """Set, get, delete, import or export variables, or list all if the request names no command."""
    if arguments.get("set") or arguments.get("cmd") == "set":
        return _set(arguments)
    if arguments.get("get"):
        return _get(arguments)
    if arguments.get("delete"):
        return Plan("delete_variable", {"key": arguments.get("delete")}, no_error={VariableNotFound: ""})
    if arguments.get("import"):
        return Plan("import_variables", {"file": arguments.get("import")}, _imported)
    if arguments.get("export"):
        return Plan("save_variables", {"file": arguments.get("export")}, _saved)
    return Plan("list_variables", {}, _keys, defaults={"order_by": "id"})


def _set(arguments: Arguments) -> Plan:
    key, value = arguments.get("key"), arguments.text("value")
    older = arguments.get("set")
    if older:
        key, _, value = older.partition(" ")
    if key is None or value is None:
        raise BadRequest("The argument(s) ['key', 'value'] are required")
    return Plan("set_variable", {"key": key, "value": value})


def _get(arguments: Arguments) -> Plan:
    values = {"key": arguments.get("get"), "json": arguments.flag("json"), **arguments.given("default")}
    return Plan("get_variable", values, _value, {VariableNotFound: "None\n"})


def _value(result: Mapping[str, object]) -> str:
    # The old command printed the Python object.
    return f"{result['value']}\n"


def _imported(result: Mapping[str, Any]) -> str:
    done = len(result["created"]) + len(result["updated"])
    return f"{done} of {result['total_entries']} variables successfully updated.\n"


def _saved(result: Mapping[str, object]) -> str:
    return f"{result['total_entries']} variables successfully exported to {result['file']}\n"


def _keys(result: Mapping[str, Any]) -> str:
    return "".join(f"{variable['key']}\n" for variable in result["variables"])
