"""Values of user code as JSON can hold them."""

from __future__ import annotations

import json
from typing import Any, Dict


def held(value: Any, name: str = "value") -> Dict[str, Any]:
    """
    Return *value* under its name where JSON can hold it, else what ``repr`` makes of it; and which of both it is.

    A tuple is a list to JSON, and keys are text.
    """
    try:
        return {name: json.loads(json.dumps(value, allow_nan=False)), f"{name}_is_repr": False}
    except (TypeError, ValueError, RecursionError):
        return {name: repr(value), f"{name}_is_repr": True}
