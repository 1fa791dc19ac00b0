"""The folders that DAGs are read from in Airflow 2, which has no bundles."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, List, Optional, Tuple, Type

from sqlalchemy import and_, not_, true

from native_api.adapters.compat.interface.bundles import Bundle, Bundles, has_files
from native_api.errors import Invalid

if TYPE_CHECKING:
    from airflow.models.dag import DagModel


class Bundles2(Bundles):
    """Airflow 2."""

    def bundles(self) -> List[Bundle]:
        from airflow import example_dags
        from airflow.configuration import conf
        from airflow.settings import DAGS_FOLDER

        examples = list(example_dags.__path__) if conf.getboolean("core", "load_examples") else []
        # Without a trailing slash, as in the paths that Airflow stores.
        return [Bundle(os.fspath(Path(path))) for path in (DAGS_FOLDER, *examples)]

    def bundle(self, name: Optional[str] = None, among: Optional[List[Bundle]] = None) -> Bundle:
        # Bundles exist since 3.0 (AIP-66).
        if name is not None:
            raise Invalid({"bundle": ["Airflow 2 has no bundles: leave it out."]})
        return self.bundles()[0]

    def opened(self, bundle: Bundle, *, refresh: bool) -> Bundle:
        return bundle

    def require_local(self, bundle: Bundle) -> None:
        """Everything is a local folder here."""

    def place_of(self, dag_model: DagModel) -> Tuple[Optional[str], str]:
        return None, self.file_of(dag_model)

    def is_shared(self, dag_model: DagModel) -> bool:
        return has_files(self.bundle().path)

    def _place(self, dag_model: Type[DagModel]) -> Tuple[object, ...]:
        return dag_model.dag_id, dag_model.fileloc

    def _in_bundle(self, bundle: Bundle, dag_model: Type[DagModel]) -> Any:
        dags_folder, *examples = self.bundles()
        if bundle != dags_folder:
            return _lies_in(bundle, dag_model)
        # The scheduler's host can have the DAGs folder at another path.
        return and_(true(), *(not_(_lies_in(other, dag_model)) for other in examples))


def _lies_in(bundle: Bundle, dag_model: Type[DagModel]) -> Any:
    return dag_model.fileloc.startswith(f"{bundle.path}{os.sep}", autoescape=True)
