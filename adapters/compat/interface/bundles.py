"""The bundles that DAGs are read from."""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, Dict, List, Optional, Tuple

from native_api.adapters.compat.installed import airflow


@dataclass(frozen=True)
class Bundle:
    """A DAGs folder; *name* is None on Airflow 2, which has no bundles."""

    path: str
    name: Optional[str] = None
    version: Optional[str] = None
    version_data: Any = None


class Bundles(ABC):
    """The bundles that DAGs are read from."""

    @abstractmethod
    def bundles(self) -> List[Bundle]:
        """Return the bundles as they are configured; the first is the one that is meant where none is named."""

    @abstractmethod
    def bundle(self, name: Optional[str] = None, among: Optional[List[Bundle]] = None) -> Bundle:
        """
        Return the bundle of that name as it is configured.

        :param among: only one of these.
        :raises Invalid: there is none.
        """

    @abstractmethod
    def opened(self, bundle: Bundle, *, refresh: bool) -> Bundle:
        """
        Return the bundle with its files there to be read, and its version.

        :param refresh: get what its source has now; that may be a repository.
        """

    @abstractmethod
    def require_local(self, bundle: Bundle) -> None:
        """Raise :class:`Refused` where the bundle is a copy of what lies elsewhere, or part of an installed package."""

    @abstractmethod
    def place_of(self, dag_model: Any) -> Tuple[Optional[str], str]:
        """
        Return the name of the bundle that a DAG is in, and the path of its file there.

        :raises Refused: neither Airflow's table nor the configuration says where it is.
        """

    def file_of(self, dag_model: Any) -> str:
        """Return the whole path of the file that a DAG is in: the archive, not the module in it."""
        from airflow.utils.file import correct_maybe_zipped

        path: str = os.fspath(correct_maybe_zipped(dag_model.fileloc))
        return path

    def dags_in_use(self, bundle: Bundle, session: Any) -> Dict[str, List[str]]:
        """
        Return the active DAGs of a bundle by their file; of an archive, by the module in it.

        The path is where the file would be on this machine, which need not have it.
        """
        from airflow.models.dag import DagModel
        from sqlalchemy import select

        statement = select(*self._place(DagModel)).where(
            airflow().is_active(DagModel), self._in_bundle(bundle, DagModel)
        )
        found: Dict[str, List[str]] = {}
        for dag_id, *place in session.execute(statement.order_by(DagModel.dag_id)):
            found.setdefault(self._path_here(bundle, *place), []).append(dag_id)
        return found

    @abstractmethod
    def is_shared(self, dag_model: Any) -> bool:
        """Return whether this machine has files of the bundle that a DAG is in."""

    @abstractmethod
    def _place(self, dag_model: Any) -> Tuple[Any, ...]: ...

    def _path_here(self, bundle: Bundle, fileloc: str, relative: Optional[str] = None) -> str:
        # The whole path is that of the machine whose DAG processor has read the file.
        return os.fspath(fileloc) if relative is None else os.path.join(bundle.path, relative)

    @abstractmethod
    def _in_bundle(self, bundle: Bundle, dag_model: Any) -> Any: ...


def has_files(folder: str) -> bool:
    """Return whether there are modules or archives in a folder, which Airflow may read or not."""
    walked = os.walk(folder, followlinks=True)
    return any(name.endswith((".py", ".zip")) for _, _, names in walked for name in names)
