"""The DAG files in Airflow 3."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, Dict, List, Mapping, Tuple

from sqlalchemy import delete, or_, select

from native_api.adapters.compat.airflow3.bundles import Bundles3
from native_api.adapters.compat.interface.bundles import Bundle
from native_api.adapters.compat.interface.dag_files import DagFiles, Loaded

if TYPE_CHECKING:
    from sqlalchemy.orm import Session


class DagFiles3(Bundles3, DagFiles):
    """Airflow 3.4."""

    # Files

    def files(self, folder: str) -> List[str]:
        from airflow.configuration import conf

        if os.path.isfile(folder):
            return [folder]
        return self._discovered(folder, conf.getboolean("core", "dag_discovery_safe_mode"))

    def is_ignored(self, path: str, folder: str) -> bool:
        return path not in self._discovered(folder, safe_mode=False)

    def _discovered(self, folder: str, safe_mode: bool) -> List[str]:
        """Return the files that the importers of the bundle find below *folder*; an archive is one file."""
        from airflow.dag_processing.bundles.local import LocalDagBundle
        from airflow.sdk.importers import DagImportError, get_importer_registry  # type: ignore[import-not-found]
        from airflow.utils.file import find_enclosing_file

        names = (bundle.name for bundle in self.bundles() if f"{folder}{os.sep}".startswith(f"{bundle.path}{os.sep}"))
        name = next(names, None)
        part = LocalDagBundle(name=name or "dags-folder", path=folder)
        found: Dict[str, None] = {}
        for _, item in get_importer_registry(name).list_dag_definitions(part, safe_mode=safe_mode):
            is_error = isinstance(item, DagImportError)
            place = item.source_reference if is_error else item.get_relative_loc(part.path)
            file = find_enclosing_file(Path(os.path.normpath(part.path / place)))
            if file is not None and file.is_relative_to(part.path):
                found[str(file)] = None
        return list(found)

    def _configuration(self) -> Mapping[str, object]:
        from airflow.configuration import conf

        return {"conf": conf}

    # Serialization

    def prepare(self) -> None:
        """Import what writing to the database needs, so that not every fork pays for it."""

    def stored_form(self, dag: Any) -> Any:
        from airflow.serialization.serialized_objects import LazyDeserializedDAG

        return LazyDeserializedDAG.from_dag(dag)

    def error_name(self, path: str, bundle: Bundle) -> str:
        return os.path.relpath(path, bundle.path)

    # The database

    def write(self, loaded: Loaded, session: Session) -> None:
        self._require_row_of_bundle(loaded.bundle, session)
        if not loaded.import_errors:
            self.forget_errors(loaded.path, loaded.bundle, session)
        self._write_past_throttle(loaded, session)
        self._write(loaded, self._errors_as_stored(loaded), session)

    def _require_row_of_bundle(self, bundle: Bundle, session: Session) -> None:
        from airflow.dag_processing.bundles.manager import DagBundlesManager
        from airflow.models.dagbundle import DagBundleModel

        if session.get(DagBundleModel, bundle.name) is None:
            DagBundlesManager().sync_bundles_to_db(session=session, **self._bundles_of_others())
            session.flush()

    def _bundles_of_others(self) -> Mapping[str, Any]:
        return {"deactivate_missing": False}

    def _write_past_throttle(self, loaded: Loaded, session: Session) -> None:
        # First of all: if Airflow considers a serialized DAG too recent to be replaced, it would store the new code
        # with the old version.
        from airflow.models.dag import DagModel
        from airflow.models.serialized_dag import SerializedDagModel

        known = session.scalars(select(DagModel.dag_id).where(DagModel.dag_id.in_(loaded.stored_forms)))
        for dag_id in known.all():
            form, bundle = loaded.stored_forms[dag_id], loaded.bundle
            SerializedDagModel.write_dag(
                form,
                bundle_name=str(bundle.name),
                bundle_version=bundle.version,
                min_update_interval=None,
                session=session,
                **self._version_data(bundle),
            )
        session.flush()

    def _version_data(self, bundle: Bundle) -> Mapping[str, Any]:
        return {"version_data": bundle.version_data}

    def _errors_as_stored(self, loaded: Loaded) -> Dict[object, str]:
        named = {self.error_name(path, loaded.bundle): text for path, text in loaded.import_errors.items()}
        return {(loaded.bundle.name, name): text for name, text in named.items()}

    def _write(self, loaded: Loaded, import_errors: Dict[Any, str], session: Session) -> None:
        from airflow.dag_processing.collection import update_dag_parsing_results_in_db

        bundle = loaded.bundle
        update_dag_parsing_results_in_db(
            str(bundle.name),
            bundle.version,
            list(loaded.stored_forms.values()),
            import_errors,
            loaded.seconds,
            set(),
            session=session,
            files_parsed={(str(bundle.name), self.error_name(loaded.path, bundle)), *import_errors},
            **self._version_data(bundle),
        )

    def _hashes(self, dag_ids: Any, path: str, session: Any) -> Any:
        from airflow.models.dagcode import DagCode
        from airflow.models.serialized_dag import SerializedDagModel

        form, code = SerializedDagModel, DagCode
        forms = select(form.dag_id, form.dag_hash).where(form.dag_id.in_(dag_ids)).order_by(form.created_at)
        codes = select(code.dag_id, code.source_code_hash).where(code.dag_id.in_(dag_ids)).order_by(code.last_updated)
        return (dict(map(tuple, session.execute(rows))) for rows in (forms, codes))

    def recorded_code(self, dag_ids: Any, session: Session) -> List[Tuple[object, ...]]:
        from airflow.models.dagcode import DagCode as Code

        columns = Code.dag_id, Code.fileloc, Code.source_code, Code.last_updated
        rows = session.execute(select(*columns).where(Code.dag_id.in_(dag_ids)).order_by(Code.last_updated))
        return list({row.dag_id: tuple(row) for row in rows}.values())

    def _gone(self) -> Dict[str, object]:
        return {"is_stale": True}

    def forget_errors(self, path: str, bundle: Bundle, session: Session) -> None:
        from airflow.models.errors import ParseImportError as Row

        name = self.error_name(path, bundle)
        of_file = or_(Row.filename == name, Row.filename.startswith(f"{name}{os.sep}", autoescape=True))
        gone = delete(Row).where(Row.bundle_name == bundle.name, of_file)
        session.execute(gone.execution_options(synchronize_session=False))

    def _request(self, path: str, bundle: Bundle) -> Dict[str, object]:
        return {"bundle_name": bundle.name, "relative_fileloc": os.path.relpath(path, bundle.path)}


class DagFiles33(DagFiles3):
    """Airflow 3.3."""

    # Importers discover files since 3.4.

    def files(self, folder: str) -> List[str]:
        from airflow.utils.file import list_py_file_paths

        return list_py_file_paths(folder)

    def is_ignored(self, path: str, folder: str) -> bool:
        from airflow.utils.file import list_py_file_paths

        return path not in list_py_file_paths(folder, safe_mode=False)

    def _configuration(self) -> Mapping[str, object]:
        return {}


class DagFiles32(DagFiles33):
    """Airflow 3.1 and 3.2."""

    def _version_of(self, bundle: Any) -> Dict[str, object]:
        # 3.3 added data to a version.
        return {"version": bundle.get_current_version()}

    def _version_data(self, bundle: Bundle) -> Mapping[str, object]:
        return {}

    def _bundles_of_others(self) -> Mapping[str, object]:
        return {}


class DagFiles30(DagFiles32):
    """Airflow 3.0."""

    def stored_form(self, dag: Any) -> Any:
        # 3.1 brought from_dag.
        from airflow.serialization.serialized_objects import (  # type: ignore[attr-defined]
            LazyDeserializedDAG,
            SerializedDAG,
        )

        return LazyDeserializedDAG(data=SerializedDAG.to_dict(dag))  # type: ignore[attr-defined]

    def error_name(self, path: str, bundle: Bundle) -> str:
        # 3.1 stores the path in the bundle.
        return path

    def _errors_as_stored(self, loaded: Loaded) -> Dict[Any, str]:
        return dict(loaded.import_errors)

    def _write(self, loaded: Loaded, import_errors: Dict[Any, str], session: Session) -> None:
        # 3.1 added the seconds and the files that were read.
        from airflow.dag_processing.collection import update_dag_parsing_results_in_db

        update_dag_parsing_results_in_db(  # type: ignore[call-arg]
            str(loaded.bundle.name),
            loaded.bundle.version,
            list(loaded.stored_forms.values()),
            import_errors,
            set(),  # type: ignore[arg-type]
            session=session,
        )
