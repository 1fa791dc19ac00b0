"""dags details, dags next-execution, dags list-import-errors."""

from __future__ import annotations

import contextlib
import io
import json
import re
from typing import Any, List

import pytest

import native_api
from tests.oracle import filler
from tests.oracle.cli import Failure, in_file, listed, printed
from tests.oracle.differences import compared
from tests.support.versions import by_default_on

#: The command's name of a field, where it has another one; Airflow 3 has renamed some.
NAMES = {"next_dagrun_logical_date": "next_dagrun", "next_dagrun_run_after": "next_dagrun_create_after"}

#: What only the command has: internals of Airflow, and Airflow 2's form of the schedule and state of SubDAGs.
ASIDE = {
    *(
        "file_token",
        "last_expired",
        "last_pickled",
        "pickle_id",
        "scheduler_lock",
        "default_view",
        "last_parse_duration",
    ),
    *("root_dag_id", "is_subdag", "schedule_interval", "is_backfillable", "allowed_run_types"),
    *("timetable_partitioned", "timetable_periodic", "scheduling_state"),
}


@by_default_on("2.7", "2.10", "3.0", "3.3", "3.4")
def test_dags_details_equals_dag_details(filled: Any) -> None:
    """For every DAG and every field; no field of the command is missing."""
    with compared("dags details") as comparison:
        for dag in filler.dags():
            dag_id = dag["dag_id"]
            (theirs,) = listed("dags", "details", dag_id)
            ours = native_api.call("dag_details", dag_id=dag_id)
            ours["is_stale"] = not ours["is_active"]
            for name in set(theirs) - ASIDE:
                value = ours[NAMES.get(name, name)]
                if name == "tags":
                    pair = (sorted(tag["name"] for tag in theirs[name]), value)
                elif name == "owners":
                    pair = (sorted(owner.strip() for owner in theirs[name]), sorted(value))
                else:
                    # The command prints no number and no truth value, but their texts.
                    pair = (_tidy(theirs[name]), None if value is None else _tidy(str(value)))
                comparison.same(name, *pair, dag_id)


def _tidy(text: Any) -> Any:
    """Return a date in one format."""
    return re.sub(r"(\d{4}-\d\d-\d\d) (?=\d\d:)", r"\1T", text) if isinstance(text, str) else text


@by_default_on("2.7", "2.10", "3.0", "3.1", "3.2", "3.3", "3.4")
def test_dags_next_execution_equals_next_runs(filled: Any, one_file: Any) -> None:
    """The next three runs of every DAG."""
    with compared("dags next-execution") as comparison:
        for dag in filler.dags():
            dag_id = dag["dag_id"]
            theirs = printed("dags", "next-execution", *in_file(dag["fileloc"]), "--num-executions", "3", dag_id)
            runs = native_api.call("dag_details", dag_id=dag_id, num_executions=3)["next_runs"]
            lines: List[Any] = [run["partition_key"] or run["logical_date"] for run in runs]
            # Where there is no run the command prints None, since 3.2 once.
            missing = 3 - len(runs) if filled.version() < (3, 2) else int(len(runs) < 3)
            ours = "".join(f"{line}\n" for line in [*lines, *[None] * missing])
            what = theirs.words if isinstance(theirs, Failure) else "the runs"
            if not isinstance(theirs, Failure):
                # A file may write to the log while it is parsed.
                theirs = "".join(line for line in theirs.splitlines(keepends=True) if line[0] != "[")
                what = "a run after the last one" if re.search(r"None\n\d", theirs) else what
            comparison.same("a SubDAG" if filler.of_a_subdag(dag_id) else what, theirs, ours, dag_id)


@by_default_on("2.7", "2.10", "3.0", "3.1", "3.2", "3.3", "3.4")
def test_dags_list_import_errors_equals_list_import_errors(
    filled: Any, one_file: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Airflow 2's command parses the files."""
    words = ["--subdir", "DAGS_FOLDER/broken.py"] if filled.version() < (3, 0) else []
    native_api.call("refresh_all_dags", subdir="DAGS_FOLDER/broken.py")
    theirs = {(row.get("bundle_name"), row["filepath"]): row["error"] for row in _listed_with_errors(*words)}
    found = native_api.call("list_import_errors")["import_errors"]
    ours = {(error["bundle_name"], error["filename"]): error["stack_trace"] for error in found}
    with compared("dags list-import-errors") as comparison:
        comparison.same("the files", sorted(theirs), sorted(ours))
        for place in theirs:
            comparison.same("the stack trace", theirs[place].strip(), ours[place].strip(), place)


def _listed_with_errors(*words: str) -> Any:
    """Return the rows of the command, whose exit code is 1 if there are any."""
    from airflow.cli.cli_parser import get_parser

    arguments = get_parser().parse_args(["dags", "list-import-errors", *words, "-o", "json"])
    with contextlib.redirect_stdout(io.StringIO()) as out, contextlib.suppress(SystemExit):
        arguments.func(arguments)
    return json.loads(out.getvalue())
