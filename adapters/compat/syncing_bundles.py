"""The bundles that DAGs are read from."""

from __future__ import annotations

import os
import sysconfig
from dataclasses import dataclass
from typing import Any, Dict, List, Optional, Tuple

from native_api.adapters.compat.installed import airflow
from native_api.errors import Invalid, Refused


@dataclass(frozen=True)
class Bundle:
    """A DAGs folder; *name* is None on Airflow 2, which has no bundles."""

    path: str
    name: Optional[str] = None
    version: Optional[str] = None
    version_data: Any = None


class Bundles:
    """The newest Airflow, 3.3."""

    def bundles(self) -> List[Bundle]:
        """Return the bundles as they are configured; the first is the one that is meant where none is named."""
        from airflow.dag_processing.bundles.manager import DagBundlesManager

        return [Bundle(str(bundle.path), bundle.name) for bundle in DagBundlesManager().get_all_dag_bundles()]

    def bundle(self, name: Optional[str] = None, among: Optional[List[Bundle]] = None) -> Bundle:
        """
        Return the bundle of that name as it is configured.

        :param among: only one of these.
        :raises Invalid: there is none.
        """
        known = self.bundles() if among is None else among
        found = [bundle for bundle in known if name in (None, bundle.name)]
        if not found:
            raise Invalid({"bundle": [f"There is no bundle '{name}'."]})
        return found[0]

    def opened(self, bundle: Bundle, *, refresh: bool) -> Bundle:
        """
        Return the bundle with its files there to be read, and its version.

        :param refresh: get what its source has now; that may be a repository.
        """
        from airflow.dag_processing.bundles.manager import DagBundlesManager

        opened = DagBundlesManager().get_bundle(str(bundle.name))
        opened.initialize()
        if refresh:
            opened.refresh()
        return Bundle(str(opened.path), opened.name, **self._version_of(opened))

    def _version_of(self, bundle: Any) -> Dict[str, Any]:
        from airflow.dag_processing.bundles.base import unpack_bundle_version

        version, data = unpack_bundle_version(bundle.get_current_version(), bundle)
        return {"version": version, "version_data": data}

    def require_local(self, bundle: Bundle) -> None:
        """Raise :class:`Refused` where the bundle is a copy of what lies elsewhere, or part of an installed package."""
        from airflow.dag_processing.bundles.local import LocalDagBundle
        from airflow.dag_processing.bundles.manager import DagBundlesManager

        if not isinstance(DagBundlesManager().get_bundle(str(bundle.name)), LocalDagBundle):
            raise Refused(f"The bundle '{bundle.name}' is no local folder: change its files where they come from.")
        if _is_installed(bundle.path):
            raise Refused(f"The bundle '{bundle.name}' is part of an installed package, as Airflow's examples are.")

    def place_of(self, dag_model: Any) -> Tuple[Optional[str], str]:
        """
        Return the name of the bundle that a DAG is in, and the path of its file there.

        :raises Refused: neither Airflow's table nor the configuration says where it is.
        """
        path, relative = self.file_of(dag_model), dag_model.relative_fileloc
        if relative is None:
            # What an upgrade from Airflow 2 leaves until the DAG processor has read the file.
            bundle = self._bundle_around(path, dag_model.bundle_name)
            return bundle.name, os.path.relpath(path, bundle.path)
        inside = dag_model.fileloc[len(path) :]
        return dag_model.bundle_name, relative[: len(relative) - len(inside)]

    def file_of(self, dag_model: Any) -> str:
        """Return the whole path of the file that a DAG is in: the archive, not the module in it."""
        from airflow.utils.file import correct_maybe_zipped

        path: str = os.fspath(correct_maybe_zipped(dag_model.fileloc))
        return path

    def _bundle_around(self, path: str, name: Optional[str]) -> Bundle:
        for bundle in self.bundles():
            if name in (None, bundle.name) and path.startswith(f"{bundle.path}{os.sep}"):
                return bundle
        raise Refused(f"No bundle that is configured has the file {path} in it.")

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

    def is_shared(self, dag_model: Any) -> bool:
        """Return whether this machine has files of the bundle that a DAG is in."""
        name = dag_model.bundle_name
        return any(has_files(bundle.path) for bundle in self.bundles() if name in (None, bundle.name))

    def _place(self, dag_model: Any) -> Tuple[Any, ...]:
        return dag_model.dag_id, dag_model.fileloc, dag_model.relative_fileloc

    def _path_here(self, bundle: Bundle, fileloc: str, relative: Optional[str] = None) -> str:
        # The whole path is that of the machine whose DAG processor has read the file.
        return os.fspath(fileloc) if relative is None else os.path.join(bundle.path, relative)

    def _in_bundle(self, bundle: Bundle, dag_model: Any) -> Any:
        return dag_model.bundle_name == bundle.name


def has_files(folder: str) -> bool:
    """Return whether there are modules or archives in a folder, which Airflow may read or not."""
    walked = os.walk(folder, followlinks=True)
    return any(name.endswith((".py", ".zip")) for _, _, names in walked for name in names)


def _is_installed(folder: str) -> bool:
    """Return whether a folder lies in an installed package."""
    import airflow as package

    roots = [sysconfig.get_path("purelib"), sysconfig.get_path("platlib"), *package.__path__]
    real = os.path.realpath(folder)
    return any(os.path.commonpath([root, real]) == root for root in map(os.path.realpath, roots))
