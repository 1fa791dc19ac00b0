"""A deployment that is killed at any step: the file is either the old or the new one, and the next deployment works."""

from __future__ import annotations

import os
import signal
import uuid
from typing import Any, Callable, Iterator, List, Optional, Tuple

import pytest

from native_api.adapters.compat import airflow as seam
from native_api.adapters.deployments import history, job, targets
from tests.support.airflow_under_test import HOME
from tests.support.dag_files import text_of
from tests.support.deployments_under_test import (
    deploy,
    forget,
    kept,
    listed,
    loose_ends,
    on_disk,
    one,
    path_of,
    paused,
    task_ids,
)

pytestmark = pytest.mark.slow

#: What a deployment does to the disk and the database, by the functions that do it.
STEPS = (
    (os, "mkdir"),
    (os, "fsync"),
    (os, "replace"),
    (os, "rename"),
    (os, "unlink"),
    (os, "rmdir"),
)
#: More than any deployment has; the run with the last of them is one that nobody kills.
MOST = 60
#: Where a deployment has the new content until it is swapped in.
CONTENT = "/.native_api-"


@pytest.fixture(autouse=True)
def clean(fresh: Any) -> Iterator[None]:
    forget()
    yield
    forget()


def killed_at(step: int, work: Callable[[], Any]) -> Tuple[bool, str]:
    """
    Run work in a process that is killed before its *step*-th change; return whether it was, and where. A change is one
    to a file, or a commit.
    """
    result, tell = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(result)
        _count(step, tell)
        try:
            seam().user_code.enter()
            work()
        finally:
            os._exit(0)
    os.close(tell)
    with os.fdopen(result) as reader:
        where = reader.read()
    _, status = os.waitpid(pid, 0)
    return os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL, where.splitlines()[-1] if where else ""


