"""In the sandbox: parse DAG files, and write their DAGs to the database."""

from __future__ import annotations

import fcntl
import os
import tempfile
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Dict, Iterator, List, Mapping, NamedTuple, Optional

from native_api.adapters import private_files
from native_api.adapters.compat import airflow
from native_api.adapters.compat.interface.dag_files import Bundle, Loaded
from native_api.adapters.dags import parsing, recorded
from native_api.adapters.dags.file_reports import Changes, FileReport
from native_api.adapters.dags.readable_files import Rules, readable_files
from native_api.adapters.executor.functions import runs_on_executor
from native_api.errors import DagFileMissing, DagFileOutdated, DagsElsewhere, Refused
from native_api.host import hostname

if TYPE_CHECKING:
    from sqlalchemy.orm import Session


class Refreshed(NamedTuple):
    """A file to refresh. If *is_here*, it is parsed; otherwise its DAGs are deactivated."""

    path: str
    bundle: Bundle
    is_here: bool
    lock: str


class Missing(NamedTuple):
    """A file that defines active DAGs and that Airflow would not read on this host."""

    path: str
    bundle: Bundle
    dag_ids: List[str]


@runs_on_executor
def refresh_file(bundles: List[Optional[str]], path: str, dag_id: str) -> Dict[str, object]:
    """
    Refresh the bundle of a DAG file, parse the file, and write its DAGs.

    :param path: of the file, relative to the bundle or absolute.
    :raises DagFileMissing: the file is not on this host.
    """
    begun = time.monotonic()
    opened = list(parsing.opened(bundles, refresh=True))
    if not opened:
        raise Refused(f"The DAG bundle '{bundles[0]}' of the file '{path}' is not configured.")
    bundle = next((bundle for bundle in opened if _is_in(bundle, path)), opened[0])
    whole = os.path.join(bundle.path, path)
    if not os.path.exists(whole):
        raise DagFileMissing(dag_id, whole, bundle.name, hostname())
    files = [(whole, bundle)]
    entries = _entries(files, None)
    _require_written(entries[0], dag_id)
    return _response(entries, files, begun)


def _require_written(entry: Mapping[str, Any], dag_id: str) -> None:
    if entry["outcome"] == "outdated":
        place = entry["file"], entry["bundle_name"], hostname()
        raise DagFileOutdated(dag_id, *place, entry["recorded_at"])
    if entry["outcome"] == "elsewhere":
        raise DagsElsewhere(entry["elsewhere"], hostname())


@runs_on_executor
def refresh(
    bundles: List[Optional[str]],
    subdir: Optional[str],
    file_seconds: Optional[float],
    remove_missing: bool,
    rules: Optional[Rules] = None,
) -> Dict[str, object]:
    """
    Refresh the bundles, parse their files, and write their DAGs.

    :param subdir: the real path of a folder or file; only files below it are parsed.
    :param file_seconds: timeout of one file; None for Airflow's dagbag_import_timeout.
    :param remove_missing: deactivate the DAGs of files that Airflow would not read on this host.
    :param rules: the files that the caller can have parsed; None for all.
    :raises DagFilesMissing: a bundle, or the folder, has active DAGs but no files.
    """
    begun = time.monotonic()
    opened = list(parsing.opened(bundles, refresh=True))
    here = parsing.files_here(opened, subdir, lambda bundle: _active_dags(bundle, subdir), may_be_gone=remove_missing)
    files = readable_files(here, rules)
    entries = _entries(files, file_seconds)
    # Another file may define by now what was in a file that is not here.
    gone = [file for file in _missing(opened, here) if subdir is None or parsing.is_in(file[:2], subdir)]
    missing = readable_files(gone, rules)
    if remove_missing:
        # On Airflow 2 a file at another path may be that of another DAGs folder.
        removed = [(file.path, file.bundle) for file in missing if _is_in(file.bundle, file.path)]
        entries += _entries(removed, None, are_here=False)
    return {**_response(entries, files, begun), "missing_files": [_as_response(file) for file in missing]}


def _active_dags(bundle: Bundle, subdir: Optional[str]) -> int:
    with airflow().session() as session:
        return parsing.active_dags(bundle, subdir, session)


