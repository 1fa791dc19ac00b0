"""The DAG files, and how what they define comes into the database."""

from __future__ import annotations

import os
from abc import abstractmethod
from dataclasses import dataclass, field
from typing import Any, Dict, List, Mapping, Optional

from native_api.adapters.compat.installed import airflow
from native_api.adapters.compat.interface.bundles import Bundle, Bundles

__all__ = ["Bundle", "DagFiles", "Loaded", "Marks"]

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


class DagFiles(Bundles):
    """The DAG files, and what of them is in the database."""

    # Files

    @abstractmethod
    def files(self, folder: str) -> List[str]:
        """Return the files below *folder* that Airflow would read, in its own order; *folder* may be a file."""

    @abstractmethod
    def is_ignored(self, path: str, folder: str) -> bool:
        """Return whether a file in *folder* is one that its ``.airflowignore`` has Airflow pass over."""

    def looks_into(self, path: str) -> bool:
        """Return whether Airflow loads a file of that name: it passes over those without its words, if not told to."""
        from airflow.configuration import conf
        from airflow.utils.file import might_contain_dag

        return might_contain_dag(path, conf.getboolean("core", "dag_discovery_safe_mode"), **self._configuration())

    @abstractmethod
    def _configuration(self) -> Mapping[str, Any]: ...

    def file_limit(self) -> float:
        """Return how many seconds Airflow gives to a file."""
        from airflow.configuration import conf

        return conf.getfloat("core", "dagbag_import_timeout")

    def ignore_everything(self) -> str:
        """Return the text of an ``.airflowignore`` that leaves out all that lies beside it."""
        from airflow.configuration import conf

        return "*\n" if conf.get("core", "dag_ignore_file_syntax") == "glob" else ".*\n"

    # What a file defines

    @abstractmethod
    def prepare(self) -> None:
        """Import what writing to the database needs, so that not every fork pays for it."""

    @abstractmethod
    def stored_form(self, dag: Any) -> Any:
        """Return a DAG in the form that it is stored in; what cannot be stored raises its own errors."""

    @abstractmethod
    def error_name(self, path: str, bundle: Bundle) -> str:
        """Return the name that the table of import errors has for a file."""

    # The database

    @abstractmethod
    def write(self, loaded: Loaded, session: Any) -> None:
        """
        Write what a file defines, import errors too, though Airflow has done so within the last seconds.

        Of the warnings about DAGs none is written: the DAG processor does so with its next look at the file.
        """

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

    @abstractmethod
    def _hashes(self, dag_ids: Any, path: str, session: Any) -> Any:
        """Return the newest hashes of the stored forms and of the code, by DAG."""

    def deactivate(self, dag_ids: Any, session: Any) -> None:
        """Have DAGs no longer be there, as Airflow does with those that have vanished from their file."""
        from airflow.models.dag import DagModel
        from sqlalchemy import update

        gone = update(DagModel).where(DagModel.dag_id.in_(dag_ids)).values(**self._gone())
        session.execute(gone.execution_options(synchronize_session=False))

    @abstractmethod
    def _gone(self) -> Dict[str, Any]: ...

    @abstractmethod
    def forget_errors(self, path: str, bundle: Bundle, session: Any) -> None:
        """Delete the import errors of a file, or of an archive."""

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

    @abstractmethod
    def _request(self, path: str, bundle: Bundle) -> Dict[str, Any]: ...
