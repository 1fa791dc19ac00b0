"""Airflow DAGs with runs of their own: a schedule to backfill, and a task with a queue that one worker has."""

from __future__ import annotations

import datetime
import os
import time

try:
    from airflow.providers.standard.operators.bash import BashOperator
    from airflow.sdk import DAG, task
except ImportError:
    from airflow.decorators import task
    from airflow.models.dag import DAG
    from airflow.operators.bash import BashOperator

if os.environ.get("NATIVE_API_TESTS_NO_DAG_CODE"):
    raise RuntimeError("This process must not execute DAG code.")


@task(queue="special")
def special() -> str:
    """Return where it runs."""
    return os.environ["AIRFLOW_HOME"]


@task
def slow() -> str:
    """Take longer than a web server to be killed."""
    time.sleep(6)
    return "slept"


DEFAULTS = {"start_date": datetime.datetime(2024, 1, 1), "catchup": False, "is_paused_upon_creation": False}

with DAG("queues", schedule=None, **DEFAULTS):
    special()
    slow()

for dag_id in ("daily", "run_locally", "deleted"):
    with DAG(dag_id, schedule="@daily", **{**DEFAULTS, "is_paused_upon_creation": True}):
        BashOperator(task_id="only", bash_command="echo {{ ds }}")
