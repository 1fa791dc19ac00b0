"""
JSON as its standard has it, and nested no deeper than anybody nests it.

Python's own takes NaN and Infinity besides, and fails where something is nested as deeply as its stack.
"""

from __future__ import annotations

import json
from typing import Any, Union

#: How deep arrays and objects may be nested in each other. Python's own limit is that of its stack.
DEPTH = 100


class TooDeep(ValueError):
    """What is nested is nested too deeply."""

    def __init__(self) -> None:
        super().__init__(f"nested deeper than {DEPTH} levels")


def loads(text: Union[str, bytes]) -> Any:
    """Return what a JSON text says; raise :class:`ValueError` where it is none, or is nested too deeply."""
    try:
        read = json.loads(text, parse_constant=_refuse_constant)
    except RecursionError as exc:
        raise TooDeep from exc
    if is_too_deep(read):
        raise TooDeep
    return read


def is_too_deep(value: Any) -> bool:
    """Return whether arrays and objects are nested deeper in *value* than they may be."""
    level = [value]
    for _ in range(DEPTH + 1):
        # Once each: what code makes may have the same thing in it many times, or itself.
        level = list({id(inner): inner for inner in level if isinstance(inner, (dict, list, tuple))}.values())
        if not level:
            return False
        level = [inner for outer in level for inner in (outer.values() if isinstance(outer, dict) else outer)]
    return True


def plain(value: Any, too_deep: str) -> Any:
    """
    Return *value* as JSON can hold it, whoever has stored it: keys are text, and so is what is no number of JSON.

    :param too_deep: stands for what is nested too deeply.
    """
    return _plain(value, too_deep, 2 * DEPTH)


def _plain(value: Any, too_deep: str, levels: int) -> Any:
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
