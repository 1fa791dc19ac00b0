"""The DAG files in Airflow 2."""

from __future__ import annotations

import hashlib
import os
from datetime import datetime, timezone
from importlib import import_module
from typing import TYPE_CHECKING, Any, Dict, List, Mapping, Optional, Tuple, Type

from sqlalchemy import delete, or_, select, update

from native_api.adapters.compat.airflow2.bundles import Bundles2
from native_api.adapters.compat.installed import airflow
from native_api.adapters.compat.interface.bundles import Bundle
from native_api.adapters.compat.interface.dag_files import DagFiles, Loaded

if TYPE_CHECKING:
    from airflow.models.dag import DagModel
    from sqlalchemy.orm import Session


class DagFiles2(Bundles2, DagFiles):
    """Airflow 2.10 and 2.11."""

    def in_file(self, path: str, dag_model: Type[DagModel], bundle: Optional[Bundle] = None) -> Any:
        return super().in_file(path, dag_model)

    def files(self, folder: str) -> List[str]:
        from airflow.utils.file import list_py_file_paths

        return list_py_file_paths(folder, include_examples=False)  # type: ignore[call-arg]

    def is_ignored(self, path: str, folder: str) -> bool:
        from airflow.utils.file import list_py_file_paths

        everything = {"safe_mode": False, "include_examples": False}
        return path not in list_py_file_paths(folder, **everything)

    def _configuration(self) -> Mapping[str, object]:
        return {}

    def prepare(self) -> None:
        # The permissions of new DAGs are written by the web application, whose import takes seconds.
        import_module(self._security)

    _security = "airflow.www.security_appless"

    def stored_form(self, dag: Any) -> Any:
        from airflow.models.serialized_dag import SerializedDagModel

        SerializedDagModel(dag)
        return dag

    def error_name(self, path: str, bundle: Bundle) -> str:
        return path

    def write(self, loaded: Loaded, session: Session) -> None:
        from airflow.models.dagbag import DagBag
        from airflow.models.serialized_dag import SerializedDagModel

        dags = {dag_id: dag for dag_id, dag in loaded.dags.items() if dag_id in loaded.stored_forms}
        for dag in dags.values():
            # A SubDAG is stored within its parent.
            if dag.parent_dag is None and SerializedDagModel.write_dag(dag, session=session, **_as_scheduler()):
                DagBag._sync_perm_for_dag(dag, session=session)
        # The session does not autoflush; rows would be added twice below.
        session.flush()
        _forget_other_code(dags, loaded.path, session)
        loaded.import_errors.update(DagBag._sync_to_db(dags=dags, session=session, **_as_scheduler()))
        self.forget_errors(loaded.path, loaded.bundle, session)
        self._write_errors(loaded, session)

    def _write_errors(self, loaded: Loaded, session: Session) -> None:
        # On Airflow 2 the DAG processor writes the table.
        from airflow.models.dag import DagModel
        from airflow.utils import timezone  # type: ignore[attr-defined]

        row = airflow().import_error_model()
        for path, text in loaded.import_errors.items():
            session.add(row(filename=path, timestamp=timezone.utcnow(), stacktrace=text, **_subdir(row)))
            broken = update(DagModel).where(DagModel.fileloc == path).values(has_import_errors=True)
            session.execute(broken.execution_options(synchronize_session=False))
        session.flush()

    def _hashes(self, dag_ids: Any, path: str, session: Any) -> Any:
        from airflow.models.dag import DagModel
        from airflow.models.dagcode import DagCode
        from airflow.models.serialized_dag import SerializedDagModel

        form = SerializedDagModel
        forms = select(form.dag_id, form.dag_hash).where(form.dag_id.in_(dag_ids))
        codes = select(DagModel.dag_id, DagCode.source_code).join(DagCode, DagCode.fileloc == DagModel.fileloc)
        in_file = session.execute(codes.where(DagModel.dag_id.in_(dag_ids)))
        return dict(map(tuple, session.execute(forms))), {dag_id: code_hash(code) for dag_id, code in in_file}

    def recorded_code(self, dag_ids: Any, session: Session) -> List[Tuple[object, ...]]:
        from airflow.models.dag import DagModel
        from airflow.models.dagcode import DagCode as Code

        columns = DagModel.dag_id, Code.fileloc, Code.source_code, Code.last_updated
        codes = select(*columns).join(Code, Code.fileloc == DagModel.fileloc).where(DagModel.dag_id.in_(dag_ids))
        return [tuple(row) for row in session.execute(codes)]

    def deactivate(self, dag_ids: Any, session: Session) -> None:
        from airflow.models.serialized_dag import SerializedDagModel

        super().deactivate(dag_ids, session)
        for dag_id in dag_ids:
            SerializedDagModel.remove_dag(dag_id, session=session)

    def _gone(self) -> Dict[str, object]:
        return {"is_active": False}

    def forget_errors(self, path: str, bundle: Bundle, session: Session) -> None:
        row = airflow().import_error_model()
        of_file = or_(row.filename == path, row.filename.startswith(f"{path}/", autoescape=True))
        session.execute(delete(row).where(of_file).execution_options(synchronize_session=False))

    def _request(self, path: str, bundle: Bundle) -> Dict[str, object]:
        return {"fileloc": path}


class DagFiles29(DagFiles2):
    """Airflow 2.8 and 2.9."""

    has_priority_requests = False

    def ask_processor(self, path: str, bundle: Bundle) -> bool:
        # The table of parsing requests exists since 2.10.
        return False


class DagFiles27(DagFiles29):
    """Airflow 2.7."""

    # Before 2.8 it was in the module of FAB's security manager.
    _security = "airflow.www.security"


def code_hash(source: str) -> str:
    """Return what changes with the code."""
    return hashlib.sha256(source.encode(errors="surrogatepass")).hexdigest()


def _forget_other_code(dags: Mapping[str, Any], path: str, session: Session) -> None:
    """
    Delete the stored code of a file that differs from the file and has a later time.

    Airflow keeps such code: it only replaces code that is older than its file. A deployment within a second of the last
    one has a time in the future.
    """
    from airflow.models.dagcode import DagCode

    if not dags:
        return
    changed = datetime.fromtimestamp(os.path.getmtime(path), timezone.utc)
    of_file = DagCode.fileloc.in_({dag.fileloc for dag in dags.values()})
    for code in session.scalars(select(DagCode).where(of_file, DagCode.last_updated >= changed)):
        if code.source_code != DagCode._get_code_from_file(code.fileloc):
            session.delete(code)
    session.flush()


def _as_scheduler() -> Dict[str, Any]:
    """Return the folder that the scheduler writes down with a DAG; with another one, each would undo the other's."""
    from airflow.settings import DAGS_FOLDER

    return {"processor_subdir": DAGS_FOLDER}


def _subdir(table: Any) -> Dict[str, object]:
    # 2.8 added the column.
    return _as_scheduler() if hasattr(table, "processor_subdir") else {}
