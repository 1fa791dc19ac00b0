"""The DAG files on Airflow 2, which has no bundles."""

from __future__ import annotations

import os
from importlib import import_module
from pathlib import Path
from typing import Any, Dict, List, Mapping, Optional, Tuple

from native_api.adapters.compat.syncing import Bundle, Loaded, Syncing, code_hash
from native_api.adapters.compat.syncing_bundles import has_files
from native_api.errors import Invalid


class Syncing2(Syncing):
    """Airflow 2.10 and 2.11."""

    def bundles(self) -> List[Bundle]:
        from airflow import example_dags
        from airflow.configuration import conf
        from airflow.settings import DAGS_FOLDER

        examples = list(example_dags.__path__) if conf.getboolean("core", "load_examples") else []
        # As Airflow names the files in it: without a slash at its end.
        return [Bundle(os.fspath(Path(path))) for path in (DAGS_FOLDER, *examples)]

    def bundle(self, name: Optional[str] = None, among: Optional[List[Bundle]] = None) -> Bundle:
        # Bundles came with 3.0 (AIP-66).
        if name is not None:
            raise Invalid({"bundle": ["Airflow 2 has no bundles: leave it out."]})
        return self.bundles()[0]

    def opened(self, bundle: Bundle, *, refresh: bool) -> Bundle:
        return bundle

    def require_local(self, bundle: Bundle) -> None:
        """Everything is a local folder here."""

    def place_of(self, dag_model: Any) -> Tuple[Optional[str], str]:
        return None, self.file_of(dag_model)

    def is_shared(self, dag_model: Any) -> bool:
        return has_files(self.bundle().path)

    def _place(self, dag_model: Any) -> Tuple[Any, ...]:
        return dag_model.dag_id, dag_model.fileloc

    def in_file(self, path: str, dag_model: Any, bundle: Optional[Bundle] = None) -> Any:
        return super().in_file(path, dag_model)

    def _in_bundle(self, bundle: Bundle, dag_model: Any) -> Any:
        from sqlalchemy import and_, not_, true

        dags_folder, *examples = self.bundles()
        if bundle != dags_folder:
            return _lies_in(bundle, dag_model)
        # The machine of the scheduler may have the DAGs folder at another path.
        return and_(true(), *(not_(_lies_in(other, dag_model)) for other in examples))

    def files(self, folder: str) -> List[str]:
        from airflow.utils.file import list_py_file_paths

        return list_py_file_paths(folder, include_examples=False)  # type: ignore[call-arg]

    def is_ignored(self, path: str, folder: str) -> bool:
        from airflow.utils.file import list_py_file_paths

        everything = {"safe_mode": False, "include_examples": False}
        return path not in list_py_file_paths(folder, **everything)

    def _configuration(self) -> Mapping[str, Any]:
        return {}

    def prepare(self) -> None:
        # The permissions of new DAGs are written through the web application, whose import takes seconds.
        import_module(self._security)

    _security = "airflow.www.security_appless"

    def stored_form(self, dag: Any) -> Any:
        from airflow.models.serialized_dag import SerializedDagModel

        SerializedDagModel(dag)
        return dag

    def error_name(self, path: str, bundle: Bundle) -> str:
        return path

    def write(self, loaded: Loaded, session: Any) -> None:
        from airflow.models.dagbag import DagBag
        from airflow.models.serialized_dag import SerializedDagModel

        dags = {dag_id: dag for dag_id, dag in loaded.dags.items() if dag_id in loaded.stored_forms}
        for dag in dags.values():
            # A SubDAG is stored within its parent.
            if dag.parent_dag is None and SerializedDagModel.write_dag(dag, session=session, **_as_scheduler()):
                DagBag._sync_perm_for_dag(dag, session=session)
        # The session does not flush by itself: what is written below would be added twice.
        session.flush()
        loaded.import_errors.update(DagBag._sync_to_db(dags=dags, session=session, **_as_scheduler()))
        self.forget_errors(loaded.path, loaded.bundle, session)
        self._write_errors(loaded, session)

    def _write_errors(self, loaded: Loaded, session: Any) -> None:
        # 2.x leaves the table to the DAG processor.
        from airflow.models.dag import DagModel
        from airflow.utils import timezone  # type: ignore[attr-defined]
        from sqlalchemy import update

        row = _errors_table()
        for path, text in loaded.import_errors.items():
            session.add(row(filename=path, timestamp=timezone.utcnow(), stacktrace=text, **_subdir(row)))
            broken = update(DagModel).where(DagModel.fileloc == path).values(has_import_errors=True)
            session.execute(broken.execution_options(synchronize_session=False))
        session.flush()

    def _hashes(self, dag_ids: Any, path: str, session: Any) -> Any:
        from airflow.models.dag import DagModel
        from airflow.models.dagcode import DagCode
        from airflow.models.serialized_dag import SerializedDagModel
        from sqlalchemy import select

        form = SerializedDagModel
        forms = select(form.dag_id, form.dag_hash).where(form.dag_id.in_(dag_ids))
        codes = select(DagModel.dag_id, DagCode.source_code).join(DagCode, DagCode.fileloc == DagModel.fileloc)
        in_file = session.execute(codes.where(DagModel.dag_id.in_(dag_ids)))
        return dict(map(tuple, session.execute(forms))), {dag_id: code_hash(code) for dag_id, code in in_file}

    def deactivate(self, dag_ids: Any, session: Any) -> None:
        from airflow.models.serialized_dag import SerializedDagModel

        super().deactivate(dag_ids, session)
        for dag_id in dag_ids:
            SerializedDagModel.remove_dag(dag_id, session=session)

    def _gone(self) -> Dict[str, Any]:
        return {"is_active": False}

    def forget_errors(self, path: str, bundle: Bundle, session: Any) -> None:
        from sqlalchemy import delete, or_

        row = _errors_table()
        of_file = or_(row.filename == path, row.filename.startswith(f"{path}/", autoescape=True))
        session.execute(delete(row).where(of_file).execution_options(synchronize_session=False))

    def _request(self, path: str, bundle: Bundle) -> Dict[str, Any]:
        return {"fileloc": path}


class Syncing29(Syncing2):
    """Airflow 2.8 and 2.9."""

    def ask_processor(self, path: str, bundle: Bundle) -> bool:
        # The table of requests came with 2.10.
        return False


class Syncing27(Syncing29):
    """Airflow 2.7."""

    # Before 2.8 it was in the module of FAB's own security manager.
    _security = "airflow.www.security"


LINES = (((2, 10), Syncing2), ((2, 8), Syncing29), ((2, 7), Syncing27))


def _lies_in(bundle: Bundle, dag_model: Any) -> Any:
    return dag_model.fileloc.startswith(f"{bundle.path}{os.sep}", autoescape=True)


def _as_scheduler() -> Dict[str, Any]:
    """Return the folder that the scheduler writes down with a DAG; with another one, each would undo the other's."""
    from airflow.settings import DAGS_FOLDER

    return {"processor_subdir": DAGS_FOLDER}


def _errors_table() -> Any:
    # 2.10 renamed it.
    from airflow.models import errors

    return getattr(errors, "ParseImportError", None) or errors.ImportError  # type: ignore[attr-defined]


def _subdir(table: Any) -> Dict[str, Any]:
    # 2.8 added the column.
    return _as_scheduler() if hasattr(table, "processor_subdir") else {}
