"""In the sandbox: whether the DAGs of a file are paused, and were before."""

from __future__ import annotations

from typing import Any, Dict, Optional

from native_api.adapters.compat import airflow
from native_api.adapters.compat.interface.dag_files import Loaded
from native_api.adapters.deployments.staging import PauseStates


def states(loaded: Loaded) -> PauseStates:
    """Return whether the DAGs that a file defines, or has defined, are paused."""
    from airflow.models.dag import DagModel
    from sqlalchemy import or_, select

    concerned = or_(DagModel.dag_id.in_(loaded.dags), airflow().dag_files.in_file(loaded.path, DagModel))
    with airflow().session() as session:
        known = {
            dag_id: paused
            for dag_id, paused in session.execute(select(DagModel.dag_id, DagModel.is_paused).where(concerned))
        }
    return {**dict.fromkeys(loaded.dags), **known}


def pause(loaded: Loaded, paused: Optional[bool], session: Any) -> None:
    """Have all DAGs of a file be paused or not; None leaves each as it is."""
    if paused is not None:
        _set(dict.fromkeys(loaded.dags, paused), loaded.path, session)


def bring_back(before: PauseStates, path: str, session: Any) -> None:
    """
    Have DAGs be paused, or not, as they were; one that was not there as Airflow has new ones.

    :param path: the file; DAGs that another file defines by now are left alone.
    """
    from airflow.configuration import conf

    new = conf.getboolean("core", "dags_are_paused_at_creation")
    _set({dag_id: new if paused is None else paused for dag_id, paused in before.items()}, path, session)


def _set(wanted: Dict[str, bool], path: str, session: Any) -> None:
    from airflow.models.dag import DagModel
    from sqlalchemy import update

    in_file = airflow().dag_files.in_file(path, DagModel)
    for paused in (True, False):
        dag_ids = [dag_id for dag_id, state in wanted.items() if state is paused]
        rows = update(DagModel).where(DagModel.dag_id.in_(dag_ids), in_file).values(is_paused=paused)
        session.execute(rows.execution_options(synchronize_session=False))
