"""
The only place that knows one Airflow from another.

``airflow()`` gives the implementation for the Airflow of this process; callers never ask which one it is.
``newest.py`` is the newest Airflow's behaviour, ``airflow3.py`` and ``airflow2.py`` override what older ones do
otherwise, and ``rights.py`` is the same for users and their rights. Modules of this package ask ``installed.py``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from native_api.adapters.compat.installed import (
    airflow,
    chosen_by,
    of_this_version,
    refusal,
    text_of,
    version,
)

if TYPE_CHECKING:
    from native_api.adapters.compat.newest import Airflow

__all__ = ["airflow", "refusal", "text_of", "version"]


def _choice() -> Airflow:
    if version() < (3, 0):
        from native_api.adapters.compat.airflow2 import LINES as lines
    else:
        from native_api.adapters.compat.airflow3 import LINES as lines
    return of_this_version(lines)


chosen_by(_choice)
