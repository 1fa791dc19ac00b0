"""
The only place that knows one Airflow from another.

``airflow()`` gives the implementation for the Airflow of this process; callers never ask which one it is.
``interface`` says what it offers, and ``airflow2`` and ``airflow3`` implement that side by side: the modules have the
same names, and neither generation inherits from the other, or imports it. Modules of this package ask ``installed.py``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from native_api.adapters.compat.installed import airflow, chosen_by, refusal, text_of, version

if TYPE_CHECKING:
    from native_api.adapters.compat.interface import Airflow

__all__ = ["airflow", "refusal", "text_of", "version"]


def _choice() -> Airflow:
    if version() < (3, 0):
        from native_api.adapters.compat.airflow2 import VERSIONS
    else:
        from native_api.adapters.compat.airflow3 import VERSIONS
    return next(row for row in VERSIONS if version() >= row.since).assembled()


chosen_by(_choice)
