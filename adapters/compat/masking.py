"""Mask sensitive values by their names only, so that a response does not depend on what was read before."""

from __future__ import annotations

import json
from typing import Any, Callable, Optional

from native_api.adapters.fields.strict_json import DEPTH

MASK = "***"

IsSensitive = Callable[[Optional[str]], bool]


def masked(value: object, name: Optional[str], is_sensitive: IsSensitive, levels: int = DEPTH) -> Any:
    """
    Return *value* with ``***`` for what *is_sensitive* names; text that is JSON is looked into.

    :param levels: how deep it is looked into; what is nested deeper is ``***`` too.
    """
    if value is None:
        return None
    if isinstance(name, str) and is_sensitive(name):
        return MASK
    if isinstance(value, str):
        return _masked_json(value, is_sensitive, levels) if value.lstrip()[:1] in ("{", "[") else value
    if isinstance(value, (dict, list, tuple)) and not levels:
        return MASK
    if isinstance(value, dict):
        return {key: masked(item, key, is_sensitive, levels - 1) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [masked(item, None, is_sensitive, levels - 1) for item in value]
    return value


def _masked_json(text: str, is_sensitive: IsSensitive, levels: int) -> str:
    try:
        content = json.loads(text)
    except json.JSONDecodeError:
        return text
    except (ValueError, RecursionError):
        # JSON that Python cannot parse: nested too deeply, or with a number of too many digits.
        return MASK
    hidden = masked(content, None, is_sensitive, levels)
    return text if hidden == content else json.dumps(hidden)
