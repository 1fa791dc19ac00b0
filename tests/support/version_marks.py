"""The versions of Airflow in the OpenAPI document, of arguments and fields."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Dict, Iterator, List, Tuple

from packaging.specifiers import SpecifierSet

from native_api.adapters.fields.versions import EXTENSION
from tests.support import airflow_under_test

DOCUMENT = json.loads((Path(__file__).resolve().parents[2] / "docs/openapi.json").read_text(encoding="utf-8"))


def includes_this_airflow(specifier: str) -> bool:
    return SpecifierSet(specifier).contains(".".join(map(str, airflow_under_test.version())), prereleases=True)


def named_schema(schema: Dict[str, Any]) -> Dict[str, Any]:
    named: Dict[str, Any] = DOCUMENT["components"]["schemas"].get(schema.get("$ref", "").rpartition("/")[2], schema)
    return named


def values_of_other_versions(operation: str, body: Any) -> List[Tuple[str, Any]]:
    """Return the fields of a response that have a value though they are marked as absent on this Airflow."""
    (described,) = DOCUMENT["paths"][f"/{operation}"].values()
    schema = described["responses"]["200"]["content"]["application/json"]["schema"]
    return [
        (name, value)
        for name, value, specifier in _marked_values(schema, body)
        if value is not None and not includes_this_airflow(specifier)
    ]


def _marked_values(schema: Dict[str, Any], value: Any) -> Iterator[Tuple[str, Any, str]]:
    """Yield the fields with versions in a response: the name, the value and the versions."""
    schema = named_schema(schema)
    for part in schema.get("anyOf", ()):
        yield from _marked_values(part, value)
    if isinstance(value, list):
        for item in value:
            yield from _marked_values(schema.get("items", {}), item)
    elif isinstance(value, dict):
        for name, of_name in schema.get("properties", {}).items():
            if EXTENSION in of_name:
                yield name, value.get(name), of_name[EXTENSION]
            yield from _marked_values(of_name, value.get(name))
