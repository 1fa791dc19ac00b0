"""The name run of the old protocol."""

from __future__ import annotations

from typing import Any

from tests.support import airflow_under_test
from tests.task_execution.run.single_task import DATE


def test_the_command_exists_on_airflow_2_only(web: Any) -> None:
    asked = {"dag_id": "alone", "task_id": "first", "execution_date": DATE, "mark_success": "on", "force": "on"}
    command = web.legacy("run", **asked, pool="default_pool").json["airflow_cmd"]
    if airflow_under_test.version() >= (3, 0):
        assert command is None
    else:
        flags = "--mark-success --force --pool default_pool"
        assert command == f"airflow tasks run {flags} alone first {DATE}"


class TestTheLegacyName:
    """api=run."""

    def test_the_output_is_the_recorded_line_and_the_log(self, web: Any) -> None:
        response = web.legacy("run", dag_id="alone", task_id="first", execution_date=DATE, local="on")
        assert (response.status, response.json["status"]) == (200, "OK"), response.text
        line, _, text = response.json["output"]["stdout"].partition("\n")
        assert (
            line == f"Running <TaskInstance: alone.first {DATE} [None]> on host {response.json['result']['hostname']}"
        )
        assert text == response.json["result"]["log"]
        assert response.json["output"]["stderr"] == ""

    def test_a_failed_task_is_422_with_the_log_tail_on_stderr(self, web: Any) -> None:
        response = web.legacy("run", dag_id="alone", task_id="fails", execution_date=DATE, local="on")
        assert (response.status, response.json["http_response_code"], response.json["status"]) == (422, 422, "ERROR")
        first, *tail = response.json["output"]["stderr"].splitlines()
        assert first == "The task fails of the DAG alone ended as failed"
        assert any("ValueError: no luck" in line for line in tail)
        assert response.json["result"]["state"] == "failed"

    def test_unmet_dependencies_are_409(self, web: Any) -> None:
        response = web.legacy("run", dag_id="alone", task_id="second", execution_date=DATE, local="on")
        assert (response.status, response.json["status"]) == (409, "ERROR")
        assert "Trigger Rule" in response.json["output"]

    def test_a_missing_date_is_400(self, web: Any) -> None:
        assert web.legacy("run", dag_id="alone", task_id="first").status == 400
