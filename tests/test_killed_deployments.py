"""A deployment that is killed, at every step: the file is the old one or the new one, whole, and the next one works."""

from __future__ import annotations

import os
import signal
import uuid
from typing import Any, Callable, Dict, Iterator, List, Tuple

import pytest

from native_api.adapters.deploying import history, names
from native_api.adapters.seam import airflow as seam
from native_api.adapters.work import deploying
from tests.airflow_under_test import HOME
from tests.deploying_under_test import deploy, forget, kept, listed, loose_ends, on_disk, one, task_ids

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


@pytest.fixture(autouse=True)
def clean(fresh: Any) -> Iterator[None]:
    forget()
    yield
    forget()


def killed_at(step: int, work: Callable[[], Any]) -> Tuple[bool, str]:
    """
    Do the work in a process that is killed right before its *step*-th change; say whether it was, and where.

    Writing to the database is a change, too: each commit is one.
    """
    told, tell = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(told)
        _count(step, tell)
        try:
            seam().user_code.enter()
            work()
        finally:
            os._exit(0)
    os.close(tell)
    with os.fdopen(told) as reader:
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


def redeploy(text: str, path: str = "deployed.py") -> Callable[[], Any]:
    """Return a deployment as the sandbox does it, of a file that has been received."""
    target = names.target(path)
    upload = HOME / f"upload-{uuid.uuid4().hex}"
    upload.write_text(text)
    record = history.new_record(target, uuid.uuid4().hex, "deploy", "ada", len(text))
    how: Any = {"dry_run": False, "allow_empty": False, "paused": None, "kept": 5}
    return lambda: deploying.deploy(record, str(upload), True, how)


def recover(path: str = "deployed.py") -> None:
    """Do what the sandbox does after a job that did not come to its end."""
    target = names.target(path)
    deploying.recover(history.new_record(target, "0" * 32, "deploy", "ada", 0))


def steps_of(work: Callable[[], Any]) -> List[str]:
    told, tell = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(told)
        _count(10_000, tell)
        try:
            seam().user_code.enter()
            work()
        finally:
            os._exit(0)
    os.close(tell)
    with os.fdopen(told) as reader:
        done = reader.read().splitlines()
    os.waitpid(pid, 0)
    return done


def test_killed_at_every_step(record_property: Any) -> None:
    """
    Whenever it is killed the file is whole; recovering brings the old one back, or finds the new one done.

    After each the next deployment works, and leaves nothing behind.
    """
    outcomes: Dict[str, List[str]] = {}
    deploy(one("old"))
    for step in range(1, MOST):
        was_killed, where = killed_at(step, redeploy(one("new")))
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
        outcomes.setdefault(f"{where.split('native-api-tests')[0]}", []).append(
            f"{step}: {where} -> {state} on disk, {in_database[0]} in the database, then {task_ids()[0]}"
        )
        if not was_killed:
            assert (state, task_ids()) == ("new", ["new"])
            break
        if task_ids() == ["new"]:
            deploy(one("old"), force=True)
    else:
        raise AssertionError(f"A deployment has more than {MOST} steps")
    record_property("outcomes", outcomes)
    lines = [line for found in outcomes.values() for line in found]
    assert any("old on disk" in line for line in lines)
    assert any("new on disk, old in the database, then old" in line for line in lines)
    assert any("new on disk, new in the database, then new" in line for line in lines)


@pytest.mark.parametrize("step", [6, 12, 18, 20])
def test_a_new_file(step: int) -> None:
    """In folders that are not there: they are gone again."""
    path = "deployed_by/team/dags.py"
    was_killed, where = killed_at(step, redeploy(one(), path))
    assert was_killed
    assert on_disk().get(path) in (None, one()), where
    recover(path)
    assert (on_disk(), loose_ends(), listed()) == ({}, [], []), where
    assert deploy(one(), path=path)["added"] == ["deployed_one"]


def test_the_next_deployment_recovers() -> None:
    """Also where the machine went down, so that nothing could."""
    deploy(one("old"))
    steps = steps_of(redeploy(one("new")))
    deploy(one("old"), force=True)
    swap = next(number for number, step in enumerate(steps, 1) if step.startswith("replace") and "/.native_api" in step)
    killed_at(swap + 2, redeploy(one("new")))
    assert on_disk()["deployed.py"] == one("new")
    assert deploy(one("newer"), force=True)["replaced"] is True
    assert (on_disk(), task_ids(), loose_ends()) == ({"deployed.py": one("newer")}, ["newer"], [])
    assert [entry["operation"] for entry in kept()] == ["deploy", "deploy", "deploy", "deploy"]
