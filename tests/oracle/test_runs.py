"""dags list, dags list-runs, dags state, tasks state, tasks states-for-dag-run, tasks failed-deps."""

from __future__ import annotations

import json
import re
from typing import Any, Dict, List

import pytest

import native_api
from native_api import errors
from tests.oracle import filler
from tests.oracle.cli import Failure, in_file, listed, printed
from tests.oracle.differences import compared
from tests.support.versions import by_default_on


@by_default_on("2.8", "2.10", "3.0", "3.1", "3.2", "3.3", "3.4")
def test_dags_list_equals_list_dags(filled: Any) -> None:
    """Ids, files, owners and pause states."""
    ours = {dag["dag_id"]: dag for dag in filler.dags()}
    theirs = {dag["dag_id"]: dag for dag in listed("dags", "list")}
    with compared("dags list") as comparison:
        comparison.same("the DAGs", sorted(theirs), sorted(ours))
        for dag_id in sorted(set(theirs) & set(ours)):
            dag, own = theirs[dag_id], ours[dag_id]
            owners = dag.get("owners", dag.get("owner"))
            owners = owners if isinstance(owners, list) else owners.split(", ")
            tidy = sorted(owner.strip() for owner in owners)
            what = "spaces in owners" if tidy != sorted(owners) else "owners"
            comparison.same(what, sorted(owners), sorted(own["owners"]), dag_id)
            comparison.same("owners", tidy, sorted(own["owners"]), dag_id)
            if "filepath" in dag and own["fileloc"].endswith(f"/{dag['filepath']}"):
                comparison.same("the path in the DAGs folder", dag["filepath"], own["fileloc"], dag_id)
            else:
                comparison.same("fileloc", dag.get("fileloc", dag.get("filepath")), own["fileloc"], dag_id)
            comparison.same("is_paused", dag.get("is_paused", dag.get("paused")), str(own["is_paused"]), dag_id)
            comparison.same("bundle_name", dag.get("bundle_name"), own["bundle_name"], dag_id)


@pytest.mark.parametrize(
    "words, arguments",
    [
        pytest.param([], {}, id="all"),
        pytest.param(["--state", "failed"], {"state": ["failed"]}, id="state"),
        pytest.param(["--start-date", "2026-10-02"], {"logical_date_gte": "2026-10-02"}, id="from a date"),
        pytest.param(["--end-date", "2026-10-02"], {"logical_date_lte": "2026-10-02"}, id="to a date"),
        pytest.param(
            ["--start-date", "2026-10-01", "--end-date", "2026-10-01"],
            {"logical_date_gte": "2026-10-01", "logical_date_lte": "2026-10-01"},
            id="one moment",
        ),
    ],
)
@by_default_on("2.10", "3.2", "3.3", "3.4")
def test_dags_list_runs_equals_list_dag_runs(filled: Any, words: List[str], arguments: Dict[str, Any]) -> None:
    """For every DAG; with filters for the DAGs of these tests, which have runs of each type and date."""
    with compared("dags list-runs") as comparison:
        for dag_id in (dag["dag_id"] for dag in filler.dags()):
            if words and not filler.is_ours(dag_id):
                continue
            named = ["--dag-id", dag_id] if filled.version() < (3, 0) else [dag_id]
            theirs = listed("dags", "list-runs", *named, *words)
            ours = native_api.call("list_dag_runs", dag_id=dag_id, limit=1000, **arguments)["dag_runs"]
            comparison.same("the runs", sorted(map(_run, theirs)), sorted(map(_run, ours)), dag_id)


def _run(run: Dict[str, Any]) -> Any:
    date = run.get("logical_date", run.get("execution_date"))
    return [run["run_id"], run["state"], *(_date(moment) for moment in (date, run["start_date"], run["end_date"]))]


def _date(text: Any) -> str:
    return (text or "").replace("Z", "+00:00")


@by_default_on("2.10", "3.2", "3.3", "3.4")
def test_dags_state_equals_dag_state(filled: Any) -> None:
    """For every run, by its date and, on Airflow 3, by its id."""
    with compared("dags state") as comparison:
        for run in filler.runs():
            ways = [{"logical_date": run["logical_date"]}] if run["logical_date"] else []
            if filled.version() >= (3, 0):
                ways.append({"run_id": run["run_id"]})
            for way in ways:
                (name,) = way.values()
                theirs = printed("dags", "state", run["dag_id"], name)
                ours = native_api.call("dag_state", dag_id=run["dag_id"], **way)
                conf = f", {json.dumps(ours['conf'])}" if ours["conf"] else ""
                what = "a secret in conf" if "hunter2" in str(theirs) else "state and conf"
                comparison.same(what, theirs, f"{ours['state']}{conf}\n", (run["dag_id"], name))


