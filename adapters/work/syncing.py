"""In the sandbox: the files of DAGs parsed, and what they define written to the database."""

from __future__ import annotations

import fcntl
import os
import tempfile
import time
from contextlib import contextmanager
from typing import Any, Dict, Iterator, List, NamedTuple, Optional

from native_api.adapters import private
from native_api.adapters.seam import airflow
from native_api.adapters.seam.syncing import Bundle, Loaded
from native_api.adapters.work import parsing
from native_api.errors import Refused


class Refreshed(NamedTuple):
    """A file to refresh; *is_read* says whether Airflow reads it still."""

    path: str
    bundle: Bundle
    is_read: bool
    lock: str


def refresh(
    bundles: List[Optional[str]], subdir: Optional[str], path: Optional[str], file_seconds: Optional[float]
) -> Dict[str, Any]:
    """
    Get what is behind the bundles, parse their files, and write what they define.

    :param subdir: the real path of a folder or file; only what lies there.
    :param path: only this file; its path in the bundle, or the whole one.
    :param file_seconds: how long a file may take; None stands for what Airflow allows.
    """
    begun = time.monotonic()
    airflow().syncing.prepare()
    with tempfile.TemporaryDirectory() as folder:
        files = _files(bundles, subdir, path, os.path.join(folder, "lock"))
        entries = [parsing.entry_of(file, piece) for file, piece in parsing.in_forks(_refresh_one, files, file_seconds)]
    asked = [airflow().syncing.ask_processor(file.path, file.bundle) for file in files if file.is_read]
    entries = [{**_NOTHING, **entry} for entry in parsing.slowest_first(entries)]
    return {
        "files": entries,
        "total_entries": len(entries),
        **{name: sorted(dag_id for entry in entries for dag_id in entry[name]) for name in _NOTHING},
        "import_error_count": sum(len(entry["import_errors"]) for entry in entries),
        "asked_dag_processor": any(asked),
        "seconds": round(time.monotonic() - begun, 3),
    }


_NOTHING: Dict[str, Any] = {"added": [], "changed": [], "removed": []}


def _files(names: List[Optional[str]], subdir: Optional[str], path: Optional[str], lock: str) -> List[Refreshed]:
    opened = list(parsing.opened(names, refresh=True))
    if path is not None:
        if not opened:
            raise Refused(f"The bundle '{names[0]}' of the file '{path}' is not in the configuration.")
        bundle = next((bundle for bundle in opened if _is_in(bundle, path)), opened[0])
        whole = os.path.join(bundle.path, path)
        return [Refreshed(whole, bundle, os.path.exists(whole), lock)]
    read = [file for bundle in opened for file in parsing.files_of(bundle, subdir)]
    left = [file for file in _left(opened, {path for path, _ in read}) if subdir is None or parsing.is_in(file, subdir)]
    return [Refreshed(*file, is_read, lock) for files, is_read in ((read, True), (left, False)) for file in files]


def _is_in(bundle: Bundle, path: str) -> bool:
    return not os.path.isabs(path) or os.path.commonpath([bundle.path, path]) == bundle.path


def _left(opened: List[Bundle], read: Any) -> Iterator[parsing.File]:
    """Give the files that DAGs are in and that Airflow does not read any longer."""
    with airflow().session() as session:
        for bundle in opened:
            for fileloc in airflow().syncing.files_in_use(bundle, session):
                if not any(fileloc == path or fileloc.startswith(f"{path}{os.sep}") for path in read):
                    yield fileloc, bundle


def _refresh_one(file: Refreshed) -> Dict[str, Any]:
    loaded = parsing.load(file.path, file.bundle) if file.is_read else Loaded(file.path, file.bundle)
    with _alone(file.lock), airflow().session() as session:
        changes = sync(loaded, session)
    return {**parsing.summary(loaded), **changes, "bundle_version": file.bundle.version}


@contextmanager
def _alone(lock: str) -> Iterator[None]:
    # Two files may name the same asset, and SQLite has one writer.
    with open(lock, "w", encoding="utf-8", opener=private.opened) as opened:
        fcntl.flock(opened, fcntl.LOCK_EX)
        yield


def sync(loaded: Loaded, session: Any) -> Dict[str, Any]:
    """Write what a file defines; return the DAGs that are new, those that have changed, and those that are gone."""
    syncing = airflow().syncing
    before = syncing.marks(loaded.path, session)
    syncing.write(loaded, session)
    if not loaded.import_errors:
        syncing.deactivate(set(before) - set(loaded.dags), session)
    session.flush()
    session.expire_all()
    after = syncing.marks(loaded.path, session)
    return {
        "added": sorted(set(after) - set(before)),
        "changed": sorted(dag_id for dag_id in set(after) & set(before) if after[dag_id] != before[dag_id]),
        "removed": sorted(set(before) - set(after)),
    }
