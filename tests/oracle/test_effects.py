"""tasks clear and dags delete: all rows of all tables are compared."""

from __future__ import annotations

from typing import Any, Dict, List, Optional, Set, Tuple

import pytest

import native_api
from tests.oracle import filler
from tests.oracle.cli import Failure, in_file, printed
from tests.oracle.differences import compared
from tests.support.versions import by_default_on

#: DAGs with runs of each type, and the shapes that clearing treats in ways of its own.
CLEARED = (
    *filler.MANY_RUNS,
    "example_bash_operator",
    "example_task_group",
    "example_external_task_marker_parent",
    "example_setup_teardown_taskflow",
)

Way = Tuple[List[str], Dict[str, Any]]

#: What is compared together: the words of the command, and the arguments of the operation that say the same.
WAYS: Dict[str, List[Way]] = {
    "tasks clear": [
        ([], {}),
        (["--start-date", "2026-10-03"], {"start_date": "2026-10-03"}),
        (["--end-date", "2026-10-03"], {"end_date": "2026-10-03"}),
        (["--only-failed"], {"only_failed": True}),
        (["--only-running"], {"only_running": True}),
    ],
    "tasks clear --task-regex": [
        (["--task-regex", "ru"], {"task_regex": "ru"}),
        (["--task-regex", "ru", "--downstream"], {"task_regex": "ru", "downstream": True}),
        (["--task-regex", "tr", "--upstream"], {"task_regex": "tr", "upstream": True}),
        (["--task-regex", "^(ex|run_).*[a-z0-9]$"], {"task_regex": "^(ex|run_).*[a-z0-9]$"}),
    ],
}


@pytest.mark.parametrize("command", WAYS)
@by_default_on("2.10", "3.0", "3.1", "3.3", "3.4")
def test_tasks_clear_changes_the_same_rows_as_clear_tasks(before: filler.Snapshot, one_file: Any, command: str) -> None:
    """From the same state, for each DAG."""
    dag_ids = [dag["dag_id"] for dag in filler.dags() if dag["dag_id"] in CLEARED]
    _compare_clearing(before, command, dag_ids)


@by_default_on("2.10", "3.0", "3.1", "3.3", "3.4")
def test_setups_and_teardowns_are_cleared_alike(before: filler.Snapshot, one_file: Any) -> None:
    from airflow.models.taskinstance import TaskInstance
    from sqlalchemy import update

    from tests.support import airflow_under_test

    command, dag_ids = "tasks clear --task-regex", ["example_setup_teardown"]
    with airflow_under_test.session() as session:
        ended = update(TaskInstance).where(TaskInstance.dag_id == dag_ids[0]).values(state="success")
        session.execute(ended.execution_options(synchronize_session=False))
    way = (["--task-regex", "normal"], {"task_regex": "normal"})
    _compare_clearing(filler.Snapshot(), command, dag_ids, [way], "a task with setups")


@by_default_on("2.10")
def test_subdags_are_cleared_alike(before: filler.Snapshot, one_file: Any, filled: Any) -> None:
    """A DAG with SubDAGs, and a SubDAG that clears a task of its parent."""
    if filled.version() >= (3, 0):
        pytest.skip("Airflow 3 has no SubDAGs")
    without_parts = (["--exclude-subdags"], {"exclude_subdags": True})
    without_parent = (["--exclude-parentdag"], {"exclude_parentdag": True})
    ways, part = [*WAYS["tasks clear"], without_parts], ["example_subdag_operator.section-1"]
    whole = ["example_subdag_operator"]
    _compare_clearing(before, "tasks clear", whole, [*ways, without_parent], "a DAG with SubDAGs")
    _compare_clearing(before, "tasks clear", part, ways, "a SubDAG")
    _compare_clearing(before, "tasks clear --exclude-parentdag", part, [without_parent], "a SubDAG")


def is_special(dag_id: str) -> bool:
    """Return whether a DAG is one of these tests, or an example that the commands treat specially."""
    return filler.is_ours(dag_id) or dag_id in CLEARED or "subdag" in dag_id


def _compare_clearing(
    before: filler.Snapshot, command: str, dag_ids: List[str], ways: Optional[List[Way]] = None, what: str = ""
) -> None:
    """
    Compare the rows after each way of clearing.

    :param ways: other ways than those of the command.
    :param what: the one thing that is compared; left out, each column is one.
    """
    files = {dag["dag_id"]: dag["fileloc"] for dag in filler.dags()}
    as_it_was = before.rows()["task_instance"]
    with compared(command, only=what) as comparison:
        for words, arguments in ways or WAYS[command]:
            for dag_id in dag_ids:
                theirs = printed("tasks", "clear", "--yes", *in_file(files[dag_id]), *words, dag_id)
                assert not isinstance(theirs, Failure), (dag_id, theirs)
            theirs_after = filler.Snapshot().rows()
            before.put_back()
            for dag_id in dag_ids:
                native_api.call("clear_tasks", dag_id=dag_id, dry_run=False, **arguments)
            ours_after = filler.Snapshot().rows()
            before.put_back()
            unlike = filler.unlike(theirs_after, ours_after)
            if what:
                comparison.same(what, {}, unlike, words)
            elif theirs_after["task_instance"] == as_it_was:
                comparison.same("whether anything is cleared", {}, unlike, words)
            else:
                comparison.rows(unlike, words)


@by_default_on("2.10", "3.2", "3.3", "3.4")
def test_dags_delete_deletes_the_same_rows_as_delete_dag(before: filler.Snapshot) -> None:
    """For DAGs of every shape."""
    dag_ids = [dag_id for dag_id in (dag["dag_id"] for dag in filler.dags()) if is_special(dag_id)]
    refused: Set[str] = set()
    for dag_id in dag_ids:
        if isinstance(printed("dags", "delete", "--yes", dag_id), Failure):
            refused.add(dag_id)
    theirs_after = filler.Snapshot().rows()
    before.put_back()
    ours_refused: Set[str] = set()
    for dag_id in dag_ids:
        try:
            native_api.call("delete_dag", dag_id=dag_id, force=True)
        except native_api.errors.NativeApiError:
            ours_refused.add(dag_id)
    assert len(refused) < len(dag_ids)
    with compared("dags delete") as comparison:
        comparison.same("refused", sorted(refused), sorted(ours_refused))
        comparison.rows(filler.unlike(theirs_after, filler.Snapshot().rows()))
