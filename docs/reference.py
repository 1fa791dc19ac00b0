"""The reference of the operations, a page for each noun, made from the registry and the OpenAPI document."""

from __future__ import annotations

import inspect
import json
import shlex
from pathlib import Path
from typing import Any, Dict, Iterator, List, Mapping
from urllib.parse import urlencode

import native_api.adapters.catalogue  # noqa: F401
from native_api import registry
from native_api.effects import Effect
from native_api.http.legacy.name_index import names_by_operation
from native_api.http.openapi import document
from native_api.http.typed import method_of
from native_api.possible_errors import common_errors
from native_api.registry import Operation

BASE = "http://localhost:8080/native_api/v1"


def write(folder: Path) -> None:
    """Write the pages into a folder of their own."""
    folder.mkdir(exist_ok=True)
    described, names = document(), names_by_operation()
    by_tag: Dict[str, List[Operation]] = {}
    for operation in registry.every():
        by_tag.setdefault(operation.tag, []).append(operation)
    pages = []
    for tag in sorted(by_tag):
        page = tag.lower().replace(" ", "-")
        pages.append(page)
        texts = [_operation(operation, described, names.get(operation.name, ())) for operation in by_tag[tag]]
        (folder / f"{page}.rst").write_text(_titled(tag, "=") + "\n".join(texts), encoding="utf-8")
    index = _titled("Reference of the operations", "=") + "\n".join(INTRODUCTION) + "\n\n.. toctree::\n\n"
    (folder / "index.rst").write_text(index + "".join(f"   {page}\n" for page in pages), encoding="utf-8")


INTRODUCTION = (
    "The operations by noun. ``GET`` takes the arguments in the query string, ``POST`` in the body, as JSON or as a",
    "form. Each operation lists the errors of its own; :doc:`/errors` has those of every operation, and what each code",
    "means.",
)


def _titled(title: str, line: str) -> str:
    return f"{title}\n{line * len(title)}\n\n"


def _operation(operation: Operation, described: Mapping[str, Any], names: Any) -> str:
    (of_path,) = described["paths"][f"/{operation.name}"].values()
    facts = [
        f"| ``{method_of(operation)} /native_api/v1/{operation.name}``",
        f"| Effect: ``{operation.effect.value}``",
        f"| Permissions: {_rights(operation)}",
    ]
    if names:
        facts.append("| Old protocol: " + ", ".join(f"``api={name}``" for name in sorted(names)))
    parts = [
        f".. _operation-{operation.name}:\n\n" + _titled(operation.name, "-").rstrip(),
        operation.text,
        "\n".join(facts),
        _fields("Argument", _arguments(of_path, described)),
        "\n".join(_examples(operation)),
        _result(of_path),
        _fields("Field of the result", _properties(_schema_of(of_path, described), described)),
        _errors(operation),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _rights(operation: Operation) -> str:
    if operation.effect in (Effect.DEPLOY, Effect.DAEMON):
        return "administrators"
    rights = [access.describe(None) for access in operation.access]
    return ", ".join(rights) if rights else "every authenticated caller"


def _arguments(of_path: Mapping[str, Any], described: Mapping[str, Any]) -> Iterator[List[str]]:
    if "requestBody" not in of_path:
        for parameter in of_path.get("parameters", ()):
            yield _row(parameter["name"], parameter["schema"], parameter, parameter["required"])
        return
    (body,) = of_path["requestBody"]["content"].values()
    yield from _properties(body["schema"], described)


def _properties(schema: Mapping[str, Any], described: Mapping[str, Any]) -> Iterator[List[str]]:
    if "$ref" in schema:
        schema = described["components"]["schemas"][schema["$ref"].rpartition("/")[2]]
    for name in sorted(schema.get("properties", {})):
        of_name = schema["properties"][name]
        yield _row(name, of_name, of_name, name in schema.get("required", ()))


def _row(name: str, schema: Mapping[str, Any], described: Mapping[str, Any], required: bool) -> List[str]:
    kind = schema.get("format") or schema.get("type") or schema.get("$ref", "object").rpartition("/")[2]
    if kind == "array":
        items = schema.get("items", {})
        kind = f"array of {items.get('type') or items.get('$ref', 'object').rpartition('/')[2]}"
    if "enum" in schema:
        kind = " | ".join(f"``{choice}``" for choice in schema["enum"] if choice is not None)
    default = "" if schema.get("default") is None else f" Default: ``{json.dumps(schema['default'])}``."
    text = str(described.get("description", "")).replace("*", "\\*").replace("_ ", "\\_ ")
    return [f"``{name}``" + (" (required)" if required else ""), kind, text + default]


def _fields(heading: str, rows: Iterator[List[str]]) -> str:
    lines = ["   * - " + "\n     - ".join(row) for row in rows]
    if not lines:
        return ""
    head = f"   * - {heading}\n     - Type\n     - Meaning"
    widths = ".. list-table::\n   :header-rows: 1\n   :widths: 25 20 55\n\n"
    return widths + "\n".join([head, *(line.replace("- \n", "-\n").rstrip() for line in lines)])


def _errors(operation: Operation) -> str:
    """Return the table of the operation's own errors."""
    own = sorted({*operation.errors} - {*common_errors(operation)}, key=lambda error: (error.status, error.code))
    lines = [
        f"   * - {int(error.status)}\n     - ``{error.code}``\n     - {(inspect.getdoc(error) or '').splitlines()[0]}"
        for error in own
    ]
    if not lines:
        return ""
    head = "   * - Status\n     - Code\n     - Meaning"
    return ".. list-table::\n   :header-rows: 1\n   :widths: 10 30 60\n\n" + "\n".join([head, *lines])


def _examples(operation: Operation) -> Iterator[str]:
    example = dict(operation.example)
    yield ".. code-block:: console\n"
    yield f"   $ {_curl(operation, example)}\n"
    yield ".. code-block:: python\n"
    arguments = "".join(
        f", {'in_background' if name == 'async' else name}={value!r}" for name, value in example.items()
    )
    yield f'   native_api.call("{operation.name}"{arguments})'


def _curl(operation: Operation, example: Mapping[str, Any]) -> str:
    url = f"{BASE}/{operation.name}"
    words = ["curl", "-H", "Authorization: Bearer $TOKEN"]
    if operation.effect is Effect.READ:
        url += f"?{urlencode(example, doseq=True)}" if example else ""
    elif operation.takes_file:
        words += [word for name, value in example.items() for word in ("-F", f"{name}={_form(name, value)}")]
    else:
        words += ["-H", "Content-Type: application/json", "-d", json.dumps(example)]
    return " ".join('"' + word + '"' if "$TOKEN" in word else shlex.quote(word) for word in [*words, url])


def _form(name: str, value: Any) -> str:
    return "@example_dag.py" if name == "dag_file" else str(value)


def _schema_of(of_path: Mapping[str, Any], described: Mapping[str, Any]) -> Mapping[str, Any]:
    schema: Mapping[str, Any] = of_path["responses"]["200"]["content"]["application/json"]["schema"]
    return schema


def _result(of_path: Mapping[str, Any]) -> str:
    example = of_path["responses"]["200"]["content"]["application/json"].get("example")
    text = json.dumps(example, indent=2, ensure_ascii=False)
    lines = text.splitlines()
    if len(lines) > LINES:
        # A long response shows its beginning: what is in it is in the table below.
        return ".. code-block:: text\n\n" + "\n".join(f"   {line}" for line in [*lines[:LINES], "…"])
    return ".. code-block:: json\n\n" + "\n".join(f"   {line}" for line in lines)


#: The most lines of an example.
LINES = 30
