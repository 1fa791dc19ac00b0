"""The bundles that DAGs are read from."""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Dict, List, Optional, Tuple, Type

from sqlalchemy import select

from native_api.adapters.compat.installed import airflow

if TYPE_CHECKING:
    from airflow.models.dag import DagModel
    from sqlalchemy.orm import Session


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
        """Return the configured bundles; the first is the default."""

    @abstractmethod
    def bundle(self, name: Optional[str] = None, among: Optional[List[Bundle]] = None) -> Bundle:
        """
        Return the configured bundle with that name.

        :param among: only one of these.
        :raises Invalid: no bundle has the name.
        """

    @abstractmethod
    def opened(self, bundle: Bundle, *, refresh: bool) -> Bundle:
        """
        Initialize a bundle, so that its files can be read, and return it with its version.

        :param refresh: fetch what its source, for example a Git repository, has now.
        """

    @abstractmethod
    def require_local(self, bundle: Bundle) -> None:
        """Raise :class:`Refused` if the bundle is no local folder, or is part of an installed package."""

    @abstractmethod
    def place_of(self, dag_model: DagModel) -> Tuple[Optional[str], str]:
        """
        Return the name of a DAG's bundle, and the path of its file relative to it.

        :raises Refused: no configured bundle contains the file.
        """

    def file_of(self, dag_model: Any) -> str:
        """Return the absolute path of a DAG's file: the archive, not the module in it."""
        from airflow.utils.file import correct_maybe_zipped

        path: str = os.fspath(correct_maybe_zipped(dag_model.fileloc))
        return path

    def dags_in_use(self, bundle: Bundle, session: Session) -> Dict[str, List[str]]:
        """
        Return the active dag_ids of a bundle by file; in an archive, by module.

        The path is the one on this host, which need not have the file.
        """
        from airflow.models.dag import DagModel

        statement = select(*self._place(DagModel)).where(
            airflow().is_active(DagModel), self._in_bundle(bundle, DagModel)
        )
        found: Dict[str, List[str]] = {}
        for dag_id, *place in session.execute(statement.order_by(DagModel.dag_id)):
            found.setdefault(self._path_here(bundle, *place), []).append(dag_id)
        return found

    @abstractmethod
    def is_shared(self, dag_model: DagModel) -> bool:
        """Return whether this host has DAG files of the bundle of a DAG."""

    @abstractmethod
    def _place(self, dag_model: Type[DagModel]) -> Tuple[Any, ...]: ...

    def _path_here(self, bundle: Bundle, fileloc: str, relative: Optional[str] = None) -> str:
        # fileloc is the path on the host of the DAG processor.
        return os.fspath(fileloc) if relative is None else os.path.join(bundle.path, relative)

    @abstractmethod
    def _in_bundle(self, bundle: Bundle, dag_model: Type[DagModel]) -> Any: ...


def has_files(folder: str) -> bool:
    """Return whether a folder contains Python modules or archives."""
    walked = os.walk(folder, followlinks=True)
    return any(name.endswith((".py", ".zip")) for _, _, names in walked for name in names)
