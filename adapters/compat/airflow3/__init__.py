"""
Airflow 3.

The newest minor is the base, and older ones override what they do otherwise. An Airflow newer than all of them gets the
newest.
"""

from __future__ import annotations

from native_api.adapters.compat.airflow3.airflow import Airflow3, Airflow30, Airflow31, Airflow32, Airflow33
from native_api.adapters.compat.airflow3.backfills import Backfills3, Backfills30, Backfills31
from native_api.adapters.compat.airflow3.dag_files import DagFiles3, DagFiles30, DagFiles32, DagFiles33
from native_api.adapters.compat.airflow3.logs import Logs3, Logs31, Logs33
from native_api.adapters.compat.airflow3.rights import Rights3
from native_api.adapters.compat.airflow3.running import Running3, Running30, Running31, Running32, Running33
from native_api.adapters.compat.airflow3.test_runs import TestRuns3, TestRuns30, TestRuns31
from native_api.adapters.compat.airflow3.user_code import UserCode3, UserCode30, UserCode31, UserCode32
from native_api.adapters.compat.interface import Implementation as For
from native_api.adapters.compat.interface import Table

# fmt: off
#                since  airflow    rights   logs    user_code   running    test_runs   backfills    dag_files
VERSIONS: Table = (
    For((3, 4), Airflow3,  Rights3, Logs3,  UserCode3,  Running3,  TestRuns3,  Backfills3,  DagFiles3),
    For((3, 3), Airflow33, Rights3, Logs33, UserCode3,  Running33, TestRuns3,  Backfills3,  DagFiles33),
    For((3, 2), Airflow32, Rights3, Logs33, UserCode32, Running32, TestRuns3,  Backfills3,  DagFiles32),
    For((3, 1), Airflow31, Rights3, Logs31, UserCode31, Running31, TestRuns31, Backfills31, DagFiles32),
    For((3, 0), Airflow30, Rights3, Logs31, UserCode30, Running30, TestRuns30, Backfills30, DagFiles30),
)
# fmt: on
