"""In the sandbox: read, set and restore the pause states of the DAGs of a file."""

from __future__ import annotations

from typing import TYPE_CHECKING, Dict, Optional

from sqlalchemy import or_, select, update

from native_api.adapters.compat import airflow
from native_api.adapters.compat.interface.dag_files import Loaded
from native_api.adapters.deployments.staging import PauseStates

if TYPE_CHECKING:
    from sqlalchemy.orm import Session


def states(loaded: Loaded) -> PauseStates:
    """Return the pause states of the DAGs that a file defines, or has defined."""
    from airflow.models.dag import DagModel

    concerned = or_(DagModel.dag_id.in_(loaded.dags), airflow().dag_files.in_file(loaded.path, DagModel))
    with airflow().session() as session:
        known = {
            dag_id: paused
            for dag_id, paused in session.execute(select(DagModel.dag_id, DagModel.is_paused).where(concerned))
        }
    return {**dict.fromkeys(loaded.dags), **known}


def pause(loaded: Loaded, paused: Optional[bool], session: Session) -> None:
    """Pause or unpause all DAGs of a file; None does not change them."""
    if paused is not None:
        _set(dict.fromkeys(loaded.dags, paused), loaded.path, session)


def bring_back(before: PauseStates, path: str, session: Session) -> None:
    """
    Restore pause states; a DAG that did not exist gets Airflow's default for new ones.

    :param path: the file; DAGs that another file defines now are not changed.
    """
    from airflow.configuration import conf

    new = conf.getboolean("core", "dags_are_paused_at_creation")
    _set({dag_id: new if paused is None else paused for dag_id, paused in before.items()}, path, session)


def _set(wanted: Dict[str, bool], path: str, session: Session) -> None:
    from airflow.models.dag import DagModel

    in_file = airflow().dag_files.in_file(path, DagModel)
    for paused in (True, False):
        dag_ids = [dag_id for dag_id, state in wanted.items() if state is paused]
        rows = update(DagModel).where(DagModel.dag_id.in_(dag_ids), in_file).values(is_paused=paused)
        session.execute(rows.execution_options(synchronize_session=False))
