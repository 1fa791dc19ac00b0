"""A DAG file that is there for some tests only."""

from __future__ import annotations

from contextlib import contextmanager
from pathlib import Path
from typing import Iterator

import native_api
from tests.airflow_under_test import DAGS


@contextmanager
def dag_file(dag_id: str, text: str) -> Iterator[Path]:
    """Have Airflow know a file that defines that DAG, and give its path."""
    path = DAGS / f"{dag_id}.py"
    path.write_text(text, encoding="utf-8")
    try:
        native_api.call("refresh_all_dags", subdir=str(path))
        yield path
    finally:
        path.unlink()
        native_api.call("delete_dag", dag_id=dag_id)