def _entries(files: List[parsing.File], file_seconds: Optional[float], *, are_here: bool = True) -> List[FileReport]:
    airflow().dag_files.prepare()
    with tempfile.TemporaryDirectory() as folder:
        some = [Refreshed(*file, are_here, os.path.join(folder, "lock")) for file in files]
        return [
            parsing.entry_of(file.path, file.bundle, fork_result)
            for file, fork_result in parsing.in_forks(_refresh_one, some, file_seconds)
        ]


def _response(reports: List[FileReport], files: List[parsing.File], begun: float) -> Dict[str, object]:
    asked = [airflow().dag_files.ask_processor(*file) for file in files]
    entries: List[Dict[str, Any]] = [{**_NOTHING, **report} for report in parsing.slowest_first(reports)]
    return {
        "files": entries,
        "total_entries": len(entries),
        **{name: sorted(dag_id for entry in entries for dag_id in entry[name]) for name in _NOTHING},
        "import_error_count": sum(len(entry["import_errors"]) for entry in entries),
        "asked_dag_processor": any(asked),
        "hostname": hostname(),
        "missing_files": [],
        "seconds": round(time.monotonic() - begun, 3),
    }


_NOTHING: Changes = {"added": [], "changed": [], "removed": []}


def _is_in(bundle: Bundle, path: str) -> bool:
    return not os.path.isabs(path) or os.path.commonpath([bundle.path, path]) == bundle.path


def _missing(opened: List[Bundle], files: List[parsing.File]) -> Iterator[Missing]:
    here = {path for path, _ in files}
    # Of an archive the database has the modules.
    folders = tuple(f"{path}{os.sep}" for path in here if not path.endswith(".py"))
    with airflow().session() as session:
        for bundle in opened:
            for path, dag_ids in airflow().dag_files.dags_in_use(bundle, session).items():
                if path not in here and not path.startswith(folders):
                    yield Missing(path, bundle, dag_ids)


def _as_response(file: Missing) -> Dict[str, object]:
    return {"file": file.path, "bundle_name": file.bundle.name, "dag_ids": file.dag_ids}


def _refresh_one(file: Refreshed) -> Dict[str, object]:
    loaded = parsing.load(file.path, file.bundle) if file.is_here else Loaded(file.path, file.bundle)
    with _alone(file.lock), airflow().session() as session:
        outcome = _what_forbids(loaded, session) if file.is_here else {"outcome": "missing"}
        changes = _NOTHING if "outcome" in outcome and file.is_here else sync(loaded, session)
    return {**parsing.summary(loaded), **outcome, **changes, "bundle_version": file.bundle.version}


def _what_forbids(loaded: Loaded, session: Session) -> Dict[str, object]:
    """Return the outcome of a file that another host is ahead of, so that nothing of it is written."""
    since = recorded.recorded_since(loaded, session)
    if since is not None:
        return {"outcome": "outdated", "recorded_at": since.isoformat()}
    elsewhere = recorded.dags_of_others(loaded, session)
    return {"outcome": "elsewhere", "elsewhere": elsewhere} if elsewhere else {}


@contextmanager
def _alone(lock: str) -> Iterator[None]:
    # Two files may name the same asset, and SQLite has one writer.
    with open(lock, "w", encoding="utf-8", opener=private_files.opened) as opened:
        fcntl.flock(opened, fcntl.LOCK_EX)
        yield


def sync(loaded: Loaded, session: Session) -> Changes:
    """Write the DAGs of a file; return the new, the changed and the deactivated ones."""
    dag_files = airflow().dag_files
    before = dag_files.fingerprints(loaded.path, loaded.bundle, session)
    dag_files.write(loaded, session)
    if not loaded.import_errors:
        dag_files.deactivate(set(before) - set(loaded.dags), session)
    session.flush()
    session.expire_all()
    after = dag_files.fingerprints(loaded.path, loaded.bundle, session)
    return {
        "added": sorted(set(after) - set(before)),
        "changed": sorted(dag_id for dag_id in set(after) & set(before) if after[dag_id] != before[dag_id]),
        "removed": sorted(set(before) - set(after)),
    }
