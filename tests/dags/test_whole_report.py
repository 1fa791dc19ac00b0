"""dag_report of the whole DAGs folder."""

from __future__ import annotations

import contextlib
import io
import json
import os
from typing import Any, Dict, Set

import pytest

import native_api
from tests.support.airflow_under_test import DAGS

pytestmark = pytest.mark.slow


def test_it_has_the_dags_and_the_import_errors_that_airflow_has(fresh: Any) -> None:
    reported = native_api.call("dag_report", file_seconds=60)
    files = {file["file"]: file for file in reported["files"]}
    assert {path for path in files if is_ours(path)} == set(map(str, DAGS.rglob("*.py")))
    assert dags_of(files) == known_dags()
    broken = {path for path, file in files.items() if file["outcome"] != "loaded" and is_ours(path)}
    assert broken == {str(DAGS / "broken.py")} == known_errors()
    assert reported["total_entries"] == len(files)
    assert reported["dag_count"] == sum(len(file["dag_ids"]) for file in files.values())


def is_ours(path: str) -> bool:
    """Return whether a file is in the DAGs folder; Airflow's examples are not."""
    return path.startswith(f"{DAGS}{os.sep}")


def dags_of(files: Dict[str, Any]) -> Set[Any]:
    """Return the reported DAGs and their files."""
    return {(dag_id, path) for path, file in files.items() if is_ours(path) for dag_id in file["dag_ids"]}


def known_dags() -> Set[Any]:
    """Return the DAGs that Airflow has stored, and their files."""
    known = native_api.call("list_dags", limit=1000)["dags"]
    return {(dag["dag_id"], dag["fileloc"]) for dag in known if is_ours(dag["fileloc"])}


def known_errors() -> Set[str]:
    """Return the files for which Airflow's own command reports import errors."""
    from airflow.cli.cli_parser import get_parser

    printed = io.StringIO()
    # Where there are errors, the command ends with 1.
    with contextlib.redirect_stdout(printed), contextlib.suppress(SystemExit):
        arguments = get_parser().parse_args(["dags", "list-import-errors", "--output", "json"])
        arguments.func(arguments)
    found = json.loads(printed.getvalue()[printed.getvalue().index("[{") :])
    return {str(DAGS / os.path.basename(error["filepath"])) for error in found}
