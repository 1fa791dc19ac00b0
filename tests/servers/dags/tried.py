"""An airflow DAG whose tasks write down that they run."""

from __future__ import annotations

import pendulum
from airflow import DAG

try:
    from airflow.providers.standard.operators.bash import BashOperator
except ImportError:
    from airflow.operators.bash import BashOperator

with DAG("tried", start_date=pendulum.datetime(2020, 1, 1, tz="UTC"), schedule="@daily", catchup=False) as dag:
    wrote = "echo {{ task.task_id }} {{ ds }} >> $AIRFLOW_HOME/tried"
    BashOperator(task_id="slow", bash_command=f"{wrote}; sleep 15") >> BashOperator(task_id="after", bash_command=wrote)
