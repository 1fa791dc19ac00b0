"""An airflow DAG file with what backfills ask for: dates, the past, mapped tasks, params, schedules without dates."""

from __future__ import annotations

import pendulum
from airflow import DAG
from airflow.timetables.interval import CronDataIntervalTimetable

try:
    from airflow.providers.standard.operators.bash import BashOperator
except ImportError:
    from airflow.operators.bash import BashOperator

try:
    from airflow.sdk import Param, task
except ImportError:
    from airflow.decorators import task
    from airflow.models.param import Param

START = pendulum.datetime(2020, 1, 1, tz="UTC")
DAILY = {
    "start_date": START,
    "schedule": CronDataIntervalTimetable("@daily", timezone="UTC"),
    "catchup": True,
    "max_active_runs": 4,
}

with DAG("daily", **DAILY) as daily:
    for branch in ("left", "right"):
        (
            BashOperator(task_id=f"get_{branch}", bash_command="true")
            >> BashOperator(task_id=f"sum_{branch}", bash_command="true")
            >> BashOperator(task_id=f"put_{branch}", bash_command="true")
        )

with DAG("daily_with_past", default_args={"depends_on_past": True}, **DAILY) as daily_with_past:
    BashOperator(task_id="count", bash_command="true")

with DAG("daily_sleeping", default_args={"depends_on_past": True}, **DAILY) as daily_sleeping:
    BashOperator(task_id="sleep", bash_command="sleep 600")

with DAG("daily_mapped", **DAILY) as daily_mapped:

    @task
    def double(number):
        return 2 * number

    double.expand(number=[1, 2])

with DAG("daily_with_params", params={"count": Param(1, type="integer", minimum=1)}, **DAILY) as daily_with_params:
    BashOperator(task_id="count", bash_command="echo {{ params.count }}")

with DAG("once", start_date=START, schedule="@once") as once:
    BashOperator(task_id="only", bash_command="true")
