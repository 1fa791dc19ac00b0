"""In the sandbox: one change of a file of DAGs, on disk and in the database, whole or undone."""

from __future__ import annotations

import os
import socket
from contextlib import contextmanager, suppress
from typing import Any, Dict, Iterator, List, Optional, TypedDict

from native_api.adapters.deploying import archives, history, names
from native_api.adapters.deploying.history import History, Record
from native_api.adapters.deploying.names import Target
from native_api.adapters.deploying.staging import Change, current
from native_api.adapters.sandbox.worker import outcome_of_call
from native_api.adapters.seam import airflow
from native_api.adapters.seam.syncing import Loaded
from native_api.adapters.work import parsing, syncing
from native_api.adapters.work.standing_in import forget, standing_in
from native_api.errors import DagFileBroken, DagFileExists, DagFileNotFound, DagsElsewhere, NoDagInFile


class How(TypedDict):
    """What is asked of a deployment besides the content."""

    #: Do everything but the change.
    dry_run: bool
    #: Take a file without DAGs.
    allow_empty: bool
    #: The pause state of its DAGs; None leaves it to Airflow.
    paused: Optional[bool]
    #: How many versions to keep before the new one.
    kept: int


def deploy(record: Record, upload: str, force: bool, how: How) -> Dict[str, Any]:
    """
    Put a file where its record says, and what it defines into the database.

    :param upload: the path of the new content, which is removed.
    """
    with open(upload, "rb") as opened:
        content = opened.read()
    os.unlink(upload)
    target = _target(record)
    with _alone(target) as versions:
        if not force and target.mode() is not None:
            raise DagFileExists(target.path, socket.gethostname())
        return _put(target, versions, record, content, how)


def roll_back(record: Record, deployment_id: Optional[str], how: How) -> Dict[str, Any]:
    """Put a version that is kept in the place of what is there now; see :func:`deploy`."""
    target = _target(record)
    with _alone(target) as versions:
        chosen = versions.record(deployment_id, target.file)
        content = versions.content(chosen["deployment_id"])
        record = {**record, "bytes": len(content), "restored": chosen["deployment_id"]}
        return _put(target, versions, record, content, how)


def delete(record: Record, metadata: bool, kept: int) -> Dict[str, Any]:
    """Delete a file, and deactivate its DAGs or delete all that is known of them."""
    target = _target(record)
    with _alone(target) as versions:
        if target.mode() is None:
            raise DagFileNotFound(target.path)
        with _undone_on_error(Change.begin(target, versions, record, None), target) as change:
            change.remove()
            with airflow().session() as session:
                changes = syncing.sync(Loaded(target.path, target.bundle), session)
                deleted = [airflow().delete_dag(dag_id, session) for dag_id in changes["removed"] if metadata]
            done = change.commit(kept, dag_ids=[])
        return {**_told(done), **changes, "deleted_rows": sum(deleted)}


def recover(record: Record, upload: Optional[str] = None) -> None:
    """Undo what a killed deployment has left, and remove its upload."""
    if upload:
        with suppress(FileNotFoundError):
            os.unlink(upload)
    with _alone(_target(record)):
        return


def _target(record: Record) -> Target:
    return names.target(record["path"], record["bundle_name"])


@contextmanager
def _alone(target: Target) -> Iterator[History]:
    """Give the history of a file once nothing is left of a deployment that was killed, and keep others away."""
    versions = history.of(target)
    with versions.alone(target.file):
        journal = versions.journal()
        if journal:
            _undo(Change(target, versions, journal), target)
        versions.sweep()
        yield versions


@contextmanager
def _undone_on_error(change: Change, target: Target) -> Iterator[Change]:
    try:
        yield change
    except BaseException:
        _undo(change, target)
        raise


def _undo(change: Change, target: Target) -> None:
    if change.undo():
        _sync_as_it_is(target)
    change.forget()


def _sync_as_it_is(target: Target) -> None:
    forget(target.path)
    there = current(target) is not None
    loaded = parsing.load(target.path, target.bundle) if there else Loaded(target.path, target.bundle)
    with airflow().session() as session:
        syncing.sync(loaded, session)


