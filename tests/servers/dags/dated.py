"""A DAG with a schedule, for the servers under test; catchup makes of every hole a run."""

from __future__ import annotations

import datetime

from airflow.timetables.interval import CronDataIntervalTimetable

try:
    from airflow.sdk import DAG, task
except ImportError:
    from airflow.decorators import task
    from airflow.models.dag import DAG


@task
def succeed() -> None:
    """Do nothing."""


with DAG(
    "dated",
    schedule=CronDataIntervalTimetable("@daily", timezone="UTC"),
    start_date=datetime.datetime(2024, 1, 1),
    catchup=True,
    max_active_runs=2,
):
    succeed.override(task_id="only")()
