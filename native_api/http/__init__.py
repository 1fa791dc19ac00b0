"""The HTTP interfaces. They translate requests and responses; operations and Airflow are called by ``dispatch``."""

from __future__ import annotations

#: The path of everything but the legacy protocol.
PREFIX = "/native_api"
