"""DAGs for the servers under test."""

from __future__ import annotations

import datetime
from typing import Any, Dict

try:
    from airflow.sdk import DAG, task
except ImportError:
    from airflow.decorators import task
    from airflow.models.dag import DAG

SETTINGS = {"schedule": None, "start_date": datetime.datetime(2024, 1, 1), "catchup": False}


@task
def succeed() -> None:
    """Do nothing."""


@task
def count() -> Dict[str, Any]:
    """Return something, a secret in it."""
    return {"rows": 3, "day": datetime.date(2024, 1, 1), "password": "hunter2"}


@task(retries=0)
def fail() -> None:
    """Fail."""
    raise RuntimeError("This task fails.")


with DAG("two_tasks", **SETTINGS):
    count.override(task_id="first")() >> succeed.override(task_id="second")()

with DAG("broken", **SETTINGS):
    fail.override(task_id="breaks")() >> succeed.override(task_id="follows")()

for dag_id in ("mine", "team.mine", "others", "team.others"):
    with DAG(dag_id, **SETTINGS) as dag:
        succeed.override(task_id="only")()
    globals()[dag_id] = dag
