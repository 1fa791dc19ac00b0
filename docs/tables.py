"""
What docs/ and README.rst say of the registry, the declared options and the classes of errors: tables and openapi.json.

A test compares them with the files. ``tox exec -e airflow33 -- python docs/tables.py`` writes them into these.
"""

from __future__ import annotations

import inspect
import json
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Callable, Dict, Iterable, Iterator, List, Sequence, Set

if TYPE_CHECKING:
    from native_api.http.legacy.protocol import LegacyName

DOCS = Path(__file__).resolve().parent
README = DOCS.parent / "README.rst"
ERRORS = DOCS / "errors.rst"
OPENAPI = DOCS / "openapi.json"
BEGIN, END = ".. begin {}\n", ".. end {}\n"


def operations() -> str:
    """Return the table of operations."""
    from native_api import registry
    from native_api.http.typed import method_of

    legacy = _legacy_names()
    rows = [
        (
            f"``{operation.name}``",
            method_of(operation),
            operation.effect.value,
            ", ".join(f"``{name}``" for name in sorted(legacy.get(operation.name, ()))),
            operation.summary,
        )
        for operation in registry.every()
    ]
    return _table(("Operation", "Method", "Effect", "``api=`` of the old protocol", "What it does"), rows)


def options() -> str:
    """Return the table of options."""
    from native_api.settings import OPTIONS

    rows = [
        (
            f"``{option.name}``" + (" [1]_" if option.peer else ""),
            f"``{option.default}``" if option.default else "(empty)",
            option.help,
        )
        for option in OPTIONS.values()
    ]
    return _table(("Option", "Default", "Meaning"), rows)


def errors() -> str:
    """Return the table of errors."""
    from native_api.errors import kinds
    from native_api.http.legacy.envelope import STATUSES

    rows = [
        (
            f"``{error.code}``",
            str(int(error.status)) + (f" (old protocol: {int(STATUSES[error])})" if error in STATUSES else ""),
            (inspect.getdoc(error) or "").splitlines()[0],
            ", ".join(f"``{name}``" for name in error.public_data()),
            f"``{error.__name__}``",
        )
        for error in sorted(kinds(), key=lambda error: error.code)
    ]
    return _table(("Code", "Status", "Meaning", "Data", "In Python"), rows)


#: The tables of each file.
TABLES: Dict[Path, Dict[str, Callable[[], str]]] = {
    README: {"operations": operations, "options": options},
    ERRORS: {"errors": errors},
}


def with_tables(file: Path) -> str:
    """Return the text of *file* with each table between its markers as it must be."""
    text = file.read_text(encoding="utf-8")
    for name, table in TABLES[file].items():
        begin, end = BEGIN.format(name), END.format(name)
        before, found, rest = text.partition(begin)
        _, found_end, after = rest.partition(end)
        if not (found and found_end):
            raise ValueError(f"{file.name} lacks '{begin.strip()}' or, after it, '{end.strip()}'")
        text = f"{before}{begin}\n{table()}\n{end}{after}"
    return text


def openapi() -> str:
    """Return the text of openapi.json: the document as every server gives it."""
    from native_api.http.openapi import document

    return json.dumps(document(), sort_keys=True, indent=1, ensure_ascii=False) + "\n"


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [".. list-table::", "   :header-rows: 1", ""]
    for row in (head, *rows):
        lines += [f"   {'* -' if number == 0 else '  -'} {cell}".rstrip() for number, cell in enumerate(row)]
    return "\n".join(lines) + "\n"


def _legacy_names() -> Dict[str, Set[str]]:
    """
    Return, for each operation, the names of the old protocol that lead to it, found by asking their planners.

    :raises ValueError: nothing that was tried leads from a name to an operation.
    """
    from native_api.http.legacy import protocol

    found: Dict[str, Set[str]] = {}
    for name in protocol.every().values():
        operations = set(_planned(name))
        if not operations:
            raise ValueError(f"No arguments are tried here that '{name.name}' takes")
        for operation in operations:
            found.setdefault(operation, set()).add(name.name)
    return found


def _planned(name: LegacyName) -> Iterator[str]:
    from native_api.errors import NativeApiError
    from native_api.http.legacy.protocol import Arguments
    from native_api.uploads import Upload

    files = {"dag_file": Upload(b"", "a.py")}
    for query in _queries(name.required, sorted(name.arguments)):
        with suppress(NativeApiError):
            yield name.plan(Arguments(query, {}, files)).operation


def _queries(required: Sequence[str], arguments: List[str]) -> Iterator[Dict[str, str]]:
    """Give queries with what is required and, besides, nothing, one argument as a checkbox or a text, or all."""
    always = {name: "a" for name in required}
    yield always
    for argument in arguments:
        for value in ("on", "a b"):
            yield {**always, argument: value}
        yield {**dict.fromkeys(arguments, "off"), **always, argument: "on"}


if __name__ == "__main__":
    for changed in TABLES:
        changed.write_text(with_tables(changed), encoding="utf-8")
    OPENAPI.write_text(openapi(), encoding="utf-8")
