"""The airflow DAG that the exchanges of the old plugin were recorded with."""

from __future__ import annotations

import pendulum
from airflow import DAG

try:
    from airflow.providers.standard.operators.bash import BashOperator
    from airflow.providers.standard.operators.python import PythonOperator
except ImportError:
    from airflow.operators.bash import BashOperator
    from airflow.operators.python import PythonOperator

with DAG(
    "wire_dag",
    start_date=pendulum.datetime(2020, 1, 1, tz="UTC"),
    schedule="@daily",
    catchup=False,
    tags=["wire", "etl"],
    default_args={"owner": "ada"},
) as dag:
    extract = BashOperator(task_id="extract", bash_command="echo extract {{ ds }}")
    transform = PythonOperator(task_id="transform", python_callable=lambda: 3)
    load = BashOperator(task_id="load", bash_command="exit 1")
    extract >> transform >> load
