"""The DAG files: which there are, and how what they define comes into the database."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Dict, List, Mapping, Optional

from native_api.adapters.compat.installed import airflow
from native_api.adapters.compat.syncing_bundles import Bundle, Bundles

__all__ = ["Bundle", "Loaded", "Marks", "Syncing", "code_hash"]

#: What marks a DAG as it is stored: the hash of its stored form, and that of its code.
Marks = Dict[str, Any]


@dataclass
class Loaded:
    """What a file defines: its DAGs, the form that they are stored in, and what of it does not load, by file."""

    path: str
    bundle: Bundle
    dags: Dict[str, Any] = field(default_factory=dict)
    stored_forms: Dict[str, Any] = field(default_factory=dict)
    import_errors: Dict[str, str] = field(default_factory=dict)
    seconds: float = 0.0


class Syncing(Bundles):
    """The newest Airflow, 3.4."""

    # Files

    def files(self, folder: str) -> List[str]:
        """Return the files below *folder* that Airflow would read, in its own order; *folder* may be a file."""
        from airflow.configuration import conf

        if os.path.isfile(folder):
            return [folder]
        return self._discovered(folder, conf.getboolean("core", "dag_discovery_safe_mode"))

    def is_ignored(self, path: str, folder: str) -> bool:
        """Return whether a file in *folder* is one that its ``.airflowignore`` has Airflow pass over."""
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

    def looks_into(self, path: str) -> bool:
        """Return whether Airflow loads a file of that name: it passes over those without its words, if not told to."""
        from airflow.configuration import conf
        from airflow.utils.file import might_contain_dag

        return might_contain_dag(path, conf.getboolean("core", "dag_discovery_safe_mode"), **self._configuration())

    def _configuration(self) -> Mapping[str, Any]:
        from airflow.configuration import conf

        return {"conf": conf}

    def file_limit(self) -> float:
        """Return how many seconds Airflow gives to a file."""
        from airflow.configuration import conf

        return conf.getfloat("core", "dagbag_import_timeout")

    def ignore_everything(self) -> str:
        """Return the text of an ``.airflowignore`` that leaves out all that lies beside it."""
        from airflow.configuration import conf

        return "*\n" if conf.get("core", "dag_ignore_file_syntax") == "glob" else ".*\n"

    # What a file defines

    def prepare(self) -> None:
        """Import what writing to the database needs, so that not every fork pays for it."""

    def stored_form(self, dag: Any) -> Any:
        """Return a DAG in the form that it is stored in; what cannot be stored raises its own errors."""
        from airflow.serialization.serialized_objects import LazyDeserializedDAG

        return LazyDeserializedDAG.from_dag(dag)

    def error_name(self, path: str, bundle: Bundle) -> str:
        """Return the name that the table of import errors has for a file."""
        return os.path.relpath(path, bundle.path)

    # The database

    def write(self, loaded: Loaded, session: Any) -> None:
        """
        Write what a file defines, import errors too, though Airflow has done so within the last seconds.

        Of the warnings about DAGs none is written: the DAG processor does so with its next look at the file.
        """
        self._require_row_of_bundle(loaded.bundle, session)
        if not loaded.import_errors:
            self.forget_errors(loaded.path, loaded.bundle, session)
        self._write_past_throttle(loaded, session)
        self._write(loaded, self._errors_as_stored(loaded), session)

    def _require_row_of_bundle(self, bundle: Bundle, session: Any) -> None:
        from airflow.dag_processing.bundles.manager import DagBundlesManager
        from airflow.models.dagbundle import DagBundleModel

        if session.get(DagBundleModel, bundle.name) is None:
            DagBundlesManager().sync_bundles_to_db(session=session, **self._bundles_of_others())
            session.flush()

    def _bundles_of_others(self) -> Mapping[str, Any]:
        return {"deactivate_missing": False}

    def _write_past_throttle(self, loaded: Loaded, session: Any) -> None:
        # Before all else: where Airflow finds a stored form too young to be replaced, it gives the old version of
        # the DAG the new code.
        from airflow.models.dag import DagModel
        from airflow.models.serialized_dag import SerializedDagModel
        from sqlalchemy import select

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

    def _errors_as_stored(self, loaded: Loaded) -> Dict[Any, str]:
        named = {self.error_name(path, loaded.bundle): text for path, text in loaded.import_errors.items()}
        return {(loaded.bundle.name, name): text for name, text in named.items()}

    def _write(self, loaded: Loaded, import_errors: Dict[Any, str], session: Any) -> None:
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

    def in_file(self, path: str, dag_model: Any, bundle: Optional[Bundle] = None) -> Any:
        """
        Return the condition that a DAG is in that file, or in the archive.

        :param bundle: the file's; with it, also where another machine has it at another path.
        """
        from sqlalchemy import and_, or_

        places = [(dag_model.fileloc, path)]
        if bundle is not None:
            places.append((dag_model.relative_fileloc, os.path.relpath(path, bundle.path)))
        found = [or_(column == name, column.startswith(f"{name}{os.sep}", autoescape=True)) for column, name in places]
        # The path of one bundle may be that of another elsewhere.
        return found[0] if bundle is None else or_(found[0], and_(dag_model.bundle_name == bundle.name, found[1]))

    def marks(self, path: str, bundle: Bundle, session: Any) -> Marks:
        """Return the active DAGs of a file, each with what changes when it does."""
        from airflow.models.dag import DagModel
        from sqlalchemy import select

        in_file = self.in_file(path, DagModel, bundle)
        statement = select(DagModel.dag_id).where(in_file, airflow().is_active(DagModel))
        dag_ids = session.scalars(statement).all()
        forms, codes = self._hashes(dag_ids, path, session)
        return {dag_id: (forms.get(dag_id), codes.get(dag_id)) for dag_id in dag_ids}

    def _hashes(self, dag_ids: Any, path: str, session: Any) -> Any:
        """Return the newest hashes of the stored forms and of the code, by DAG."""
        from airflow.models.dagcode import DagCode
        from airflow.models.serialized_dag import SerializedDagModel
        from sqlalchemy import select

        form, code = SerializedDagModel, DagCode
        forms = select(form.dag_id, form.dag_hash).where(form.dag_id.in_(dag_ids)).order_by(form.created_at)
        codes = select(code.dag_id, code.source_code_hash).where(code.dag_id.in_(dag_ids)).order_by(code.last_updated)
        return (dict(map(tuple, session.execute(rows))) for rows in (forms, codes))

    def deactivate(self, dag_ids: Any, session: Any) -> None:
        """Have DAGs no longer be there, as Airflow does with those that have vanished from their file."""
        from airflow.models.dag import DagModel
        from sqlalchemy import update

        gone = update(DagModel).where(DagModel.dag_id.in_(dag_ids)).values(**self._gone())
        session.execute(gone.execution_options(synchronize_session=False))

    def _gone(self) -> Dict[str, Any]:
        return {"is_stale": True}

    def forget_errors(self, path: str, bundle: Bundle, session: Any) -> None:
        """Delete the import errors of a file, or of an archive."""
        from airflow.models.errors import ParseImportError as Row
        from sqlalchemy import delete, or_

        name = self.error_name(path, bundle)
        of_file = or_(Row.filename == name, Row.filename.startswith(f"{name}{os.sep}", autoescape=True))
        gone = delete(Row).where(Row.bundle_name == bundle.name, of_file)
        session.execute(gone.execution_options(synchronize_session=False))

    def ask_processor(self, path: str, bundle: Bundle) -> bool:
        """Ask the DAG processor to read a file next, where this Airflow can be asked; return whether it can."""
        from airflow.models.dagbag import DagPriorityParsingRequest
        from sqlalchemy.exc import IntegrityError

        try:
            with airflow().session() as session:
                session.add(DagPriorityParsingRequest(**self._request(path, bundle)))
        except IntegrityError:
            # It has been asked already.
            return True
        return True

    def _request(self, path: str, bundle: Bundle) -> Dict[str, Any]:
        return {"bundle_name": bundle.name, "relative_fileloc": os.path.relpath(path, bundle.path)}


def code_hash(source: str) -> str:
    """Return what changes with the code."""
    return hashlib.sha256(source.encode(errors="surrogatepass")).hexdigest()
