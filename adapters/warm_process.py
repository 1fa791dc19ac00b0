"""The entry point of the warm process; it imports every operation, and so the functions of all jobs."""

from __future__ import annotations

import native_api.adapters.catalogue  # noqa: F401
from native_api.adapters.sandbox.server import main

__all__ = ["main"]