def _put(target: Target, versions: History, record: Record, content: bytes, how: How) -> Dict[str, Any]:
    archives.require_sound(content, is_archive=target.file.endswith(".zip"))
    _require_syntax(target, content)
    with _undone_on_error(Change.begin(target, versions, record, content), target) as change:
        change.stage(content)
        with standing_in(target.path, change.staged):
            loaded = parsing.load(target.path, target.bundle)
        _require_deployable(loaded, target, how["allow_empty"])
        if not how["dry_run"]:
            return _finish(loaded, target, change, how)
        told = _would_change(loaded, target, change)
        change.undo()
        change.forget()
        return told


def _finish(loaded: Loaded, target: Target, change: Change, how: How) -> Dict[str, Any]:
    """Do what a file that loads was staged for."""
    change.swap()
    airflow().syncing.prepare()
    with airflow().session() as session:
        changes = syncing.sync(loaded, session)
        _require_stored(loaded)
        _pause(loaded, how["paused"], session)
    done = change.commit(how["kept"], dag_ids=sorted(loaded.dags))
    airflow().syncing.ask_processor(target.path, target.bundle)
    return {**_told(done), **changes, "warnings": _warnings(target)}


def _require_syntax(target: Target, content: bytes) -> None:
    """Raise where a module is no Python: Airflow does not look at one that has none of its words in it."""
    if target.file.endswith(".py"):
        outcome = outcome_of_call(lambda: compile(content, target.path, "exec", dont_inherit=True))
        if "error" in outcome:
            raise DagFileBroken([{"file": target.path, "stacktrace": outcome["error"]["traceback"]}])


def _require_deployable(loaded: Loaded, target: Target, allow_empty: bool) -> None:
    """Raise where a file does not load, defines no DAG, or one of another file."""
    _require_stored(loaded)
    if not loaded.dags and not allow_empty:
        raise NoDagInFile(target.file)
    with airflow().session() as session:
        elsewhere = _defined_elsewhere(loaded, session)
    if elsewhere:
        raise DagsElsewhere(elsewhere)


def _require_stored(loaded: Loaded) -> None:
    if loaded.import_errors:
        raise DagFileBroken(parsing.summary(loaded)["import_errors"])


def _defined_elsewhere(loaded: Loaded, session: Any) -> Dict[str, str]:
    from airflow.models.dag import DagModel
    from airflow.utils.file import correct_maybe_zipped
    from sqlalchemy import not_, select

    others = select(DagModel.dag_id, DagModel.fileloc).where(
        DagModel.dag_id.in_(loaded.dags),
        airflow().is_active(DagModel),
        not_(airflow().syncing.in_file(loaded.path, DagModel)),
    )
    # Airflow may not have noticed yet that a file is gone.
    return {
        dag_id: fileloc for dag_id, fileloc in session.execute(others) if os.path.exists(correct_maybe_zipped(fileloc))
    }


def _would_change(loaded: Loaded, target: Target, change: Change) -> Dict[str, Any]:
    with airflow().session() as session:
        known = set(airflow().syncing.marks(target.path, session))
    is_other = history.checksum(current(target)) != change.journal["checksum"]
    return {
        **_told(change.journal),
        "deployment_id": None,
        "dry_run": True,
        "dag_ids": sorted(loaded.dags),
        "added": sorted(set(loaded.dags) - known),
        "changed": sorted(known & set(loaded.dags)) if is_other else [],
        "removed": sorted(known - set(loaded.dags)),
        "warnings": [],
    }


def _pause(loaded: Loaded, paused: Optional[bool], session: Any) -> None:
    from airflow.models.dag import DagModel
    from sqlalchemy import update

    if paused is not None:
        rows = update(DagModel).where(DagModel.dag_id.in_(loaded.dags)).values(is_paused=paused)
        session.execute(rows.execution_options(synchronize_session=False))


def _warnings(target: Target) -> List[str]:
    if airflow().syncing.is_ignored(target.path, target.bundle.path):
        return [f"An .airflowignore has Airflow pass over '{target.file}': its DAGs will be deactivated again."]
    return []


def _told(record: Record) -> Dict[str, Any]:
    """Return a deployment as answers have it."""
    shown = {name: value for name, value in record.items() if name != "undo"}
    return {**shown, "replaced": record["undo"]["old"] is not None, "dry_run": False}
