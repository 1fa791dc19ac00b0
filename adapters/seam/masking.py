"""Hides what Airflow calls sensitive, by name only, so that the answer never depends on what was read before."""

from __future__ import annotations

import json
from typing import Any, Callable, Optional

MASK = "***"


def masked(value: Any, name: Optional[str], is_sensitive: Callable[[Optional[str]], bool]) -> Any:
    """Return *value* with ``***`` for what *is_sensitive* names; text that is JSON is looked into."""
    if value is None:
        return None
    if isinstance(name, str) and is_sensitive(name):
        return MASK
    if isinstance(value, dict):
        return {key: masked(item, key, is_sensitive) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [masked(item, None, is_sensitive) for item in value]
    if isinstance(value, str) and value.lstrip()[:1] in ("{", "["):
        return _masked_json(value, is_sensitive)
    return value


def _masked_json(text: str, is_sensitive: Callable[[Optional[str]], bool]) -> str:
    try:
        content = json.loads(text)
    except ValueError:
        return text
    hidden = masked(content, None, is_sensitive)
    return text if hidden == content else json.dumps(hidden)
