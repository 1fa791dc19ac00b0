"""Values of user code as JSON can hold them."""

from __future__ import annotations

import json
from typing import Any, Dict

from native_api.adapters.sandbox.hiding import hidden


def held(value: Any, name: str = "value") -> Dict[str, Any]:
    """
    Return *value* under its name where JSON can hold it, else what ``repr`` makes of it; and which of both it is.

    A tuple is a list to JSON, and keys are text. What is secret is hidden.
    """
    shown = hidden(value)
    try:
        return {name: json.loads(json.dumps(shown, allow_nan=False)), f"{name}_is_repr": False}
    except (TypeError, ValueError, RecursionError):
        return {name: hidden(repr(shown)), f"{name}_is_repr": True}
