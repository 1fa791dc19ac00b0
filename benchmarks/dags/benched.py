"""The DAG whose runs and task instances the benchmarks copy."""

from __future__ import annotations

import datetime

try:
    from airflow.providers.standard.operators.empty import EmptyOperator
    from airflow.sdk import DAG
except ImportError:
    from airflow.models.dag import DAG
    from airflow.operators.empty import EmptyOperator

with DAG("benched", schedule=None, start_date=datetime.datetime(2020, 1, 1), catchup=False, tags=["bench"]):
    for number in range(10):
        EmptyOperator(task_id=f"task_{number}")
