"""In the sandbox: validate a staged DAG file under its final path."""

from __future__ import annotations

import os
import sys
from importlib.machinery import SourceFileLoader
from importlib.util import module_from_spec, spec_from_loader
from typing import Any, Dict

from sqlalchemy import not_, select

from native_api.adapters.compat import airflow
from native_api.adapters.compat.interface.dag_files import Loaded
from native_api.adapters.dags import parsing
from native_api.adapters.deployments.substitution import substituted
from native_api.adapters.deployments.targets import Target
from native_api.adapters.sandbox.worker import outcome_of_call
from native_api.errors import DagFileBroken, DagsElsewhere, NoDagInFile
from native_api.host import hostname


def tried_out(target: Target, staged: str, allow_empty: bool) -> Loaded:
    """
    Return what a file would define.

    :param staged: the path of its content.
    :raises DagFileBroken: it does not load.
    :raises NoDagInFile: it defines no DAG, and allow_empty is not set.
    """
    with substituted(target.path, staged):
        loaded = parsing.load(target.path, target.bundle)
        if target.file.endswith(".py") and not airflow().dag_files.looks_into(target.path):
            _require_module(target)
    require_stored(loaded)
    if not loaded.dags and not allow_empty:
        raise NoDagInFile(target.file)
    return loaded


def _require_module(target: Target) -> None:
    """Raise :class:`DagFileBroken` if a module without DAGs does not load."""
    outcome = outcome_of_call(lambda: _load_module(target))
    if "error" in outcome:
        raise DagFileBroken([{"file": target.path, "stacktrace": outcome["error"]["traceback"]}])


def _load_module(target: Target) -> None:
    """Execute a module under the name that DAGs import it by, so that its relative imports work."""
    steps = target.file[: -len(".py")].split("/")
    package = steps[:-1] if steps[-1] == "__init__" else steps
    # One that is in no package may have the name of a module that is in use here.
    name = ".".join(package) if len(steps) > 1 else f"deployed_{steps[0]}"
    loader = SourceFileLoader(name, target.path)
    spec = spec_from_loader(name, loader)
    assert spec is not None
    sys.modules[name] = module_from_spec(spec)
    loader.exec_module(sys.modules[name])


def require_stored(loaded: Loaded) -> None:
    """
    Require that a file and its DAGs load.

    :raises DagFileBroken: with the import error.
    """
    if loaded.import_errors:
        raise DagFileBroken(parsing.summary(loaded)["import_errors"])


def require_nowhere_else(loaded: Loaded) -> None:
    """
    Require that no other file defines one of the DAGs.

    :raises DagsElsewhere: with the other files.
    """
    with airflow().session() as session:
        elsewhere = _defined_elsewhere(loaded, session)
    missing = {dag_id: file for dag_id, file in elsewhere.items() if not _is_here(file)}
    if elsewhere:
        # Another host may have a file that is not here, and Airflow reads its DAGs from there.
        raise DagsElsewhere(missing, hostname()) if missing == elsewhere else DagsElsewhere(elsewhere)


def _defined_elsewhere(loaded: Loaded, session: Any) -> Dict[str, str]:
    from airflow.models.dag import DagModel

    others = select(DagModel.dag_id, DagModel.fileloc).where(
        DagModel.dag_id.in_(loaded.dags),
        airflow().is_active(DagModel),
        not_(airflow().dag_files.in_file(loaded.path, DagModel, loaded.bundle)),
    )
    return dict(map(tuple, session.execute(others)))


def _is_here(fileloc: str) -> bool:
    from airflow.utils.file import correct_maybe_zipped

    return os.path.exists(correct_maybe_zipped(fileloc))
