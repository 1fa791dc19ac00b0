"""
The DAG whose runs are jobs of this API, with ``[native_api] execute_on = executor``.

Airflow reads it from a DAG bundle that is the folder of this file or, in a DAGs folder, from a file that imports it::

    from native_api.dags.native_api_jobs import dag  # Airflow looks into files that mention DAGs.
"""

from __future__ import annotations

from datetime import datetime, timezone
from typing import Any

from airflow import DAG

from native_api import settings
from native_api.adapters.compat import airflow

#: How many jobs run at once by default.
DEFAULT_SLOTS = 16


def _run_job(**context: Any) -> None:
    """Run the job that this DAG run is; imported here, since the DAG processor needs none of it."""
    from native_api.adapters.executor.task import run

    run(context["dag_run"], context["ti"])


with DAG(
    "native_api_jobs",
    description="Jobs of airflow-native-api: a run of it is a job, which only the API creates.",
    doc_md="Runs of this DAG are jobs of airflow-native-api. A run that is triggered in another way does nothing.",
    start_date=datetime(2024, 1, 1, tzinfo=timezone.utc),
    schedule=None,
    catchup=False,
    is_paused_upon_creation=False,
    max_active_runs=settings.get("job_slots") or DEFAULT_SLOTS,
    max_active_tasks=settings.get("job_slots") or DEFAULT_SLOTS,
    tags=["native_api"],
) as dag:
    airflow().python_operator()(
        task_id="run_job",
        python_callable=_run_job,
        retries=0,
        # The job ends by its own timeout before.
        execution_timeout=None,
        **({"queue": settings.get("job_queue_name")} if settings.get("job_queue_name") else {}),
        **({"pool": settings.get("job_pool")} if settings.get("job_pool") else {}),
    )
