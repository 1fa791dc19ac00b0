"""Where the operators live: no DAG here, and the DAG files import it as a neighbour."""

from __future__ import annotations

try:
    from airflow.providers.standard.operators.bash import BashOperator
    from airflow.providers.standard.operators.python import PythonOperator
except ImportError:
    from airflow.operators.bash import BashOperator  # type: ignore[no-redef]
    from airflow.operators.python import PythonOperator  # type: ignore[no-redef]

__all__ = ["BashOperator", "PythonOperator"]
