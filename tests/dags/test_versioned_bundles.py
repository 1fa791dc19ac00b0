"""Refreshing a versioned bundle: its files are fetched first, and its version is stored."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any, Dict, Iterator, Optional

import pytest

from native_api.adapters import sandbox
from native_api.adapters.dags import sync
from native_api.permissions import THIS_PROCESS
from native_api.registry import Context
from tests.support import airflow_under_test, jobs_under_test
from tests.support.dag_files import text_of
from tests.support.deployments_under_test import forget, task_ids
from tests.support.versions import by_default_on

pytestmark = [
    pytest.mark.skipif(airflow_under_test.version() < (3, 0), reason="Airflow 2 has no bundles"),
    by_default_on("3.0", "3.3", "3.4"),
]

BUNDLES = "AIRFLOW__DAG_PROCESSOR__DAG_BUNDLE_CONFIG_LIST"


@pytest.fixture(scope="module")
def configured(airflow: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A bundle that is configured besides the DAGs folder."""
    folder = tmp_path_factory.mktemp("bundle")
    local = {"name": "dags-folder", "classpath": "airflow.dag_processing.bundles.local.LocalDagBundle", "kwargs": {}}
    kwargs = {"source": str(folder / "source"), "copy": str(folder / "copy")}
    copied = {"name": "copied", "classpath": "tests.support.bundles.Copied", "kwargs": kwargs}
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(BUNDLES, json.dumps([local, copied]))
        # The warm process reads the configuration once, and so does each process from 3.4 on.
        airflow_under_test.forget_bundles()
        with jobs_under_test.another_server():
            yield folder
    airflow_under_test.forget_bundles()


@pytest.fixture
def source(fresh: Any, configured: Path) -> Iterator[Path]:
    """The folder that the files of the bundle are fetched from."""
    (configured / "source").mkdir()
    yield configured / "source"
    shutil.rmtree(configured / "source")
    shutil.rmtree(configured / "copy", ignore_errors=True)
    forget()
    with airflow_under_test.session() as session:
        from airflow.models.dagbundle import DagBundleModel

        stored = session.get(DagBundleModel, "copied")
        if stored is not None:
            session.delete(stored)


def publish(source: Path, version: str) -> None:
    (source / "dags.py").write_text(text_of("deployed_one", task_id=version))
    (source / "VERSION").write_text(version)


def refreshed(path: Optional[str] = None) -> Dict[str, Any]:
    """Refresh in the sandbox, whose warm process starts with the configuration of this test."""
    which = {"path": path, "dag_id": "deployed_one"} if path else {"subdir": None, "file_seconds": 30}
    with airflow_under_test.session() as session:
        function, how = ("refresh_file", {}) if path else ("refresh", {"remove_missing": False})
        job = sandbox.Job(getattr(sync, function), {"bundles": ["copied"], **which, **how})
        finished = sandbox.run(Context(session, THIS_PROCESS, operation="a test"), job)
    assert finished is not None
    return dict(finished.result)


def stored_version() -> str:
    from airflow.models.dag import DagModel
    from sqlalchemy import select

    with airflow_under_test.session() as session:
        return str(session.scalar(select(DagModel.bundle_version).where(DagModel.dag_id == "deployed_one")))


def test_the_newest_version_is_fetched_and_stored(source: Path) -> None:
    """With refresh_dag and with refresh_all_dags."""
    publish(source, "v1")
    response = refreshed()
    assert response["added"] == ["deployed_one"]
    assert (response["files"][0]["bundle_name"], response["files"][0]["bundle_version"]) == ("copied", "v1")
    assert (stored_version(), task_ids()) == ("v1", ["v1"])
    publish(source, "v2")
    response = refreshed("dags.py")
    assert (response["changed"], response["files"][0]["bundle_version"]) == (["deployed_one"], "v2")
    assert (stored_version(), task_ids()) == ("v2", ["v2"])


def test_a_deployment_to_it_is_refused(source: Path) -> None:
    """Its files are changed at their origin."""
    import native_api
    from native_api import errors

    publish(source, "v1")
    refreshed()
    with pytest.raises(errors.Refused, match="not a local folder"):
        native_api.call("deploy_dag", dag_file=text_of("deployed_one"), path="dags.py", bundle="copied", force=True)
