"""Values of DAG code as JSON."""

from __future__ import annotations

import json
import reprlib
from typing import Dict, Tuple

from native_api.adapters.fields.strict_json import is_too_deep
from native_api.adapters.sandbox.redaction import redacted


def json_value(value: object, name: str = "value") -> Dict[str, object]:
    """
    Return ``{name: value, f"{name}_is_repr": False}``, or the ``repr`` of the value and True if it is not JSON.

    A tuple becomes a list, and keys become strings. Secrets are masked.
    """
    shown, is_repr = as_json(value)
    return {name: shown, f"{name}_is_repr": is_repr}


def as_json(value: object) -> Tuple[object, bool]:
    """Return the value and False, or its ``repr`` and True, as :func:`json_value`."""
    if is_too_deep(value):
        return redacted(shallow(value)), True
    shown = redacted(value)
    try:
        return json.loads(json.dumps(shown, allow_nan=False)), False
    except (TypeError, ValueError, RecursionError):
        return redacted(repr(shown)), True


def shallow(value: object) -> object:
    """Return *value*, or a shortened ``repr`` of it if it is nested too deeply."""
    return reprlib.repr(value) if is_too_deep(value) else value
