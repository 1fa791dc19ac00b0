"""An airflow DAG whose task sleeps for as many seconds as its date has as a number, so that it can be told apart."""

from __future__ import annotations

import pendulum
from airflow import DAG

try:
    from airflow.providers.standard.operators.bash import BashOperator
except ImportError:
    from airflow.operators.bash import BashOperator

with DAG("hanging", start_date=pendulum.datetime(2020, 1, 1, tz="UTC"), schedule=None):
    BashOperator(task_id="sleep", bash_command="sleep {{ ds_nodash }}")
