"""DAG files of single tests."""

from __future__ import annotations

import shutil
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Dict, Iterator, List

import native_api
from tests.support import airflow_under_test
from tests.support.airflow_under_test import DAGS
from tests.support.database_copy import DatabaseCopy


@contextmanager
def dag_file(dag_id: str, text: str) -> Iterator[Path]:
    """Let Airflow parse a file that defines that DAG, and return its path; it is deleted at the end."""
    path = DAGS / f"{dag_id}.py"
    path.write_text(text, encoding="utf-8")
    try:
        native_api.call("refresh_all_dags", subdir=str(path))
        yield path
    finally:
        path.unlink()
        native_api.call("delete_dag", dag_id=dag_id)


class ParsedFiles:
    """Files of the DAGs folder, of which Airflow parses each once: afterwards the database is copied."""

    def __init__(self, files: Dict[str, str]) -> None:
        self._files = {DAGS / name: text for name, text in files.items()}
        self._without = DatabaseCopy()
        self._write()
        native_api.call("refresh_all_dags", subdir=str(self.path))
        self._with = DatabaseCopy()
        self._delete()
        self._without.put_back()

    @property
    def path(self) -> Path:
        """The folder of the files, or the only file."""
        first = next(iter(self._files))
        return first if first.parent == DAGS else first.parent

    @contextmanager
    def there(self) -> Iterator[Path]:
        """Write the files and their rows, and return their path; at the end both are as before."""
        self._write()
        self._with.put_back()
        try:
            yield self.path
        finally:
            self._delete()
            self._without.put_back()

    def _write(self) -> None:
        for path, text in self._files.items():
            path.parent.mkdir(exist_ok=True)
            path.write_text(text, encoding="utf-8")

    def _delete(self) -> None:
        if self.path.is_dir():
            shutil.rmtree(self.path)
        else:
            self.path.unlink(missing_ok=True)


def set_import_error(dag_id: str) -> None:
    """Mark a DAG as one whose file has an import error, as the DAG processor does."""
    from airflow.models.dag import DagModel
    from sqlalchemy import update

    from tests.support import airflow_under_test

    with airflow_under_test.session() as session:
        session.execute(update(DagModel).values(has_import_errors=False).execution_options(synchronize_session=False))
        session.execute(
            update(DagModel)
            .where(DagModel.dag_id == dag_id)
            .values(has_import_errors=True)
            .execution_options(synchronize_session=False)
        )


TASK = (
    "import datetime\nfrom airflow import DAG\nSTART = datetime.datetime(2024, 1, 1)\n"
    "try:\n    from airflow.providers.standard.operators.bash import BashOperator\n"
    "except ImportError:\n    from airflow.operators.bash import BashOperator\n"
)


def text_of(*dag_ids: str, task_id: str = "first") -> str:
    """Return the text of a file that defines DAGs with one task each."""
    dags = [
        f"with DAG({dag_id!r}, start_date=START, schedule=None):\n"
        f"    BashOperator(task_id={task_id!r}, bash_command='true')\n"
        for dag_id in dag_ids
    ]
    return TASK + "".join(dags)


def import_errors(name: str) -> List[str]:
    """Return the stored import errors of a file."""
    from airflow.models import errors as models
    from sqlalchemy import select

    table: Any = getattr(models, "ParseImportError", None) or getattr(models, "ImportError")  # noqa: B009
    with airflow_under_test.session() as session:
        return list(session.scalars(select(table.stacktrace).where(table.filename.endswith(name))))
