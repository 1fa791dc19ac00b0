"""Values of DAG code as JSON."""

from __future__ import annotations

import json
import reprlib
from typing import Dict

from native_api.adapters.fields.strict_json import is_too_deep
from native_api.adapters.sandbox.redaction import redacted


def json_value(value: object, name: str = "value") -> Dict[str, object]:
    """
    Return ``{name: value, f"{name}_is_repr": False}``, or the ``repr`` of the value and True if it is not JSON.

    A tuple becomes a list, and keys become strings. Secrets are masked.
    """
    if is_too_deep(value):
        return {name: redacted(shallow(value)), f"{name}_is_repr": True}
    shown = redacted(value)
    try:
        return {name: json.loads(json.dumps(shown, allow_nan=False)), f"{name}_is_repr": False}
    except (TypeError, ValueError, RecursionError):
        return {name: redacted(repr(shown)), f"{name}_is_repr": True}


def shallow(value: object) -> object:
    """Return *value*, or a shortened ``repr`` of it if it is nested too deeply."""
    return reprlib.repr(value) if is_too_deep(value) else value