@by_default_on("2.10", "3.2", "3.3", "3.4")
def test_dags_state_without_a_run_is_404_in_dag_state(filled: Any) -> None:
    with compared("dags state (no run)") as comparison:
        for dag_id in filler.MANY_RUNS:
            theirs = printed("dags", "state", dag_id, "2001-01-01")
            with pytest.raises(errors.DagRunNotFound):
                native_api.call("dag_state", dag_id=dag_id, logical_date="2001-01-01")
            comparison.same("None", theirs, "None\n", dag_id)


@by_default_on("2.7", "2.10", "3.0", "3.2", "3.4")
def test_tasks_state_equals_task_state(filled: Any, one_file: Any) -> None:
    """For one task instance of each kind."""
    files = {dag["dag_id"]: dag["fileloc"] for dag in filler.dags()}
    with compared("tasks state") as comparison:
        for ti in filler.one_of_each_kind(filler.task_instances()):
            mapped = ["--map-index", str(ti["map_index"])] if ti["map_index"] >= 0 else []
            named = [ti["dag_id"], ti["task_id"], ti["run_id"]]
            theirs = printed("tasks", "state", *in_file(files[ti["dag_id"]]), *mapped, *named)
            words = ("dag_id", "task_id", "run_id", "map_index")
            ours = native_api.call("task_state", **{word: ti[word] for word in words})
            what = theirs.words if isinstance(theirs, Failure) else "state"
            comparison.same(what, theirs, f"{ours['state']}\n", named)


#: The example DAGs with loops, which came with 3.4.
LOOPS = ("fixed_task_loop", "mapped_task_loop", "partial_override_loop", "refine_estimate")


@by_default_on("2.10", "3.1", "3.2", "3.3", "3.4")
def test_tasks_states_for_dag_run_equals_list_task_instances(filled: Any) -> None:
    """For every run."""
    with compared("tasks states-for-dag-run") as comparison:
        for run in filler.runs():
            named = (run["dag_id"], run["run_id"])
            theirs = listed("tasks", "states-for-dag-run", *named)
            ours = native_api.call("list_task_instances", dag_id=named[0], run_id=named[1], limit=1000)
            what = theirs.words if isinstance(theirs, Failure) else "the task instances"
            theirs = theirs if isinstance(theirs, Failure) else sorted(map(_instance, theirs))
            if named[0] in LOOPS:
                what = "an index in a loop"
            comparison.same(what, theirs, sorted(map(_instance, ours["task_instances"])), named)


def _instance(ti: Dict[str, Any]) -> Any:
    index = ti.get("map_index", "")
    date = ti.get("logical_date", ti.get("execution_date"))
    return [
        ti["task_id"],
        "-1" if index == "" else str(index),
        ti["state"] or "",
        *(_date(moment) for moment in (date, ti["start_date"], ti["end_date"])),
    ]


@by_default_on("2.7", "2.10", "3.0", "3.3", "3.4")
def test_tasks_failed_deps_equals_task_failed_deps(filled: Any, one_file: Any) -> None:
    """For one task instance of each kind."""
    files = {dag["dag_id"]: dag["fileloc"] for dag in filler.dags()}
    instances = filler.one_of_each_kind(filler.task_instances())
    if filled.version() == (3, 0):
        # It parses a whole bundle on each call, the example DAGs' takes seconds: one instance of each task of ours.
        own = [ti for ti in instances if filler.is_ours(ti["dag_id"])]
        instances = [*{(ti["dag_id"], ti["task_id"], ti["map_index"] < 0): ti for ti in own}.values()]
    with compared("tasks failed-deps") as comparison:
        for ti in instances:
            mapped = ["--map-index", str(ti["map_index"])] if ti["map_index"] >= 0 else []
            named = [ti["dag_id"], ti["task_id"], ti["run_id"]]
            theirs = printed("tasks", "failed-deps", *in_file(files[ti["dag_id"]]), *mapped, *named)
            words = ("dag_id", "task_id", "run_id", "map_index")
            try:
                ours = native_api.call("task_failed_deps", **{word: ti[word] for word in words})["dependencies"]
            except errors.NativeApiError as exc:
                ours = [{"name": "fails", "reason": str(exc)}]
            met = [f"{dependency['name']}: {dependency['reason']}" for dependency in ours]
            if isinstance(theirs, Failure):
                comparison.same(theirs.words, theirs, met, named)
            else:
                # A file that does not load has its traceback printed before.
                lines = theirs.partition("Task instance dependencies not met:\n")[2].splitlines()
                what = "tasks of a SubDAG" if filler.of_a_subdag(ti["dag_id"]) else "dependencies"
                comparison.same(what, sorted(map(_timeless, lines)), sorted(map(_timeless, met)), named)


def _timeless(line: str) -> str:
    """Return a reason without the present time, and with sorted sets."""
    line = re.sub(r"<TriggerRule\.\w+: ('\w+')>", r"\1", line)
    line = re.sub(r"(?i)current date is [^\s)]+", "current date is …", line)
    return re.sub(r"\{[^{}]*\}", lambda found: "{" + ", ".join(sorted(found.group()[1:-1].split(", "))) + "}", line)
