"""Whether a DAG file on this host is what Airflow has recorded of its DAGs, or newer: another host may be ahead."""

from __future__ import annotations

import os
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any, Dict, Optional

from sqlalchemy import not_, select

from native_api.adapters.compat import airflow
from native_api.adapters.compat.interface.dag_files import Bundle, Loaded
from native_api.errors import Refused

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

#: Some file systems keep the time of a change in steps of two seconds.
_STEP = timedelta(seconds=2)


def recorded_since(loaded: Loaded, session: Session) -> Optional[datetime]:
    """
    Return when Airflow recorded other code of the file's DAGs, if the file here was last changed before that.

    Such a file is older than the one that Airflow has parsed. For any other file, return None.
    """
    changed = _time(os.stat(loaded.path).st_mtime) + _STEP
    dag_ids = {*loaded.dags, *airflow().dag_files.fingerprints(loaded.path, loaded.bundle, session)}
    later = [
        recorded
        for dag_id, fileloc, source, recorded in airflow().dag_files.recorded_code(dag_ids, session)
        if recorded > changed and source != _source(_module(loaded, dag_id, fileloc))
    ]
    return max(later, default=None)


def dags_of_others(loaded: Loaded, session: Any) -> Dict[str, str]:
    """
    Return the active DAGs of the file that Airflow reads from another file, which is not on this host.

    One whose file was renamed on this host, since Airflow last read it, is none of them.
    """
    from airflow.models.dag import DagModel

    status = os.stat(loaded.path)
    changed = _time(max(status.st_mtime, status.st_ctime))
    others = select(DagModel).where(
        DagModel.dag_id.in_(loaded.dags),
        airflow().is_active(DagModel),
        not_(airflow().dag_files.in_file(loaded.path, DagModel, loaded.bundle)),
    )
    folders = {bundle.name: bundle for bundle in airflow().dag_files.bundles()}
    found = {}
    for row in session.scalars(others):
        path = _path_here(row, folders)
        is_renamed = path is not None and row.last_parsed_time is not None and row.last_parsed_time < changed
        if not is_renamed and not (path is not None and os.path.exists(path)):
            found[row.dag_id] = row.fileloc
    return found


def _path_here(row: Any, bundles: Dict[Optional[str], Bundle]) -> Optional[str]:
    """Return where the file of a DAG would be on this host, None where no folder of this host would have it."""
    try:
        name, path = airflow().dag_files.place_of(row)
    except Refused:
        return None
    if name is None:
        folders = [bundle.path for bundle in airflow().dag_files.bundles()]
        is_here = os.path.exists(path) or any(path.startswith(f"{folder}{os.sep}") for folder in folders)
        return path if is_here else None
    return os.path.join(bundles[name].path, path) if name in bundles else None


def _module(loaded: Loaded, dag_id: str, fileloc: str) -> str:
    """Return the path of the module here that has, or had, the DAG: the file, or one in the archive."""
    if dag_id in loaded.dags:
        return str(loaded.dags[dag_id].fileloc)
    _, is_archive, inside = fileloc.partition(f".zip{os.sep}")
    return os.path.join(loaded.path, inside) if is_archive else loaded.path


def _source(path: str) -> Optional[str]:
    from airflow.utils.file import open_maybe_zipped

    try:
        with open_maybe_zipped(path, "r") as opened:
            return str(opened.read())
    except (OSError, KeyError, UnicodeDecodeError):
        return None


def _time(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, timezone.utc)
