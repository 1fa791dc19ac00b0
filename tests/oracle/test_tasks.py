"""tasks list, as a list and as a tree."""

from __future__ import annotations

import re
from typing import Any, Dict, List, Tuple

import pytest

import native_api
from tests.oracle import filler
from tests.oracle.cli import Failure, handed, printed
from tests.oracle.differences import compared
from tests.support.versions import by_default_on


@pytest.fixture(scope="module")
def parsed(filled: Any) -> Dict[str, Any]:
    """
    Return all DAGs as parsed from their files. The command parses a whole folder for each DAG, which takes seconds on
    Airflow 3, and accepts a parsed DAG.
    """
    from native_api.adapters.compat import airflow

    try:
        from airflow.dag_processing.dagbag import DagBag
    except ImportError:
        from airflow.models.dagbag import DagBag

    folders = airflow().folders()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AIRFLOW__CORE__LOAD_EXAMPLES", "False")
        return {dag_id: dag for folder in folders for dag_id, dag in DagBag(folder).dags.items()}


@by_default_on("2.10", "3.0", "3.2", "3.4")
def test_tasks_list_equals_list_tasks(filled: Any, parsed: Dict[str, Any]) -> None:
    """For every DAG."""
    from airflow.cli.commands.task_command import task_list

    with compared("tasks list") as comparison:
        for dag in filler.dags():
            dag_id = dag["dag_id"]
            theirs = handed(task_list, parsed[dag_id], "tasks", "list", dag_id)
            ours = native_api.call("list_tasks", dag_id=dag_id, limit=1000)
            assert ours["total_entries"] == len(ours["tasks"])
            what = "tasks of a SubDAG" if filler.of_a_subdag(dag_id) else "task ids"
            comparison.same(what, theirs, "".join(f"{task['task_id']}\n" for task in ours["tasks"]), dag_id)


@by_default_on("2.10", "3.0", "3.2", "3.4")
def test_tasks_list_of_a_parsed_file_equals_list_tasks(filled: Any, one_file: Any) -> None:
    """For one DAG, as a user calls it."""
    words = ["--subdir", "DAGS_FOLDER/wire_dag.py"] if filled.version() < (3, 0) else ["--bundle-name", "dags-folder"]
    assert printed("tasks", "list", *words, "wire_dag") == "extract\nload\ntransform\n"
    ours = native_api.call("list_tasks", dag_id="wire_dag")["tasks"]
    assert [task["task_id"] for task in ours] == ["extract", "load", "transform"]


@by_default_on("2.10", "3.0", "3.2", "3.4")
def test_tasks_list_tree_equals_the_tree_of_list_tasks(filled: Any, parsed: Dict[str, Any]) -> None:
    """The same tasks at the same depth below the same task."""
    if filled.version() >= (3, 0):
        theirs = printed("tasks", "list", "--tree", "wire_dag")
        assert isinstance(theirs, Failure), "the option is gone"
        return
    from airflow.cli.commands.task_command import task_list

    with compared("tasks list --tree") as comparison:
        for dag in filler.dags():
            dag_id = dag["dag_id"]
            text = handed(task_list, parsed[dag_id], "tasks", "list", "--tree", dag_id)
            theirs = _tree(text.splitlines())
            ours = native_api.call("list_tasks", dag_id=dag_id, tree=True, limit=1000)
            what = "tasks of a SubDAG" if filler.of_a_subdag(dag_id) else "the tree"
            comparison.same(what, theirs, _named(ours["tree"]), dag_id)


Branch = Tuple[str, str, Any]


def _tree(lines: List[str]) -> List[Branch]:
    """Return the printed tree: each task with its operator and its downstream tasks, which are in no order."""
    root: List[Branch] = []
    open_branches = [root]
    for line in lines:
        found = re.fullmatch(r"( *)<(?:Task|Mapped)\((.*?)\): (.*)>", line)
        assert found, line
        del open_branches[len(found.group(1)) // 4 + 1 :]
        below: List[Branch] = []
        open_branches[-1].append((found.group(3), found.group(2), below))
        open_branches.append(below)
    return _sorted(root)


def _named(tree: List[Dict[str, Any]]) -> List[Branch]:
    return _sorted([(task["task_id"], task["operator"], _named(task["downstream"])) for task in tree])


def _sorted(tree: List[Branch]) -> List[Branch]:
    return [(*task, _sorted(below)) for *task, below in sorted(tree, key=lambda branch: branch[0])]  # type: ignore[misc]
