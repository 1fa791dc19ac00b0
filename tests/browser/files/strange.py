"""DAGs for the console: one with an odd id, and one with a long log."""

from __future__ import annotations

import datetime

try:
    from airflow.sdk import DAG, task
except ImportError:
    from airflow.decorators import task
    from airflow.models.dag import DAG


@task
def talk() -> None:
    """Print 5 MB."""
    for number in range(5_000):
        print(f"{number:05} {'<b>&amp; ' * 128}")


for dag_id in ("größe.mit-strich__1", "noisy"):
    with DAG(dag_id, schedule=None, start_date=datetime.datetime(2024, 1, 1), catchup=False) as dag:
        talk()
    globals()[dag_id] = dag
