"""In the sandbox: change a DAG file on disk and in the database, completely or not at all."""

from __future__ import annotations

import os
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, Dict, Iterator, List, Optional, TypedDict

from sqlalchemy.exc import SQLAlchemyError

from native_api.adapters.compat import airflow
from native_api.adapters.compat.interface.dag_files import Loaded
from native_api.adapters.dags import parsing, sync
from native_api.adapters.deployments import archives, history, pause_states, targets
from native_api.adapters.deployments.history import History, Journal, NewRecord
from native_api.adapters.deployments.staging import Change, PauseStates, current
from native_api.adapters.deployments.substitution import forget
from native_api.adapters.deployments.targets import Target
from native_api.adapters.deployments.validation import require_nowhere_else, require_stored, tried_out
from native_api.errors import DagFileExists, DagFileNotFound
from native_api.host import hostname

if TYPE_CHECKING:
    from sqlalchemy.orm import Session


class How(TypedDict):
    """The options of a deployment."""

    #: Do everything but the change.
    dry_run: bool
    #: Accept a file without DAGs.
    allow_empty: bool
    #: The pause state of its DAGs; None leaves it to Airflow.
    paused: Optional[bool]
    #: Number of versions to retain before the new one.
    kept: int


def deploy(record: NewRecord, upload: str, force: bool, how: How) -> Dict[str, Any]:
    """
    Write a file to the path in its record, and its DAGs to the database.

    :param upload: the path of the new content, which is deleted.
    """
    with open(upload, "rb") as opened:
        content = opened.read()
    os.unlink(upload)
    target = _target(record)
    with _alone(target) as versions:
        if not force and target.mode() is not None:
            raise DagFileExists(target.path, hostname())
        return _put(target, versions, record, content, how)


def roll_back(record: NewRecord, deployment_id: str, how: How) -> Dict[str, Any]:
    """Restore a stored version of a file; see :func:`deploy`."""
    target = _target(record)
    with _alone(target) as versions:
        chosen = versions.record(deployment_id, target.file)
        content = versions.content(chosen["deployment_id"])
        record = {**record, "bytes": len(content), "restored": chosen["deployment_id"]}
        return _put(target, versions, record, content, how)


def delete(record: NewRecord, metadata: bool, kept: int) -> Dict[str, Any]:
    """Delete a file, and deactivate its DAGs or delete their metadata."""
    target = _target(record)
    with _alone(target) as versions:
        if target.mode() is None:
            raise DagFileNotFound(target.path)
        nothing = Loaded(target.path, target.bundle)
        begun = Change.begin(target, versions, record, None)
        with _undone_on_error(begun, target) as change, history.one_at_a_time():
            change.remove(pause_states.states(nothing))
            with airflow().session() as session:
                changes = sync.sync(nothing, session)
                deleted = _delete_rows(changes["removed"], session) if metadata else 0
            done = change.commit(kept, dag_ids=[])
        return {**_as_response(done), **changes, "deleted_rows": deleted}


def _delete_rows(dag_ids: List[str], session: Session) -> int:
    from airflow.models.dag import DagModel

    # A SubDAG has gone with its parent.
    return sum(airflow().delete_dag(dag_id, session) for dag_id in dag_ids if session.get(DagModel, dag_id))


def recover(record: NewRecord, upload: Optional[str] = None) -> None:
    """Undo a killed deployment, and delete its upload."""
    if upload:
        with suppress(FileNotFoundError):
            os.unlink(upload)
    with _alone(_target(record)):
        return


def _target(record: NewRecord) -> Target:
    return targets.target(record["path"], record["bundle_name"])


@contextmanager
def _alone(target: Target) -> Iterator[History]:
    """Yield the locked history of a file, after a killed deployment of it is undone."""
    with history.locked_history(target) as versions:
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
        if not change.is_committed:
            _undo(change, target)
        raise


def _undo(change: Change, target: Target) -> None:
    if change.undo():
        _sync_as_it_is(target, change.paused)
    change.forget()


