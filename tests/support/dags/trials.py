"""An airflow DAG file with tasks that do, on trial, all that a task may do."""

from __future__ import annotations

import datetime
import os
import time

import pendulum
from airflow import DAG

try:
    from airflow.providers.standard.operators.bash import BashOperator
    from airflow.providers.standard.triggers.temporal import TimeDeltaTrigger
    from airflow.sdk import BaseOperator, BaseSensorOperator, Param, get_current_context, task
    from airflow.sdk.exceptions import AirflowSkipException
except ImportError:
    from airflow.exceptions import AirflowSkipException
    from airflow.triggers.temporal import TimeDeltaTrigger

    try:
        from airflow.providers.standard.operators.bash import BashOperator
    except ImportError:
        from airflow.operators.bash import BashOperator

    try:
        from airflow.sdk import BaseOperator, BaseSensorOperator, Param, get_current_context, task
    except ImportError:
        from airflow.decorators import task
        from airflow.models.baseoperator import BaseOperator
        from airflow.models.param import Param
        from airflow.operators.python import get_current_context
        from airflow.sensors.base import BaseSensorOperator

try:
    from airflow.sdk import Asset
except ImportError:
    from airflow.datasets import Dataset as Asset


class Waits(BaseOperator):
    """Defers itself twice, and ends with what it was given on the way."""

    def execute(self, context):
        self._wait("half_way", kwargs={"word": "then"})

    def half_way(self, context, word, event=None):
        assert event is not None
        self._wait("the_end", kwargs={"word": word + " and then"})

    def the_end(self, context, word, event=None):
        return word

    def _wait(self, method_name, kwargs):
        trigger = TimeDeltaTrigger(datetime.timedelta(milliseconds=10))
        self.defer(trigger=trigger, method_name=method_name, kwargs=kwargs)


class NotYet(BaseSensorOperator):
    """Wants to be asked again later."""

    def poke(self, context):
        return False


with DAG("trials", start_date=pendulum.datetime(2020, 1, 1, tz="UTC"), schedule="@daily", catchup=False) as dag:
    BashOperator(
        task_id="templates",
        bash_command="echo {{ var.value.trial }} {{ conn.trial.host }} {{ macros.ds_add(ds, 1) }}",
        env={
            "DAY": "{{ data_interval_start | ds }}",
            "LAST": "{{ prev_data_interval_start_success | ds if prev_data_interval_start_success else 'never' }}",
            "CONF": "{{ dag_run.conf.get('word') }}",
        },
    )
    BashOperator(task_id="pulls", bash_command="echo {{ ti.xcom_pull(task_ids='pushes') }}")
    BashOperator(task_id="undefined", bash_command="{{ nothing.at.all }}")
    BashOperator(task_id="secret", bash_command="echo {{ var.value.trial_password }} | rev | rev")
    BashOperator(task_id="retried", bash_command="exit 3", retries=3)
    Waits(task_id="waits")
    NotYet(task_id="not_yet", mode="reschedule", poke_interval=60)

    @task(outlets=[Asset("file:///trial")], params={"count": Param(1, type="integer", minimum=1)})
    def pushes():
        context = get_current_context()
        context["ti"].xcom_push(key="other", value="thing")
        print("printed", context["params"]["count"], os.environ.get("AIRFLOW_TEST_MODE"))
        return {"numbers": [context["params"]["count"], 2]}

    @task
    def sees():
        ti = get_current_context()["ti"]
        ti.xcom_push(key="own", value="mine")
        own = ti.xcom_pull(task_ids="sees", key="own")
        return [ti.xcom_pull(task_ids="pushes"), own, get_current_context()["ds"]]

    @task
    def moment():
        return datetime.datetime(2026, 11, 1, tzinfo=datetime.timezone.utc)

    @task
    def raises():
        raise KeyError("word")

    @task
    def skips():
        raise AirflowSkipException("not today")

    @task
    def leaves(code):
        raise SystemExit(code)

    @task
    def crashes():
        print("about to go", flush=True)
        os._exit(7)

    @task
    def hangs():
        print("still here", flush=True)
        time.sleep(300)

    @task
    def lists():
        return ["a", "b", "c"]

    @task
    def held(thing):
        return thing

    @task
    def doubles(word):
        return word * 2

    pushes()
    sees()
    moment()
    raises()
    skips()
    leaves.override(task_id="leaves_badly")(4)
    leaves.override(task_id="leaves_well")(0)
    crashes()
    hangs()
    held(object())
    doubles.expand(word=lists())
