"""The entry point of the warm process that jobs are forked from; it imports every operation, and so every job."""

from __future__ import annotations

import native_api.adapters.catalogue  # noqa: F401
from native_api.adapters.sandbox.server import main

__all__ = ["main"]
