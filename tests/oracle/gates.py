"""Keeps the comparisons of operations that are still to come for the day they are registered."""

from __future__ import annotations

from typing import Any

import pytest

from native_api import operations


def needs(*names: str) -> Any:
    """Return the mark of a test whose operations may still be to come."""
    missing = sorted(operations.PLANNED & set(names))
    return pytest.mark.skipif(bool(missing), reason=f"planned, not registered yet: {', '.join(missing)}")
