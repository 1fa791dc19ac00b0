"""
Airflow 2.

The newest minor is the base, and older ones override what they do otherwise.
"""

from __future__ import annotations

from native_api.adapters.compat.airflow2.airflow import Airflow2, Airflow27, Airflow28
from native_api.adapters.compat.airflow2.backfills import Backfills2
from native_api.adapters.compat.airflow2.dag_files import DagFiles2, DagFiles27, DagFiles29
from native_api.adapters.compat.airflow2.logs import Logs2, Logs28, Logs29
from native_api.adapters.compat.airflow2.rights import Rights2, Rights27, Rights28
from native_api.adapters.compat.airflow2.running import Running2, Running28, Running29
from native_api.adapters.compat.airflow2.test_runs import TestRuns2, TestRuns28
from native_api.adapters.compat.airflow2.user_code import UserCode2
from native_api.adapters.compat.interface import Implementation as For
from native_api.adapters.compat.interface import Table

# fmt: off
#                since   airflow    rights    logs    user_code  running    test_runs   backfills   dag_files
VERSIONS: Table = (
    For((2, 10), Airflow2,  Rights2,  Logs2,  UserCode2, Running2,  TestRuns2,  Backfills2, DagFiles2),
    For((2, 9),  Airflow2,  Rights2,  Logs29, UserCode2, Running29, TestRuns2,  Backfills2, DagFiles29),
    For((2, 8),  Airflow28, Rights28, Logs28, UserCode2, Running28, TestRuns28, Backfills2, DagFiles29),
    For((2, 7),  Airflow27, Rights27, Logs29, UserCode2, Running28, TestRuns28, Backfills2, DagFiles27),
)
# fmt: on
