"""Which Airflow this is, and which tests are for it."""

from __future__ import annotations

from importlib.util import find_spec

import pytest

from native_api.adapters.seam import version

AIRFLOW = version()
#: Airflow 2 always has FAB; Airflow 3 where the provider is installed.
HAS_FAB = AIRFLOW < (3, 0) or (find_spec("airflow.providers.fab") is not None)


def on(*minors: str, fab: bool = False) -> pytest.MarkDecorator:
    """Skip on other minors than these, where the tests in process say the same in less time."""
    wanted = {tuple(int(number) for number in minor.split(".")) for minor in minors}
    here = AIRFLOW in wanted and (HAS_FAB or not fab)
    with_fab = " with the FAB provider" if fab and AIRFLOW >= (3, 0) else ""
    return pytest.mark.skipif(
        not here, reason=f"Real servers are started for this on Airflow {', '.join(minors)}{with_fab} only"
    )
