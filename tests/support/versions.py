"""The version of Airflow, and which tests run on it."""

from __future__ import annotations

from importlib.util import find_spec
from typing import Tuple

import pytest

from native_api.adapters.compat import version

AIRFLOW = version()
#: Airflow 2 always has FAB; Airflow 3 where the provider is installed.
HAS_FAB = AIRFLOW < (3, 0) or (find_spec("airflow.providers.fab") is not None)


def numbers(minor: str) -> Tuple[int, ...]:
    """Return a minor version, such as 2.11, as numbers."""
    return tuple(int(number) for number in minor.split("."))


def on(*minors: str, fab: bool = False) -> pytest.MarkDecorator:
    """Skip on other minors than these, where faster tests in this process cover the same."""
    here = AIRFLOW in map(numbers, minors) and (HAS_FAB or not fab)
    with_fab = " with the FAB provider" if fab and AIRFLOW >= (3, 0) else ""
    return pytest.mark.skipif(
        not here, reason=f"Real servers are started for this on Airflow {', '.join(minors)}{with_fab} only"
    )


#: One server is enough for Airflow 3.3 without FAB: 3.0 and 3.2 start the others without FAB, and 3.3 with it.
with_fab_on_33 = pytest.mark.skipif(
    AIRFLOW == (3, 3) and not HAS_FAB,
    reason="A server is started for this on Airflow 3.3 with the FAB provider, and on 3.0 without",
)


def by_default_on(*minors: str) -> pytest.MarkDecorator:
    """Skip on other minors, which have the same code as a neighbour, unless ``--every-version`` is given."""
    return pytest.mark.by_default_on(*minors)
