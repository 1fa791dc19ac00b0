"""Helpers for tests of variables."""

from __future__ import annotations

from typing import Any, Dict

import native_api

TEXTS = [
    "",
    " ",
    "a b",
    "a&b=c;d",
    "+ %20 %",
    '{"a": 1}',
    "[1,  2]",
    "null",
    "ümlaut 世界 ✓",
    "None",
    "x\ny\t",
    "'\"\\",
]


def put(key: str, value: Any, **said: Any) -> Any:
    return native_api.call("set_variable", key=key, value=value, **said)


def bring(variables: Any, **said: Any) -> Any:
    return native_api.call("import_variables", variables=variables, **said)


def export() -> Dict[str, Any]:
    exported: Dict[str, Any] = native_api.call("export_variables")["variables"]
    return exported


def stored() -> Dict[str, Any]:
    """Return the stored values by key."""
    return {v["key"]: v["value"] for v in native_api.call("list_variables")["variables"]}
