"""The numbers of running and queued jobs are limited, however many processes start them."""

from __future__ import annotations

import threading
from typing import Any, List

import pytest

import native_api
from native_api import errors
from native_api.adapters.compat import airflow as seam
from tests.support import jobs_under_test

pytestmark = pytest.mark.slow


@pytest.fixture(autouse=True)
def one_place(monkeypatch: Any) -> None:
    """Allow one running and one queued job, which waits two seconds at most."""
    monkeypatch.setenv("AIRFLOW__NATIVE_API__JOB_SLOTS", "1")
    monkeypatch.setenv("AIRFLOW__NATIVE_API__JOB_QUEUE", "1")
    monkeypatch.setenv("AIRFLOW__NATIVE_API__JOB_QUEUE_SECONDS", "2")
    monkeypatch.setenv("AIRFLOW__NATIVE_API__JOBS_PER_CALLER", "9")
    monkeypatch.setenv("AIRFLOW__WEBSERVER__WORKERS", "4")


def in_threads(count: int, seconds: float) -> List[Any]:
    """Start that many jobs at once, which sleep; return the result or the error of each."""
    given: List[Any] = []

    def ask() -> None:
        try:
            given.append(jobs_under_test.run("sleep", {"seconds": seconds}).result)
        except errors.NativeApiError as exc:
            given.append(exc)

    threads = [threading.Thread(target=ask) for _ in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return given


def test_a_job_is_refused_if_the_queue_is_full(fresh: Any) -> None:
    given = in_threads(3, 0.5)
    assert sorted(map(str, given)) == [str(errors.TooManyJobs()), "slept", "slept"]
    refused = next(one for one in given if isinstance(one, errors.TooManyJobs))
    assert refused.status == 429
    assert int(refused.headers()["Retry-After"]) > 0


def test_a_job_is_refused_after_job_queue_seconds(monkeypatch: Any, fresh: Any) -> None:
    monkeypatch.setenv("AIRFLOW__NATIVE_API__JOB_QUEUE_SECONDS", "0.3")
    given = in_threads(2, 1.5)
    assert sorted(map(str, given)) == [str(errors.TooManyJobs()), "slept"]


def test_asynchronous_jobs_do_not_use_the_slots_of_requests(fresh: Any) -> None:
    job_id = jobs_under_test.start("sleep")
    jobs_under_test.wait(job_id, "running")
    assert jobs_under_test.run("add", {"a": 1, "b": 1}).result == 2
    assert jobs_under_test.wait(job_id, "running")["state"] == "running"


def test_asynchronous_jobs_are_queued_without_a_timeout(fresh: Any) -> None:
    first, second = jobs_under_test.start("sleep", {"seconds": 1}), jobs_under_test.start("sleep", {"seconds": 0})
    with pytest.raises(errors.TooManyJobs):
        jobs_under_test.start("sleep")
    assert jobs_under_test.wait(first, "success")["state"] == "success"
    assert jobs_under_test.wait(second, "success")["state"] == "success"


def test_asynchronous_jobs_are_queued_though_no_request_can_wait(monkeypatch: Any, fresh: Any) -> None:
    """With two web workers and one slot on Airflow 2, no request waits."""
    monkeypatch.setenv("AIRFLOW__WEBSERVER__WORKERS", "2")
    monkeypatch.setenv("AIRFLOW__NATIVE_API__JOB_QUEUE", "3")
    started = [jobs_under_test.start("sleep") for _ in range(4)]
    with pytest.raises(errors.TooManyJobs):
        jobs_under_test.start("sleep")
    assert [native_api.call("job_state", job_id=job_id)["state"] for job_id in started[1:]] == ["queued"] * 3


def test_on_airflow_2_a_web_worker_stays_free(fresh: Any) -> None:
    """With two web workers and one slot no request waits."""
    waiting = seam().user_code.waiting
    assert waiting(8, 1) == (2 if _holds_a_worker() else 8)
    assert waiting(8, 4) == (0 if _holds_a_worker() else 8)
    assert waiting(1, 1) == 1


def _holds_a_worker() -> bool:
    return seam().version.startswith("2.")


def test_one_caller_cannot_use_all_slots(monkeypatch: Any, fresh: Any) -> None:
    """Beyond its share it gets an error with advice; another caller's job starts at once."""
    monkeypatch.delenv("AIRFLOW__NATIVE_API__JOBS_PER_CALLER")
    monkeypatch.setenv("AIRFLOW__NATIVE_API__JOB_SLOTS", "2")
    ada, bob = jobs_under_test.Somebody("ada"), jobs_under_test.Somebody("bob")
    mine = [jobs_under_test.start("sleep", caller=ada) for _ in range(2)]
    with pytest.raises(errors.TooManyJobs, match="cancel_job.*jobs_per_caller or job_slots") as caught:
        jobs_under_test.start("sleep", caller=ada)
    assert caught.value.status == 429
    assert jobs_under_test.wait(jobs_under_test.start("add", {"a": 1, "b": 1}, caller=bob))["state"] == "success"
    assert [native_api.call("job_state", job_id=job_id)["state"] for job_id in mine] == ["running", "queued"]


def test_a_caller_that_waits_for_its_own_jobs_gets_that_reason(monkeypatch: Any, fresh: Any) -> None:
    """A slot is free for other callers."""
    monkeypatch.delenv("AIRFLOW__NATIVE_API__JOBS_PER_CALLER")
    monkeypatch.setenv("AIRFLOW__NATIVE_API__JOB_SLOTS", "2")
    monkeypatch.setenv("AIRFLOW__NATIVE_API__JOB_QUEUE", "4")
    monkeypatch.setenv("AIRFLOW__NATIVE_API__JOB_QUEUE_SECONDS", "0.3")
    assert any("jobs_per_caller" in str(given) for given in in_threads(2, 1.5))


def test_a_job_that_outlives_its_request_frees_the_slot_of_requests(monkeypatch: Any, fresh: Any) -> None:
    """Also if it gets no slot in the background; it counts for its caller there."""
    monkeypatch.setenv("AIRFLOW__NATIVE_API__JOB_SECONDS", "0.2")
    monkeypatch.setenv("AIRFLOW__NATIVE_API__JOBS_PER_CALLER", "2")
    jobs_under_test.wait(jobs_under_test.start("sleep"), "running")
    assert jobs_under_test.run("sleep", outlive=True) is None
    assert jobs_under_test.run("add", {"a": 1, "b": 1}).result == 2
    with pytest.raises(errors.TooManyJobs, match="jobs_per_caller"):
        jobs_under_test.run("sleep", outlive=True)
    states = [job["state"] for job in native_api.call("list_jobs")["jobs"]]
    assert states == ["running", "running"]


@pytest.mark.parametrize("of_caller", [False, True])
@pytest.mark.parametrize("in_background", [False, True])
def test_the_error_names_async_the_options_and_cancel_job(in_background: bool, of_caller: bool) -> None:
    sentence = str(errors.TooManyJobs(in_background, of_caller))
    assert ("use async" in sentence, "cancel_job" in sentence) == (not in_background, of_caller)
    assert "job_slots" in sentence
    assert ("jobs_per_caller" if of_caller else "job_queue") in sentence
