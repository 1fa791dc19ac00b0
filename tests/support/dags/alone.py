"""An airflow DAG file with tasks that are run one by one."""

from __future__ import annotations

import datetime
import logging
import os
import pathlib
import signal
import time

import pendulum
from airflow import DAG
from airflow.models import Variable

try:
    from airflow.providers.standard.operators.bash import BashOperator
    from airflow.providers.standard.triggers.temporal import TimeDeltaTrigger
except ImportError:
    from airflow.operators.bash import BashOperator
    from airflow.triggers.temporal import TimeDeltaTrigger

try:
    from airflow.sdk import BaseOperator, task
except ImportError:
    from airflow.decorators import task
    from airflow.models.baseoperator import BaseOperator


NOTES = pathlib.Path(os.environ["AIRFLOW_HOME"], "notes")
HOLD = pathlib.Path(os.environ["AIRFLOW_HOME"], "hold")


def note(text):
    """Have the tests know."""
    with NOTES.open("a") as notes:
        notes.write(text + "\n")


# Whoever parses this file learns of a secret.
Variable.get("password_of_alone", default_var=None)
if HOLD.exists():
    note("is held")
while HOLD.exists():
    time.sleep(0.001)


class IsTold(BaseOperator):
    """Goes on until it is told to end."""

    def execute(self, context):
        note("begins")
        while "is told" not in NOTES.read_text():
            time.sleep(0.05)
        raise ValueError("told to end")

    def on_kill(self):
        note("is told")


class Defers(BaseOperator):
    """Waits for a triggerer."""

    def execute(self, context):
        self.defer(trigger=TimeDeltaTrigger(datetime.timedelta(seconds=1)), method_name="the_end")

    def the_end(self, context, event=None):
        return "waited"


with DAG("alone", schedule=None, start_date=pendulum.datetime(2020, 1, 1, tz="UTC"), catchup=False):
    first = BashOperator(task_id="first", bash_command="echo the first of {{ ds }}")
    second = BashOperator(task_id="second", bash_command="echo the second")
    third = BashOperator(task_id="third", bash_command="echo the third")
    first >> second >> third
    looks_back = BashOperator(task_id="looks_back", bash_command="echo {{ prev_start_date_success or 'never' }}")
    Defers(task_id="defers")
    IsTold(task_id="is_told")

    @task
    def notes():
        """Go on until the tests have it end."""
        note("begins")
        while "may end" not in NOTES.read_text():
            time.sleep(0.05)

    @task(retries=2, retry_delay=datetime.timedelta(seconds=1))
    def fails():
        """Raise."""
        print("about to fail")
        raise ValueError("no luck")

    @task
    def is_killed():
        """End the process as the system does that is out of memory."""
        os.kill(os.getpid(), signal.SIGKILL)

    @task
    def sleeps(seconds):
        """Take a while."""
        time.sleep(seconds)
        logging.getLogger("airflow.task").warning("slept well")

    notes()
    fails()
    is_killed()
    sleeps.override(task_id="sleeps_long")(600)
    sleeps.override(task_id="sleeps_shortly")(2)

    @task
    def doubles(number):
        """Have an instance for each number."""
        print("doubled", 2 * number)

    doubles.expand(number=[1, 2])
