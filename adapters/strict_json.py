"""JSON as its standard has it; Python's own reader takes NaN and Infinity besides."""

from __future__ import annotations

import json
from typing import Any, Union


def loads(text: Union[str, bytes]) -> Any:
    """Return what a JSON text says; raise :class:`ValueError` where it is none."""
    return json.loads(text, parse_constant=_refuse_constant)


def _refuse_constant(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")
