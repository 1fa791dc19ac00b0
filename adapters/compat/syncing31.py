"""The DAG files on older Airflow 3."""

from __future__ import annotations

from typing import Any, Dict, List, Mapping

from native_api.adapters.compat.syncing import Bundle, Loaded, Syncing


class Syncing33(Syncing):
    """Airflow 3.3."""

    # 3.4 gave the discovery of files to importers.

    def files(self, folder: str) -> List[str]:
        from airflow.utils.file import list_py_file_paths

        return list_py_file_paths(folder)

    def is_ignored(self, path: str, folder: str) -> bool:
        from airflow.utils.file import list_py_file_paths

        return path not in list_py_file_paths(folder, safe_mode=False)

    def _configuration(self) -> Mapping[str, Any]:
        return {}


class Syncing32(Syncing33):
    """Airflow 3.1 and 3.2."""

    def _version_of(self, bundle: Any) -> Dict[str, Any]:
        # 3.3 added data to a version.
        return {"version": bundle.get_current_version()}

    def _version_data(self, bundle: Bundle) -> Mapping[str, Any]:
        return {}

    def _bundles_of_others(self) -> Mapping[str, Any]:
        return {}


class Syncing30(Syncing32):
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

    def _write(self, loaded: Loaded, import_errors: Dict[Any, str], session: Any) -> None:
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


LINES = (((3, 4), Syncing), ((3, 3), Syncing33), ((3, 1), Syncing32), ((3, 0), Syncing30))
