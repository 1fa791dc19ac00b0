"""Calls that tests make through the load balancer."""

from __future__ import annotations

from typing import Any, Dict

from tests.servers.client import Client, Response
from tests.servers.processes import eventually

DAG_ID = "user_code"
AT = "2024-03-04"
#: The dates of the backfill.
FROM_DATE, TO_DATE = "2024-01-02", "2024-01-03"
UNFINISHED = ("queued", "running")


def result_of(client: Client, response: Response) -> Any:
    """Return the result of a call; if it has become a job on a busy machine, that of the job."""
    if response.status != 202:
        return response.result()
    state = ended(client, response.json()["job_id"])
    assert state["state"] == "success", state
    return state["result"]


def outcome_of(client: Client, task_id: str, dag_id: str = DAG_ID, **arguments: Any) -> Dict[str, Any]:
    """Test a task, and return the result."""
    called = client.write("test_task", dag_id=dag_id, task_id=task_id, logical_date=AT, **arguments)
    result: Dict[str, Any] = result_of(client, called)
    return result


def started(client: Client, task_id: str, dag_id: str = DAG_ID, **arguments: Any) -> str:
    """Test a task asynchronously, and return the job's id."""
    called = client.write("test_task", dag_id=dag_id, task_id=task_id, logical_date=AT, **arguments, **{"async": True})
    job_id: str = called.result(202)["job_id"]
    return job_id


def state_of(client: Client, job_id: str) -> Dict[str, Any]:
    """Return the state of a job."""
    state: Dict[str, Any] = client.read("job_state", job_id=job_id).result()
    return state


def runs(client: Client, job_id: str) -> Dict[str, Any]:
    """Return the state of a job when it runs."""

    def state() -> Any:
        found = state_of(client, job_id)
        assert found["state"] in UNFINISHED, found
        return found if found["state"] == "running" else None

    found: Dict[str, Any] = eventually(state, f"the job {job_id} runs")
    return found


def ended(client: Client, job_id: str) -> Dict[str, Any]:
    """Return the state of a job when it has ended."""

    def state() -> Any:
        found = state_of(client, job_id)
        return None if found["state"] in UNFINISHED else found

    found: Dict[str, Any] = eventually(state, f"the end of the job {job_id}")
    return found
