"""The names of the old protocol by operation, for the documentation and the console."""

from __future__ import annotations

from contextlib import suppress
from functools import lru_cache
from io import BytesIO
from typing import Dict, FrozenSet, Iterator, List, Sequence, Set

from werkzeug.datastructures import MultiDict

import native_api.http.legacy.names  # noqa: F401
from native_api.errors import NativeApiError
from native_api.http.legacy import protocol
from native_api.http.legacy.protocol import Arguments, LegacyName
from native_api.uploads import Upload


@lru_cache(maxsize=None)
def names_by_operation() -> Dict[str, FrozenSet[str]]:
    """
    Return, for each operation, the names of the old protocol that call it, found by trying their planners.

    :raises ValueError: no tried arguments lead from a name to an operation.
    """
    found: Dict[str, Set[str]] = {}
    for name in protocol.every().values():
        operations = set(_planned(name))
        if not operations:
            raise ValueError(f"No arguments are tried here that '{name.name}' takes")
        for operation in operations:
            found.setdefault(operation, set()).add(name.name)
    return {operation: frozenset(names) for operation, names in found.items()}


def _planned(name: LegacyName) -> Iterator[str]:
    files = {"dag_file": Upload(BytesIO(), "a.py")}
    for query in _queries(name.required, sorted(name.arguments)):
        with suppress(NativeApiError):
            yield name.plan(Arguments(MultiDict(query), MultiDict(), files)).operation


def _queries(required: Sequence[str], arguments: List[str]) -> Iterator[Dict[str, str]]:
    """Yield queries with the required arguments and none, one or all others, as a checkbox or a text."""
    always = {name: "a" for name in required}
    yield always
    for argument in arguments:
        for value in ("on", "a b"):
            yield {**always, argument: value}
        yield {**dict.fromkeys(arguments, "off"), **always, argument: "on"}
