"""The hostname of the web server, and ids that contain it."""

from __future__ import annotations

import re
import uuid
from typing import Optional

#: An id: random, followed by the hostname.
ID = re.compile(r"[0-9a-f]{32}(?:\.([A-Za-z0-9-][A-Za-z0-9.-]{0,99}))?")


def hostname() -> str:
    """Return the name of this host, as Airflow's option ``[core] hostname_callable`` determines it."""
    from airflow.utils.net import get_hostname

    return str(get_hostname())


def new_id() -> str:
    """Return a new random id with the name of this host."""
    return f"{uuid.uuid4().hex}.{_in_ids(hostname())}"


def other_host_of(some_id: str) -> Optional[str]:
    """Return the hostname in an id, or None if it has none or that of this host."""
    found = ID.fullmatch(some_id)
    name = found.group(1) if found else None
    return None if name in (None, _in_ids(hostname())) else name


def _in_ids(name: str) -> str:
    """Return a hostname as in ids, which are parts of paths and URLs."""
    return re.sub(r"[^A-Za-z0-9.-]", "-", name).lstrip(".")[:100] or "localhost"
