"""
Refresh DAG files that this web server does not read: ask the DAG processor to parse them next, and wait for it.

What it has done is read from the database: the DAGs and import errors of each file, before and after.
"""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Dict, List, Optional, Set, Tuple

from sqlalchemy import or_, select

from native_api import settings
from native_api.adapters.compat import airflow
from native_api.adapters.compat.interface.dag_files import Bundle, Fingerprints
from native_api.registry import Context

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

#: The interval at which the database is read, in seconds.
POLL_SECONDS = 0.5

#: A file, and the bundle that it is in.
File = Tuple[str, Bundle]


@dataclass(frozen=True)
class _Recorded:
    """What the database has of a DAG file; each parsing changes the *timestamps*."""

    fingerprints: Fingerprints
    import_errors: Dict[str, str]
    timestamps: Set[Any]


def is_possible() -> bool:
    """Return whether this Airflow has a DAG processor that can be asked, and it has a recent heartbeat."""
    if not airflow().dag_files.has_priority_requests:
        return False
    # On Airflow 2 it can be part of the scheduler, and then has no status.
    return (airflow().status_of("dag_processor") or airflow().status_of("scheduler")) == "healthy"


def refresh(context: Context, files: List[File], *, wait: bool) -> Dict[str, Any]:
    """
    Ask the DAG processor to parse the files, and return the response of refresh_all_dags.

    :param wait: until it has parsed all of them, at most the timeout of requests. A file that it has not parsed by then
        has the outcome ``requested``.
    """
    start = time.monotonic()
    before = {file: _recorded(*file, context.session) for file in files}
    context.session.commit()
    for file in files:
        airflow().dag_files.ask_processor(*file)
    until = start + (settings.get("job_seconds") if wait else 0)
    entries: Dict[File, Dict[str, Any]] = {}
    while True:
        with airflow().session() as session:
            for file in (file for file in files if file not in entries):
                now = _recorded(*file, session)
                if now.timestamps != before[file].timestamps:
                    entries[file] = _entry(file, before[file], now, time.monotonic() - start, session)
        if len(entries) == len(files) or time.monotonic() > until or context.client_is_gone():
            break
        time.sleep(POLL_SECONDS)
    for file in (file for file in files if file not in entries):
        entries[file] = {**_named(file), **_NOTHING, "outcome": "requested", "seconds": 0.0}
    return _response(context, list(entries.values()), start)


def known_files(bundles: List[Bundle], session: Session) -> List[File]:
    """Return the files of the active DAGs of bundles; of an archive the archive."""
    found = {}
    for bundle in bundles:
        for path in airflow().dag_files.dags_in_use(bundle, session):
            archive, is_archive, _ = path.partition(f".zip{os.sep}")
            found[f"{archive}.zip" if is_archive else path, bundle] = True
    return list(found)


def _recorded(path: str, bundle: Bundle, session: Session) -> _Recorded:
    from airflow.models.dag import DagModel

    errors, dag_files = airflow().import_error_model(), airflow().dag_files
    # Airflow 3.0 has the path on the host of the DAG processor, as the DAGs of the file have it.
    paths = select(DagModel.fileloc).where(dag_files.in_file(path, DagModel, bundle))
    names = {dag_files.error_name(path, bundle), *session.scalars(paths)}
    of_file = or_(
        errors.filename.in_(names),
        *(errors.filename.startswith(f"{name}{os.sep}", autoescape=True) for name in sorted(names)),
    )
    rows = session.execute(select(errors.filename, errors.stacktrace, errors.timestamp).where(of_file)).all()
    fingerprints = dag_files.fingerprints(path, bundle, session)
    parsed = select(DagModel.dag_id, DagModel.last_parsed_time).where(DagModel.dag_id.in_(fingerprints))
    timestamps = {tuple(row) for row in session.execute(parsed)} | {(row.filename, row.timestamp) for row in rows}
    return _Recorded(fingerprints, {row.filename: row.stacktrace for row in rows}, timestamps)


_NOTHING: Dict[str, Any] = {
    "dag_ids": [],
    "task_count": 0,
    "import_errors": [],
    "added": [],
    "changed": [],
    "removed": [],
}


def _named(file: File) -> Dict[str, Any]:
    return {"file": file[0], "bundle_name": file[1].name, "exit_code": None, "bundle_version": None}


def _entry(file: File, before: _Recorded, now: _Recorded, seconds: float, session: Session) -> Dict[str, Any]:
    """Return the report of a file that the DAG processor has parsed."""
    old, new = before.fingerprints, now.fingerprints
    return {
        **_named(file),
        "outcome": "import_error" if now.import_errors else "loaded",
        "seconds": round(seconds, 3),
        "dag_ids": sorted(new),
        "task_count": sum(len(airflow().stored_tasks(dag_id, session)) for dag_id in new),
        "import_errors": [
            {"file": name, "stacktrace": airflow().masked(text)} for name, text in sorted(now.import_errors.items())
        ],
        "added": sorted(set(new) - set(old)),
        "changed": sorted(dag_id for dag_id in set(new) & set(old) if new[dag_id] != old[dag_id]),
        "removed": sorted(set(old) - set(new)),
    }


def _response(context: Context, entries: List[Dict[str, Any]], start: float) -> Dict[str, Any]:
    waiting = [entry["file"] for entry in entries if entry["outcome"] == "requested"]
    if waiting:
        context.warnings.append(
            f"The DAG processor has not parsed {len(waiting)} file(s) yet, for example {waiting[0]}. It does so next."
        )
    hostname: Optional[str] = None
    return {
        "files": sorted(entries, key=lambda entry: (-entry["seconds"], entry["file"])),
        "total_entries": len(entries),
        **{
            name: sorted(dag_id for entry in entries for dag_id in entry[name])
            for name in ("added", "changed", "removed")
        },
        "import_error_count": sum(len(entry["import_errors"]) for entry in entries),
        "asked_dag_processor": True,
        "hostname": hostname,
        "missing_files": [],
        "seconds": round(time.monotonic() - start, 3),
    }
