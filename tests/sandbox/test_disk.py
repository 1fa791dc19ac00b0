"""The disk space of jobs is limited, whoever starts them."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, Dict, List

import pytest

import native_api
from native_api import errors
from native_api.adapters import sandbox
from native_api.adapters.compat import airflow as seam
from native_api.adapters.sandbox import job_store
from native_api.adapters.sandbox.job_store import Record
from native_api.permissions import THIS_PROCESS
from native_api.registry import Context
from tests.sandbox import work
from tests.support import jobs_under_test
from tests.support.versions import by_default_on

pytestmark = by_default_on("2.7", "2.11", "3.0", "3.3")


@pytest.fixture
def five(tmp_path: Path) -> List[str]:
    """Return the ids of five jobs that have ended, the oldest first, each with 100 bytes."""
    ids = [f"{number:032x}" for number in range(1, 6)]
    for number, job_id in enumerate(ids, 1):
        folder = tmp_path / job_id
        folder.mkdir()
        (folder / "job.json").write_text("x" * 100)
        os.utime(folder, (number, number))
    return ids


@pytest.mark.parametrize(
    ("bounds", "gone"),
    [
        pytest.param({}, 0, id="none"),
        pytest.param({"since": 3}, 2, id="by age"),
        pytest.param({"number": 2}, 3, id="by number"),
        pytest.param({"size": 450}, 1, id="by size"),
        pytest.param({"size": 99}, 5, id="none fits"),
        pytest.param({"since": 2, "number": 4, "size": 350}, 2, id="by whichever is reached first"),
    ],
)
def test_the_oldest_records_are_deleted_first(
    bounds: Dict[str, int], gone: int, five: List[str], tmp_path: Path
) -> None:
    found = job_store.expired(job_store.every(tmp_path), **{"since": 0, "number": 9, "size": 10**6, **bounds})
    assert sorted(record._folder.name for record in found) == five[:gone]


def test_records_older_than_a_deleted_one_are_deleted_too(tmp_path: Path, five: List[str]) -> None:
    """A large record is not deleted before smaller, older ones."""
    (tmp_path / five[2] / "log").write_text("x" * 1000)
    os.utime(tmp_path / five[2], (3, 3))
    found = job_store.expired(job_store.every(tmp_path), since=0, number=9, size=900)
    assert sorted(record._folder.name for record in found) == five[:3]


def ended_job(function: str = "add", **arguments: Any) -> str:
    """Return the id of an asynchronous job that has ended, and whose supervisor has ended."""
    job_id = jobs_under_test.start(function, arguments or {"a": 1, "b": 2})
    jobs_under_test.until(lambda: not Record(sandbox.jobs_folder() / job_id).is_locked())
    return job_id


def there() -> List[str]:
    """Return the ids of the stored jobs, the oldest first."""
    return [job["job_id"] for job in native_api.call("list_jobs")["jobs"]]


def test_at_most_jobs_kept_records_are_retained(fresh: Any, monkeypatch: Any) -> None:
    """A running job is neither counted nor deleted."""
    monkeypatch.setenv("AIRFLOW__NATIVE_API__JOBS_KEPT", "2")
    monkeypatch.setenv("AIRFLOW__NATIVE_API__JOB_SLOTS", "4")
    running = jobs_under_test.start("sleep")
    ended = [ended_job() for _ in range(4)]
    jobs_under_test.until(lambda: there() == [running, *ended[2:]])
    assert jobs_under_test.wait(running, "running")["state"] == "running"


def test_at_most_jobs_kept_bytes_are_used(fresh: Any, monkeypatch: Any) -> None:
    """The log and the result of a running job are limited to its share."""
    monkeypatch.setenv("AIRFLOW__NATIVE_API__JOB_SLOTS", "1")
    monkeypatch.setenv("AIRFLOW__NATIVE_API__JOBS_KEPT_BYTES", "800000")
    ended = [ended_job("print_much", size=1_000_000) for _ in range(5)]
    jobs_under_test.until(lambda: there() == ended[-len(there()) :] and len(there()) < 5)
    logs = [path.stat().st_size for path in sandbox.jobs_folder().rglob("log*")]
    # Half of half is shared by the slots of requests and that of jobs in the background.
    assert 50_000 <= sum(logs[:2]) <= 100_000
    assert used() <= 400_000
    with pytest.raises(errors.UserCodeFailed, match="larger than 100000 bytes"):
        jobs_under_test.run("return_much", {"size": 100_000})


def used() -> int:
    """Return the bytes of all jobs."""
    return sum(path.stat().st_size for path in sandbox.jobs_folder().rglob("*") if path.is_file())


def test_long_arguments_are_not_stored_with_a_job(fresh: Any) -> None:
    with seam().session() as session:
        context = Context(session, THIS_PROCESS, operation="a test", arguments={"conf": "x" * 100_000, "dag_id": "d"})
        job = sandbox.Job(work.add, {"a": 1, "b": 1})
        sandbox.run(context, job, in_background=True)
    jobs_under_test.wait(job.job_id)
    (listed,) = native_api.call("list_jobs")["jobs"]
    assert listed["arguments"] == {"conf": "100002 characters, which are not kept", "dag_id": "d"}
