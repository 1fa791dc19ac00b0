"""The result of an asynchronous job is the response that its operation returns within a request."""

from __future__ import annotations

from typing import Any, Dict

import pytest

import native_api
import native_api.adapters.catalogue
from native_api import registry
from tests.support import jobs_under_test
from tests.support.problems import assert_valid
from tests.support.versions import by_default_on

pytestmark = by_default_on("2.8", "2.10", "3.1")

DATE, OTHER_DATE = "2026-03-01T00:00:00+00:00", "2026-03-02T00:00:00+00:00"
TRIAL = {"dag_id": "trials", "logical_date": DATE}

#: What differs from one call to the next though both are the same.
VARYING = ("seconds", "log", "files", "message")


def test_every_operation_with_async_is_tested() -> None:
    """Whatever goes on in the background at its caller's wish is tried here."""
    wished = {operation.name for operation in registry.every() if "in_background" in operation.request.fields}
    assert wished == {"dag_report", "refresh_all_dags", "refresh_dag", "render_task", "run_task", "test_task"}


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        pytest.param("render_task", {**TRIAL, "task_id": "retried"}, id="render"),
        pytest.param("test_task", {**TRIAL, "task_id": "pushes"}, id="test"),
        pytest.param("test_task", {**TRIAL, "task_id": "raises"}, id="test that fails"),
        pytest.param("test_task", {**TRIAL, "task_id": "pushes", "dry_run": True}, id="dry run"),
        pytest.param("dag_report", {"subdir": "DAGS_FOLDER/broken.py"}, id="report"),
        pytest.param("refresh_dag", {"dag_id": "wire_dag"}, id="refresh"),
        pytest.param("refresh_all_dags", {"subdir": "DAGS_FOLDER/wire_dag.py"}, id="refresh of a folder"),
    ],
)
def test_the_result_of_a_job_equals_the_response(name: str, arguments: Dict[str, Any], fresh: Any) -> None:
    """Durations and the log can differ."""
    response = native_api.call(name, **arguments)
    result = result_of(name, arguments)
    assert without(result) == without(response)
    assert {key: type(value) for key, value in result.items()} == {key: type(value) for key, value in response.items()}


def test_warnings_are_in_the_response_202_and_in_the_result(fresh: Any) -> None:
    named = {"dag_id": "alone", "task_id": "first", "local": True, "ship_dag": True}
    response = native_api.call("run_task", logical_date=DATE, **named)
    accepted = native_api.call("run_task", logical_date=OTHER_DATE, **named, **{"async": True})
    assert_valid(registry.get("run_task").accepted, accepted)
    assert accepted["warnings"] == response["warnings"] == ["'ship_dag' has no effect."]
    result = ended(accepted["job_id"])["result"]
    assert_valid(registry.get("run_task").result, result)
    assert result["execution_date"] == result["logical_date"] == OTHER_DATE
    assert isinstance(result["log"], str)
    at = {"logical_date": None, "execution_date": None, "run_id": None}
    assert {**without(result), **at} == {**without(response), **at}


def test_a_crashed_test_is_a_result_with_a_failed_task(fresh: Any) -> None:
    """The state of the job is crashed."""
    arguments = {**TRIAL, "task_id": "crashes"}
    response = native_api.call("test_task", **arguments)
    result = result_of("test_task", arguments, "crashed")
    assert (without(result), result["message"]) == (without(response), response["message"])
    assert (result["exit_code"], "about to go" in result["log"], result["log_cut"]) == (7, True, False)


def test_a_test_that_times_out_is_a_failed_task_without_advice_to_use_async(monkeypatch: Any, fresh: Any) -> None:
    monkeypatch.setenv("AIRFLOW__NATIVE_API__JOB_SECONDS", "2")
    monkeypatch.setenv("AIRFLOW__NATIVE_API__JOB_SECONDS_MAX", "2")
    arguments = {**TRIAL, "task_id": "hangs"}
    response = native_api.call("test_task", **arguments)
    result = result_of("test_task", arguments, "timeout")
    assert without(result) == without(response)
    assert (
        response["message"]
        == "The code did not end within its timeout of 2 s and was stopped; use async for a longer timeout."
    )
    assert result["message"] == "The code did not end within its timeout of 2 s and was stopped."
    assert result["seconds"] >= 2


def test_a_test_whose_supervisor_is_killed_is_a_problem(fresh: Any) -> None:
    """The outcome of the task is unknown."""
    job_id = native_api.call("test_task", **TRIAL, task_id="hangs", **{"async": True})["job_id"]
    jobs_under_test.until(jobs_under_test.running_supervisors)
    jobs_under_test.running_supervisors()[0].kill()
    jobs_under_test.wait(job_id, "lost")
    result = native_api.call("job_state", job_id=job_id)
    assert (result["state"], result["result"], result["error"]["status"]) == ("lost", None, 422)


def result_of(name: str, arguments: Dict[str, Any], state: str = "success") -> Dict[str, Any]:
    """Run an operation asynchronously and return its result as documented by its schema."""
    accepted = native_api.call(name, **arguments, **{"async": True})
    assert_valid(registry.get(name).accepted, accepted)
    job = ended(accepted["job_id"])
    assert (job["state"], job["error"]) == (state, None)
    assert_valid(registry.get(name).result, job["result"])
    result: Dict[str, Any] = job["result"]
    return result


def ended(job_id: str) -> Dict[str, Any]:
    """Return the state of a job that has ended."""
    jobs_under_test.wait(job_id)
    return native_api.call("job_state", job_id=job_id)


def without(response: Dict[str, Any]) -> Dict[str, Any]:
    """Return a response without what differs between calls."""
    files = [{**file, "seconds": None} for file in response.get("files", [])]
    return {**{name: value for name, value in response.items() if name not in VARYING}, "files": files}
