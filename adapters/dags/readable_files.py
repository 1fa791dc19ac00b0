"""The DAG files that a caller can have parsed: parsing a file executes the code of all DAGs in it."""

from __future__ import annotations

import os.path
from typing import TYPE_CHECKING, Any, Dict, Iterable, List, Optional, Set, Tuple, TypeVar

from sqlalchemy import select

from native_api.adapters.compat import airflow
from native_api.adapters.compat.interface.dag_files import Bundle
from native_api.errors import Forbidden, Refused
from native_api.permissions import EXECUTE_DAG, Access, Resource
from native_api.registry import Context

if TYPE_CHECKING:
    from airflow.models.dag import DagModel
    from sqlalchemy.orm import Session

#: The rights that parsing a file requires, on every DAG in it.
READ_FILE = (Access(Resource.DAG, "GET"), *EXECUTE_DAG)

File = TypeVar("File", bound=Tuple[Any, ...])

#: Real paths: the allowed files, the refused files, and the folders in which all other files are refused.
Rules = Dict[str, List[str]]


def rules_for(context: Context, bundles: Iterable[Bundle]) -> Optional[Rules]:
    """
    Return the files of the bundles that the caller can have parsed; None for all.

    A file with known DAGs requires the rights on each of them. Another file requires the rights on every DAG or, in
    multi-team mode, on every DAG of its bundle's team.
    """
    folders = {bundle.name: bundle.path for bundle in bundles}
    closed = [
        os.path.realpath(bundle.path)
        for bundle in bundles
        if not all(context.caller.may_new(access, bundle.name) for access in READ_FILE)
    ]
    dag_ids = _dag_ids(context.session)
    allowed = context.caller.dag_ids_among(READ_FILE, dag_ids)
    if not closed and allowed == dag_ids:
        return None
    readable: Set[str] = set()
    refused: Set[str] = set()
    for dag_model in _dag_models(context.session):
        path = _real_path(dag_model, folders)
        (readable if dag_model.dag_id in allowed else refused).update({path} if path else ())
    return {"readable": sorted(readable - refused), "refused": sorted(refused), "closed": closed}


def readable_files(files: Iterable[File], rules: Optional[Rules]) -> List[File]:
    """Return the files, each a tuple that begins with the path, that the rules allow."""
    if rules is None:
        return list(files)
    readable, refused, closed = set(rules["readable"]), set(rules["refused"]), rules["closed"]

    def may_be_read(path: str) -> bool:
        return path in readable or (path not in refused and not any(lies_in(path, folder) for folder in closed))

    return [file for file in files if may_be_read(os.path.realpath(file[0]))]


def readable_bundles(bundles: Iterable[Bundle], rules: Optional[Rules]) -> List[Bundle]:
    """
    Return the bundles with files that the rules allow.

    :raises Forbidden: there is none.
    """
    found = [bundle for bundle in bundles if rules is None or _is_readable(os.path.realpath(bundle.path), rules)]
    if not found:
        raise Forbidden(EXECUTE_DAG[0].describe(None))
    return found


def _is_readable(folder: str, rules: Rules) -> bool:
    return folder not in rules["closed"] or any(lies_in(path, folder) for path in rules["readable"])


def lies_in(path: str, folder: str) -> bool:
    """Return whether a path is the folder, or below it."""
    return os.path.commonpath([folder, path]) == folder


def _dag_ids(session: Session) -> Set[str]:
    from airflow.models.dag import DagModel

    return set(session.scalars(select(DagModel.dag_id)))


def _dag_models(session: Session) -> Any:
    from airflow.models.dag import DagModel

    return session.scalars(select(DagModel).where(DagModel.fileloc.is_not(None)))


def _real_path(dag_model: DagModel, folders: Dict[Optional[str], str]) -> Optional[str]:
    """Return the real path of a DAG file in its bundle, None if no bundle has it."""
    try:
        bundle, path = airflow().dag_files.place_of(dag_model)
    except Refused:
        return None
    return os.path.realpath(os.path.join(folders[bundle], path)) if bundle in folders else None