def _count(step: int, tell: int) -> None:
    from sqlalchemy.orm import Session

    left = [step]

    def counted(name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        def change(*args: Any, **kwargs: Any) -> Any:
            left[0] -= 1
            os.write(tell, f"{name} {args[0] if args else ''}\n".encode())
            if left[0] == 0:
                os.kill(os.getpid(), signal.SIGKILL)
            return function(*args, **kwargs)

        return change

    for module, name in STEPS:
        setattr(module, name, counted(name, getattr(module, name)))
    Session.commit = counted("commit", Session.commit)  # type: ignore[method-assign]


def redeploy(text: str, path: str = "deployed.py", paused: Optional[bool] = None) -> Callable[[], Any]:
    """Return a deployment of a received file, as it runs in the sandbox."""
    target = targets.target(path)
    upload = HOME / f"upload-{uuid.uuid4().hex}"
    upload.write_text(text)
    record = history.new_record(target, uuid.uuid4().hex, "deploy", "ada", len(text))
    how: Any = {"dry_run": False, "allow_empty": False, "paused": paused, "kept": 5}
    return lambda: job.deploy(record, str(upload), True, how)


def rolled_back(path: str = "deployed.py") -> Callable[[], Any]:
    """Return a rollback to the first version, as it runs in the sandbox."""
    target = targets.target(path)
    record = history.new_record(target, uuid.uuid4().hex, "rollback", "ada", 0)
    how: Any = {"dry_run": False, "allow_empty": False, "paused": False, "kept": 5}
    first = history.of(target).records()[0]["deployment_id"]
    return lambda: job.roll_back(record, first, how)


def deleted(path: str = "deployed.py") -> Callable[[], Any]:
    """Return the deletion of a file, as it runs in the sandbox."""
    record = history.new_record(targets.target(path), uuid.uuid4().hex, "delete", "ada", 0)
    return lambda: job.delete(record, False, 5)


def recover(path: str = "deployed.py") -> None:
    """Run the cleanup of a job that did not end by itself."""
    target = targets.target(path)
    job.recover(history.new_record(target, "0" * 32, "deploy", "ada", 0))


def steps_of(work: Callable[[], Any]) -> List[str]:
    result, tell = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(result)
        _count(10_000, tell)
        try:
            seam().user_code.enter()
            work()
        finally:
            os._exit(0)
    os.close(tell)
    with os.fdopen(result) as reader:
        done = reader.read().splitlines()
    os.waitpid(pid, 0)
    return done


def test_a_deployment_can_be_killed_at_every_step(record_property: Any) -> None:
    """
    Recovery restores the old file or keeps the new one. The pause state of its DAG is restored, though the deployment
    unpauses it. The next deployment works.
    """
    outcomes: List[str] = []
    deploy(one("old"))
    for step in range(1, MOST):
        was_killed, where = killed_at(step, redeploy(one("new"), paused=False))
        files = on_disk()
        assert files["deployed.py"] in (one("old"), one("new")), where
        state = "new" if files["deployed.py"] == one("new") else "old"
        in_database = task_ids()
        assert in_database in (["old"], ["new"]), where
        recover()
        files = on_disk()
        assert list(files) == ["deployed.py"], where
        assert loose_ends() == [], where
        assert files["deployed.py"] == one(task_ids()[0]), where
        assert listed() == ["deployed_one"]
        assert paused("deployed_one") is (files["deployed.py"] == one("old")), where
        if not was_killed:
            assert (state, task_ids()) == ("new", ["new"])
            break
        outcomes.append(f"{step}: {where} -> {state} on disk, {in_database[0]} in the database, then {task_ids()[0]}")
        if task_ids() == ["new"]:
            deploy(one("old"), force=True, pause=True)
    else:
        raise AssertionError(f"A deployment has more than {MOST} steps")
    record_property("outcomes", outcomes)
    for wanted in (
        "old on disk, old in the database, then old",
        "new on disk, old in the database, then old",
        "new on disk, new in the database, then old",
        "new on disk, new in the database, then new",
    ):
        assert any(wanted in outcome for outcome in outcomes), wanted


@pytest.mark.parametrize("step", [6, 12, 18, 20])
def test_a_killed_deployment_of_a_new_file_leaves_nothing(step: int) -> None:
    """Nor the folders that it created."""
    path = "deployed_by/team/dags.py"
    was_killed, where = killed_at(step, redeploy(one(), path))
    assert was_killed
    assert on_disk().get(path) in (None, one()), where
    recover(path)
    assert (on_disk(), loose_ends(), listed()) == ({}, [], []), where
    assert deploy(one(), path=path)["added"] == ["deployed_one"]


def test_the_next_deployment_recovers() -> None:
    """Also after a crash of the host, when no cleanup ran."""
    deploy(one("old"))
    steps = steps_of(redeploy(one("new")))
    deploy(one("old"), force=True)
    swap = next(number for number, step in enumerate(steps, 1) if step.startswith("replace") and "/.native_api" in step)
    killed_at(swap + 2, redeploy(one("new")))
    assert on_disk()["deployed.py"] == one("new")
    assert deploy(one("newer"), force=True)["replaced"] is True
    assert (on_disk(), task_ids(), loose_ends()) == ({"deployed.py": one("newer")}, ["newer"], [])
    assert [entry["operation"] for entry in kept()] == ["deploy", "deploy", "deploy", "deploy"]


#: The moments in which a deployment is killed, and what is in the database then; the file is the new one.
CUT_SHORT = (
    pytest.param("before the database", ["old"], id="with the old in the database"),
    pytest.param("after the database", ["new"], id="with the new in the database"),
)


def step_of(steps: List[str], moment: str) -> int:
    """Return the number of the step after the file is replaced, or after its DAGs are stored."""
    if moment == "before the database":
        return (
            next(number for number, step in enumerate(steps, 1) if step.startswith("replace /") and CONTENT in step) + 1
        )
    # Its journal has become a record; what the DAG processor is asked is a commit, too, and comes later.
    done = max(
        number for number, step in enumerate(steps) if step.startswith("replace") and step.endswith("journal.json")
    )
    return max(number for number, step in enumerate(steps[:done], 1) if step.startswith("commit")) + 1


@pytest.mark.parametrize(("moment", "in_database"), CUT_SHORT)
def test_a_recovery_can_be_killed_at_every_step(moment: str, in_database: List[str]) -> None:
    """It continues until the old file, its DAGs and their pause states are restored."""
    deploy(one("old"))
    step = step_of(steps_of(redeploy(one("new"), paused=False)), moment)
    deploy(one("old"), force=True, pause=True)
    for later in range(1, MOST):
        assert killed_at(step, redeploy(one("new"), paused=False))[0]
        assert (on_disk()["deployed.py"], task_ids()) == (one("new"), in_database)
        was_killed, where = killed_at(later, recover)
        assert on_disk()["deployed.py"] in (one("old"), one("new")), where
        if later % 5:
            recover()
        else:
            assert deploy(one("newer"), force=True)["replaced"] is True
            deploy(one("old"), force=True)
        assert (on_disk(), loose_ends()) == ({"deployed.py": one("old")}, []), where
        assert (task_ids(), paused("deployed_one")) == (["old"], True), where
        if not was_killed:
            return
    raise AssertionError(f"Recovering has more than {MOST} steps")


def test_recovery_keeps_changes_of_others() -> None:
    """A DAG of the killed deployment that another file defines by then."""
    deploy(one("old"))
    step = step_of(steps_of(redeploy(one("new"))), "before the database")
    assert killed_at(step, redeploy(text_of("deployed_one", "deployed_two"), paused=True))[0]
    deploy(text_of("deployed_two", task_id="theirs"), path="deployed_twice.py", unpause=True)
    recover()
    assert (listed(), task_ids("deployed_two")) == (["deployed_one", "deployed_two"], ["theirs"])
    assert paused("deployed_two") is False


@pytest.mark.parametrize("part", [0.3, 0.5, 0.7, 0.9, 1])
@pytest.mark.parametrize("work", [pytest.param(rolled_back, id="rollback"), pytest.param(deleted, id="deletion")])
def test_a_rollback_and_a_deletion_can_be_killed(work: Callable[[], Callable[[], Any]], part: float) -> None:
    """At some of their steps: recovery restores the file and its DAG."""
    deploy(one("first"))
    deploy(one("second"), force=True)
    steps = steps_of(work())
    if "deployed.py" in on_disk():
        deploy(one("second"), force=True, pause=True)
    else:
        deploy(one("second"), pause=True)
    path_of().chmod(0o640)
    was_killed, where = killed_at(round(step_of(steps, "after the database") * part), work())
    assert was_killed
    assert on_disk().get("deployed.py") in (None, one("first"), one("second")), where
    recover()
    assert (on_disk(), loose_ends()) == ({"deployed.py": one("second")}, []), where
    assert (listed(), task_ids(), paused("deployed_one")) == (["deployed_one"], ["second"], True), where
    assert path_of().stat().st_mode & 0o777 == 0o640
