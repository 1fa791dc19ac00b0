"""The host that this web server runs on, by the name that Airflow has for it, and ids that carry it."""

from __future__ import annotations

import re
import uuid
from typing import Optional

#: An id: random, and since 0.1 with the name of its host.
ID = re.compile(r"[0-9a-f]{32}(?:\.([A-Za-z0-9-][A-Za-z0-9.-]{0,99}))?")


def hostname() -> str:
    """Return the name of this host, as the option ``[core] hostname_callable`` of Airflow has it."""
    from airflow.utils.net import get_hostname

    return str(get_hostname())


def new_id() -> str:
    """Return a new id of something that this host has."""
    return f"{uuid.uuid4().hex}.{_in_ids(hostname())}"


def other_host_of(some_id: str) -> Optional[str]:
    """Return the name of the host that an id carries, None where it carries none, or this one's."""
    found = ID.fullmatch(some_id)
    name = found.group(1) if found else None
    return None if name in (None, _in_ids(hostname())) else name


def _in_ids(name: str) -> str:
    """Return a name as ids have it, which are parts of paths and URLs."""
    return re.sub(r"[^A-Za-z0-9.-]", "-", name).lstrip(".")[:100] or "localhost"
