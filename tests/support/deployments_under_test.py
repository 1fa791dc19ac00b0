"""Helpers for tests of deployments: texts of files, and what is on disk and in the database."""

from __future__ import annotations

import hashlib
import io
import shutil
import zipfile
from pathlib import Path
from typing import Any, Dict, List

import native_api
from native_api.adapters.deployments import history
from tests.support import airflow_under_test
from tests.support.airflow_under_test import DAGS
from tests.support.dag_files import text_of

#: The DAGs that tests deploy have ids that begin so, and files too.
MARK = "deployed"
PATH = "deployed.py"


def deploy(text: Any, path: str = PATH, **how: Any) -> Dict[str, Any]:
    """Deploy a file."""
    response: Dict[str, Any] = native_api.call("deploy_dag", dag_file=text, path=path, **how)
    return response


def one(task_id: str = "first") -> str:
    """Return a file that defines one DAG."""
    return text_of("deployed_one", task_id=task_id)


def on_disk() -> Dict[str, str]:
    """Return the deployed files and folders in the DAGs folder, with the contents."""
    return {
        str(path.relative_to(DAGS)): path.read_text(encoding="utf-8") if path.is_file() else "a folder"
        for path in sorted(DAGS.rglob("*"))
        if str(path.relative_to(DAGS)).startswith((MARK, ".")) and "__pycache__" not in path.parts
    }


def listed() -> List[str]:
    """Return the deployed DAGs that Airflow lists."""
    return [dag["dag_id"] for dag in native_api.call("list_dags", dag_id_pattern=MARK, limit=1000)["dags"]]


def dag_rows() -> List[str]:
    """Return the rows of the deployed DAGs, inactive ones included."""
    from airflow.models.dag import DagModel
    from sqlalchemy import select

    with airflow_under_test.session() as session:
        return sorted(session.scalars(select(DagModel.dag_id).where(DagModel.dag_id.startswith(MARK))))


def task_ids(dag_id: str = "deployed_one") -> List[str]:
    return [task["task_id"] for task in native_api.call("list_tasks", dag_id=dag_id)["tasks"]]


def paused(dag_id: str) -> bool:
    (dag,) = native_api.call("list_dags", dag_id_pattern=dag_id)["dags"]
    return bool(dag["is_paused"])


def kept() -> List[Dict[str, Any]]:
    return list(native_api.call("list_deployments")["deployments"])


def loose_ends() -> List[str]:
    """Return what a deployment has left besides versions: journals, uploads, contents without a record."""
    root = history.root()
    known = {record["deployment_id"] for record in history.every()}
    loose = [path for path in root.glob("*/*") if path.name != "lock" and path.stem not in known]
    uploads = root.with_name("uploads")
    return sorted(path.name for path in [*loose, *(uploads.glob("*") if uploads.exists() else [])])


def checksum(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def forget() -> None:
    """Delete all deployments from the disk and the database."""
    from airflow.models.dag import DagModel
    from airflow.models.serialized_dag import SerializedDagModel
    from airflow.models.taskinstance import TaskInstance
    from sqlalchemy import delete, update

    for path in DAGS.glob("*"):
        if path.name.startswith((MARK, ".native_api")):
            shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()
    shutil.rmtree(history.root(), ignore_errors=True)
    with airflow_under_test.session() as session:
        ended = update(TaskInstance).where(TaskInstance.dag_id.startswith(MARK)).values(state="success")
        session.execute(ended.execution_options(synchronize_session=False))
    for dag_id in dag_rows():
        with airflow_under_test.session() as session:
            from native_api.adapters.compat import airflow

            # A SubDAG goes with its parent.
            if session.get(DagModel, dag_id):
                airflow().delete_dag(dag_id, session)
    with airflow_under_test.session() as session:
        leftover = delete(SerializedDagModel).where(SerializedDagModel.dag_id.startswith(MARK))
        session.execute(leftover.execution_options(synchronize_session=False))


def path_of(path: str = PATH) -> Path:
    return DAGS / path


def archive(members: Dict[str, str]) -> bytes:
    """Return a zip archive of modules."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as made:
        for name, text in members.items():
            made.writestr(name, text)
    return buffer.getvalue()
