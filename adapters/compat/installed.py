"""
The installed Airflow: its version, and the implementation for it.

It imports no module of this package, so that each of them can import it. Only ``__init__`` imports the implementations,
and registers the function that selects one.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any, Callable, List, Optional, Tuple

if TYPE_CHECKING:
    from native_api.adapters.compat.interface import Airflow

FLOOR = (2, 7)

_CHOICES: List[Callable[[], Airflow]] = []


def version() -> Tuple[int, int]:
    """Return the minor version of the installed Airflow."""
    from airflow import __version__

    major, minor = __version__.split(".")[:2]
    return int(major), int(minor)


def refusal() -> Optional[str]:
    """Return why the installed Airflow cannot be served, or None where it can."""
    if version() >= FLOOR:
        return None
    floor, found = (".".join(map(str, numbers)) for numbers in (FLOOR, version()))
    return f"airflow-native-api needs Apache Airflow {floor} or newer and found {found}; it is disabled."


def chosen_by(choice: Callable[[], Airflow]) -> None:
    """Register what gives the implementation for the installed Airflow."""
    _CHOICES[:] = [choice]


@lru_cache(maxsize=None)
def airflow() -> Airflow:
    """Return the implementation for the installed Airflow."""
    sentence = refusal()
    if sentence:
        raise RuntimeError(sentence)
    return _CHOICES[0]()


def text_of(member: Any) -> Optional[str]:
    """Return a state or a type as text, or None; Airflow has a text where it was read, else a member of an enum."""
    return None if member is None else str(getattr(member, "value", member))
