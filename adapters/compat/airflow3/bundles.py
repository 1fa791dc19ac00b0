"""The bundles that DAGs are read from in Airflow 3."""

from __future__ import annotations

import os
import sysconfig
from typing import TYPE_CHECKING, Any, Dict, List, Optional, Tuple, Type

from native_api.adapters.compat.interface.bundles import Bundle, Bundles, has_files
from native_api.errors import Invalid, Refused

if TYPE_CHECKING:
    from airflow.models.dag import DagModel


class Bundles3(Bundles):
    """Airflow 3."""

    def bundles(self) -> List[Bundle]:
        from airflow.dag_processing.bundles.manager import DagBundlesManager

        return [Bundle(str(bundle.path), bundle.name) for bundle in DagBundlesManager().get_all_dag_bundles()]

    def bundle(self, name: Optional[str] = None, among: Optional[List[Bundle]] = None) -> Bundle:
        known = self.bundles() if among is None else among
        found = [bundle for bundle in known if name in (None, bundle.name)]
        if not found:
            raise Invalid({"bundle": [f"There is no bundle '{name}'."]})
        return found[0]

    def opened(self, bundle: Bundle, *, refresh: bool) -> Bundle:
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
        from airflow.dag_processing.bundles.local import LocalDagBundle
        from airflow.dag_processing.bundles.manager import DagBundlesManager

        if not isinstance(DagBundlesManager().get_bundle(str(bundle.name)), LocalDagBundle):
            raise Refused(f"The bundle '{bundle.name}' is not a local folder: change its files at their origin.")
        if _is_installed(bundle.path):
            raise Refused(f"The bundle '{bundle.name}' is part of an installed package, as Airflow's examples are.")

    def place_of(self, dag_model: Any) -> Tuple[Optional[str], str]:
        path, relative = self.file_of(dag_model), dag_model.relative_fileloc
        if relative is None:
            # After an upgrade from Airflow 2, until the DAG processor has parsed the file.
            bundle = self._bundle_around(path, dag_model.bundle_name)
            return bundle.name, os.path.relpath(path, bundle.path)
        inside = dag_model.fileloc[len(path) :]
        return dag_model.bundle_name, relative[: len(relative) - len(inside)]

    def _bundle_around(self, path: str, name: Optional[str]) -> Bundle:
        for bundle in self.bundles():
            if name in (None, bundle.name) and path.startswith(f"{bundle.path}{os.sep}"):
                return bundle
        raise Refused(f"No configured bundle contains the file {path}.")

    def is_shared(self, dag_model: DagModel) -> bool:
        name = dag_model.bundle_name
        return any(has_files(bundle.path) for bundle in self.bundles() if name in (None, bundle.name))

    def _place(self, dag_model: Type[DagModel]) -> Tuple[object, ...]:
        return dag_model.dag_id, dag_model.fileloc, dag_model.relative_fileloc

    def _in_bundle(self, bundle: Bundle, dag_model: Type[DagModel]) -> Any:
        return dag_model.bundle_name == bundle.name


def _is_installed(folder: str) -> bool:
    """Return whether a folder lies in an installed package."""
    import airflow as package

    roots = [sysconfig.get_path("purelib"), sysconfig.get_path("platlib"), *package.__path__]
    real = os.path.realpath(folder)
    return any(os.path.commonpath([root, real]) == root for root in map(os.path.realpath, roots))
