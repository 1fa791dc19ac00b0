"""
The only place that knows one Airflow from another.

``airflow()`` gives the implementation for the Airflow of this process; callers never ask which one it is.
``newest.py`` is the newest Airflow's behaviour, ``airflow3.py`` and ``airflow2.py`` override what older ones do
otherwise, and ``rights.py`` is the same for users and their rights.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any, Optional, Tuple, Type, TypeVar

if TYPE_CHECKING:
    from native_api.adapters.compat.newest import Airflow

FLOOR = (2, 7)

T = TypeVar("T")


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
    return f"airflow-native-api needs Apache Airflow {floor} or newer and found {found}; it stays switched off."


def of_this_version(lines: Tuple[Tuple[Tuple[int, int], Type[T]], ...]) -> T:
    """
    Return the implementation for the installed Airflow; one that is newer than all known gets the newest.

    :param lines: since which version, and the implementation; the newest first.
    """
    return next(implementation for since, implementation in lines if version() >= since)()


def text_of(member: Any) -> Optional[str]:
    """Return a state or a type as text, or None; Airflow has a text where it was read, else a member of an enum."""
    return None if member is None else str(getattr(member, "value", member))


@lru_cache(maxsize=None)
def airflow() -> Airflow:
    """Return the implementation for the installed Airflow."""
    sentence = refusal()
    if sentence:
        raise RuntimeError(sentence)
    if version() < (3, 0):
        from native_api.adapters.compat.airflow2 import LINES as lines
    else:
        from native_api.adapters.compat.airflow3 import LINES as lines
    return of_this_version(lines)