def _sync_as_it_is(target: Target, paused: PauseStates) -> None:
    forget(target.path)
    loaded = _loaded_as_it_is(target)
    airflow().dag_files.prepare()
    with history.one_at_a_time(), airflow().session() as session:
        sync.sync(loaded, session)
        # Of a file that does not load, Airflow keeps what it knows; what another file defines by now is left alone.
        there = set(airflow().dag_files.fingerprints(target.path, target.bundle, session)) - set(loaded.dags)
        airflow().dag_files.deactivate({dag_id for dag_id in there if paused.get(dag_id, True) is None}, session)
        pause_states.bring_back(paused, target.path, session)


def _loaded_as_it_is(target: Target) -> Loaded:
    """Return what the file defines, parsed in a fork, since a file that ends its process must not stop the undoing."""
    file = (target.path, target.bundle)
    if current(target) is None:
        return Loaded(*file)
    ((_, fork_result),) = parsing.in_forks(lambda file: parsing.summary(parsing.load(*file)), [file], None)
    if fork_result.state == "success":
        return parsing.load(*file)
    errors = parsing.entry_of(*file, fork_result)["import_errors"]
    return Loaded(*file, import_errors={error["file"]: error["stacktrace"] for error in errors})


def _put(target: Target, versions: History, record: NewRecord, content: bytes, how: How) -> Dict[str, Any]:
    archives.require_sound(content, is_archive=target.file.endswith(".zip"))
    with _undone_on_error(Change.begin(target, versions, record, content), target) as change:
        change.stage(content)
        loaded = tried_out(target, change.staged, how["allow_empty"])
        airflow().dag_files.prepare()
        with history.one_at_a_time():
            require_nowhere_else(loaded)
            deployed = _would_change(loaded, target, change) if how["dry_run"] else _make(loaded, change, how)
        if how["dry_run"]:
            change.undo()
            change.forget()
    return {**deployed, "warnings": [] if how["dry_run"] else _asked(target) + _warnings(target)}


def _make(loaded: Loaded, change: Change, how: How) -> Dict[str, object]:
    """Commit the staged file, after it has loaded."""
    change.swap(pause_states.states(loaded))
    with airflow().session() as session:
        changes = sync.sync(loaded, session)
        require_stored(loaded)
        pause_states.pause(loaded, how["paused"], session)
    return {**_as_response(change.commit(how["kept"], dag_ids=sorted(loaded.dags))), **changes}


def _would_change(loaded: Loaded, target: Target, change: Change) -> Dict[str, object]:
    with airflow().session() as session:
        known = set(airflow().dag_files.fingerprints(target.path, target.bundle, session))
    is_other = history.checksum(current(target)) != change.journal["checksum"]
    return {
        **_as_response(change.journal),
        "deployment_id": None,
        "dry_run": True,
        "dag_ids": sorted(loaded.dags),
        "added": sorted(set(loaded.dags) - known),
        "changed": sorted(known & set(loaded.dags)) if is_other else [],
        "removed": sorted(known - set(loaded.dags)),
    }


def _asked(target: Target) -> List[str]:
    """Ask the DAG processor to parse the file next; return warnings if it cannot."""
    try:
        airflow().dag_files.ask_processor(target.path, target.bundle)
    except SQLAlchemyError as exc:
        return [f"The DAG processor could not be asked to parse the file next: {str(exc).splitlines()[0]}"]
    return []


def _warnings(target: Target) -> List[str]:
    if airflow().dag_files.is_ignored(target.path, target.bundle.path):
        return [f"An .airflowignore excludes '{target.file}': Airflow will deactivate its DAGs."]
    return []


def _as_response(record: Journal) -> Dict[str, Any]:
    """Return a deployment in the format of a response."""
    shown = {name: value for name, value in record.items() if name != "undo"}
    return {**shown, "replaced": record["undo"]["old"] is not None, "dry_run": False}
