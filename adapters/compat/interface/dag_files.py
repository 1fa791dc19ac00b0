"""The DAG files, and how what they define comes into the database."""

from __future__ import annotations

import os
from abc import abstractmethod
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Dict, List, Mapping, Optional, Tuple, Type

from sqlalchemy import and_, or_, select, update
from sqlalchemy.exc import IntegrityError

from native_api.adapters.compat.installed import airflow
from native_api.adapters.compat.interface.bundles import Bundle, Bundles

if TYPE_CHECKING:
    from airflow.models.dag import DagModel
    from sqlalchemy.orm import Session

    from native_api.adapters.compat.objects import Dag

__all__ = ["Bundle", "DagFiles", "Fingerprints", "Loaded"]

#: By dag_id, the hash of a serialized DAG and that of its code, which show whether it has changed.
Fingerprints = Dict[str, Any]


@dataclass
class Loaded:
    """A parsed file: its DAGs, their serialized form, and its import errors by file."""

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
        """Return the files below *folder* that Airflow parses, in Airflow's order; *folder* can be a file."""

    @abstractmethod
    def is_ignored(self, path: str, folder: str) -> bool:
        """Return whether ``.airflowignore`` excludes a file in *folder*."""

    def looks_into(self, path: str) -> bool:
        """Return whether Airflow parses a file: in safe mode it skips those that do not mention DAGs."""
        from airflow.configuration import conf
        from airflow.utils.file import might_contain_dag

        return might_contain_dag(path, conf.getboolean("core", "dag_discovery_safe_mode"), **self._configuration())

    @abstractmethod
    def _configuration(self) -> Mapping[str, Any]: ...

    def file_limit(self) -> float:
        """Return the seconds that Airflow allows for parsing a file."""
        from airflow.configuration import conf

        return conf.getfloat("core", "dagbag_import_timeout")

    def ignore_everything(self) -> str:
        """Return the text of an ``.airflowignore`` that excludes everything beside it."""
        from airflow.configuration import conf

        return "*\n" if conf.get("core", "dag_ignore_file_syntax") == "glob" else ".*\n"

    # Serialization

    @abstractmethod
    def prepare(self) -> None:
        """Import what writing to the database needs, so that forks need not."""

    @abstractmethod
    def stored_form(self, dag: Dag) -> Any:
        """Serialize a DAG; a DAG that cannot be serialized raises Airflow's error."""

    @abstractmethod
    def error_name(self, path: str, bundle: Bundle) -> str:
        """Return the filename that the table of import errors has for a file."""

    # The database

    @abstractmethod
    def write(self, loaded: Loaded, session: Session) -> None:
        """
        Write the DAGs and import errors of a file, even if Airflow did so within its minimum update interval.

        DAG warnings are not written: the DAG processor does so when it parses the file next.
        """

    def in_file(self, path: str, dag_model: Type[DagModel], bundle: Optional[Bundle] = None) -> Any:
        """
        Return the condition that selects the DAGs of a file, or of an archive.

        :param bundle: the bundle of the file; also selects DAGs whose file another host has at another path.
        """
        places = [(dag_model.fileloc, path)]
        if bundle is not None:
            places.append((dag_model.relative_fileloc, os.path.relpath(path, bundle.path)))
        found = [or_(column == name, column.startswith(f"{name}{os.sep}", autoescape=True)) for column, name in places]
        # The path of one bundle may be that of another elsewhere.
        return found[0] if bundle is None else or_(found[0], and_(dag_model.bundle_name == bundle.name, found[1]))

    def fingerprints(self, path: str, bundle: Bundle, session: Session) -> Fingerprints:
        """Return the active DAGs of a file, each with the hashes of its serialized form and of its code."""
        from airflow.models.dag import DagModel

        in_file = self.in_file(path, DagModel, bundle)
        statement = select(DagModel.dag_id).where(in_file, airflow().is_active(DagModel))
        dag_ids = session.scalars(statement).all()
        forms, codes = self._hashes(dag_ids, path, session)
        return {dag_id: (forms.get(dag_id), codes.get(dag_id)) for dag_id in dag_ids}

    @abstractmethod
    def _hashes(self, dag_ids: Any, path: str, session: Session) -> Any:
        """Return the newest hashes of the serialized forms and of the code, by dag_id."""

    @abstractmethod
    def recorded_code(self, dag_ids: Any, session: Session) -> List[Tuple[Any, ...]]:
        """Return dag_id, fileloc, code and the time it was recorded, of the newest code of each of the DAGs."""

    def deactivate(self, dag_ids: Any, session: Session) -> None:
        """Deactivate DAGs, as Airflow does when their file no longer defines them."""
        from airflow.models.dag import DagModel

        gone = update(DagModel).where(DagModel.dag_id.in_(dag_ids)).values(**self._gone())
        session.execute(gone.execution_options(synchronize_session=False))

    @abstractmethod
    def _gone(self) -> Dict[str, object]: ...

    @abstractmethod
    def forget_errors(self, path: str, bundle: Bundle, session: Session) -> None:
        """Delete the import errors of a file, or of an archive."""

    #: Whether the DAG processor can be asked to parse a file next.
    has_priority_requests = True

    def ask_processor(self, path: str, bundle: Bundle) -> bool:
        """Ask the DAG processor to parse a file next; return whether this Airflow can be asked."""
        from airflow.models.dagbag import DagPriorityParsingRequest

        try:
            with airflow().session() as session:
                session.add(DagPriorityParsingRequest(**self._request(path, bundle)))
        except IntegrityError:
            # The request exists already.
            return True
        return True

    @abstractmethod
    def _request(self, path: str, bundle: Bundle) -> Dict[str, Any]: ...
