"""An airflow DAG that only the workers have: its tasks do what user code does, good and bad."""

from __future__ import annotations

import datetime
import os
import subprocess
import time
from typing import Any, Dict

try:
    from airflow.providers.standard.operators.bash import BashOperator
    from airflow.providers.standard.sensors.time_delta import TimeDeltaSensor
    from airflow.sdk import DAG, Variable, task
except ImportError:
    from airflow.decorators import task
    from airflow.models import Variable
    from airflow.models.dag import DAG
    from airflow.operators.bash import BashOperator
    from airflow.sensors.time_delta import TimeDeltaSensorAsync as TimeDeltaSensor

if os.environ.get("NATIVE_API_TESTS_NO_DAG_CODE"):
    raise RuntimeError("This process must not execute DAG code.")

DEFERRED = {"deferrable": True} if "deferrable" in TimeDeltaSensor.__init__.__annotations__ else {}


@task
def succeed() -> Dict[str, Any]:
    """Return something, and print a secret."""
    print("the password is", Variable.get("the_password"))
    return {"rows": 3, "pid": os.getpid()}


@task
def fail() -> None:
    """Fail."""
    raise RuntimeError("This task fails.")


@task
def crash() -> None:
    """End the process."""
    os._exit(7)


@task
def hang() -> None:
    """Start a process, and hang."""
    subprocess.run(["sleep", "987"], start_new_session=True, cwd=os.path.dirname(__file__))
    time.sleep(600)


with DAG("user_code", schedule=None, start_date=datetime.datetime(2024, 1, 1), catchup=False) as dag:
    succeed()
    fail()
    crash()
    hang()
    BashOperator(task_id="bash", bash_command="echo {{ ds }} {{ var.value.a_variable }}; echo returned")
    TimeDeltaSensor(task_id="deferred", delta=datetime.timedelta(seconds=1), **DEFERRED)
