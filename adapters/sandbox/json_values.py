"""Values of user code as JSON can hold them."""

from __future__ import annotations

import json
import reprlib
from typing import Any, Dict

from native_api.adapters.fields.strict_json import is_too_deep
from native_api.adapters.sandbox.redaction import hidden


def held(value: Any, name: str = "value") -> Dict[str, Any]:
    """
    Return *value* under its name where JSON can hold it, else what ``repr`` makes of it; and which of both it is.

    A tuple is a list to JSON, and keys are text. What is secret is hidden.
    """
    if is_too_deep(value):
        return {name: hidden(shallow(value)), f"{name}_is_repr": True}
    shown = hidden(value)
    try:
        return {name: json.loads(json.dumps(shown, allow_nan=False)), f"{name}_is_repr": False}
    except (TypeError, ValueError, RecursionError):
        return {name: hidden(repr(shown)), f"{name}_is_repr": True}


def shallow(value: Any) -> Any:
    """Return *value*, or, where it is nested too deeply to be looked into, its outer levels as text."""
    return reprlib.repr(value) if is_too_deep(value) else value
