"""An airflow DAG file with every shape that the tests ask for: mapped, grouped, templated, unicode, failing, params."""

from __future__ import annotations

import pendulum
from airflow import DAG

try:
    from airflow.providers.standard.operators.bash import BashOperator
except ImportError:
    from airflow.operators.bash import BashOperator

try:
    from airflow.sdk import Param, TaskGroup, task
except ImportError:
    from airflow.decorators import task
    from airflow.models.param import Param
    from airflow.utils.task_group import TaskGroup

START = pendulum.datetime(2020, 1, 1, tz="UTC")

with DAG("mapped", start_date=START, schedule=None, tags=["shapes"]) as mapped:

    @task
    def double(number):
        return 2 * number

    double.expand(number=[1, 2, 3])

with DAG("grouped", start_date=START, schedule=None, tags=["shapes"]) as grouped:
    with TaskGroup("group"):
        BashOperator(task_id="inner", bash_command="true")

with DAG("templated", start_date=START, schedule=None, default_args={"owner": "bob, ada"}) as templated:
    BashOperator(task_id="render", bash_command="echo {{ ds }} {{ params.get('x') }}", env={"RUN": "{{ run_id }}"})

with DAG("unicodé_dåg", start_date=START, schedule=None, tags=["ümläut"], description="Grüße, 世界") as unicode_dag:
    BashOperator(task_id="schritt_für_schritt", bash_command="echo ✓")

with DAG("failing", start_date=START, schedule=None) as failing:
    BashOperator(task_id="fails", bash_command="exit 3", retries=0)

with DAG(
    "needs_params", start_date=START, schedule=None, params={"count": Param(1, type="integer", minimum=1)}
) as needs:
    BashOperator(task_id="count", bash_command="echo {{ params.count }}")

with DAG("team.reports", start_date=START, schedule=None) as dotted:
    BashOperator(task_id="report", bash_command="true")

with DAG(
    "late_start", start_date=START, schedule=None, default_args={"start_date": pendulum.datetime(2030, 1, 1, tz="UTC")}
) as late_start:
    BashOperator(task_id="wait", bash_command="true")
