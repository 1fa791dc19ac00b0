"""
JSON as RFC 8259 defines it, with a maximum depth.

Python's parser also accepts NaN and Infinity, and fails on values that are nested as deeply as its stack.
"""

from __future__ import annotations

import json
from typing import Any, Union

#: Maximum depth of nested arrays and objects. Python's own limit is that of its stack.
DEPTH = 100


class TooDeep(ValueError):
    """The value is nested too deeply."""

    def __init__(self) -> None:
        super().__init__(f"nested deeper than {DEPTH} levels")


def loads(text: Union[str, bytes]) -> Any:
    """
    Return the value of a JSON text.

    :raises ValueError: it is not JSON, or is nested too deeply.
    """
    try:
        read = json.loads(text, parse_constant=_refuse_constant)
    except RecursionError as exc:
        raise TooDeep from exc
    if is_too_deep(read):
        raise TooDeep
    return read


def is_too_deep(value: Any) -> bool:
    """Return whether *value* is nested deeper than the maximum."""
    level = [value]
    for _ in range(DEPTH + 1):
        # Once each: what code makes may have the same thing in it many times, or itself.
        level = list({id(inner): inner for inner in level if isinstance(inner, (dict, list, tuple))}.values())
        if not level:
            return False
        level = [inner for outer in level for inner in (outer.values() if isinstance(outer, dict) else outer)]
    return True


def plain(value: object, too_deep: str) -> Any:
    """
    Return *value* with text keys and without NaN and Infinity, which become text.

    :param too_deep: replaces what is nested too deeply.
    """
    return _plain(value, too_deep, 2 * DEPTH)


def _plain(value: object, too_deep: str, levels: int) -> Any:
    if isinstance(value, (dict, list, tuple)) and not levels:
        return too_deep
    if isinstance(value, dict):
        return {str(name): _plain(inner, too_deep, levels - 1) for name, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(inner, too_deep, levels - 1) for inner in value]
    if isinstance(value, float) and value - value != 0:
        return str(value)
    return value


def _refuse_constant(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")
