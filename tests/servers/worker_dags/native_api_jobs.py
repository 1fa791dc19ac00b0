"""The DAG file that brings in the jobs of the API, as the documentation has it."""

from native_api.dags.native_api_jobs import dag  # Airflow looks into files that mention DAGs.

__all__ = ["dag"]
