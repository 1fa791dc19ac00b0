"""What older Airflow 3 does otherwise."""

from __future__ import annotations

from typing import Any, Dict

from native_api.adapters.seam.newest import Airflow, Lines


class Airflow30(Airflow):
    """Airflow 3.0."""

    # The masker moved to the shared library in 3.1.
    secrets_masker = "airflow.sdk.execution_time.secrets_masker"

    def _triggering_user(self, name: str) -> Dict[str, Any]:
        # trigger_dag has no triggering_user_name before 3.1.
        return {}


LINES: Lines = (((3, 1), Airflow), ((3, 0), Airflow30))
