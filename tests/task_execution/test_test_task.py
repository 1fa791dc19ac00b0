"""test_task."""

from __future__ import annotations

import json
from contextlib import contextmanager
from typing import Any, Dict, Iterator

import pendulum
import pytest

import native_api
from native_api import errors
from native_api.adapters.compat import airflow
from tests.support import airflow_under_test, dag_runs
from tests.support.dag_files import dag_file
from tests.support.fingerprint import unchanged
from tests.support.jobs_under_test import until
from tests.support.versions import by_default_on

pytestmark = by_default_on("2.8", "2.10", "3.0", "3.1", "3.2")

DATE = "2026-11-01T00:00:00+00:00"

#: Airflow 3 calls every exit of a task a failure.
LEAVES_WELL = "success" if airflow_under_test.version() < (3, 0) else "failed"


def tried(task_id: str, **arguments: Any) -> Dict[str, Any]:
    """Return the response, and assert that nothing has changed, unless the job timed out or crashed."""
    named = {"dag_id": "trials", "task_id": task_id, **arguments}
    if "run_id" not in arguments:
        named.setdefault("logical_date", DATE)
    with unchanged():
        return native_api.call("test_task", **named)


@pytest.mark.parametrize("there", [False, True], ids=["a date that never ran", "a date that ran"])
class TestWithAndWithoutARun:
    """With or without a run for the date, nothing is changed."""

    @pytest.fixture(autouse=True)
    def run(self, fresh: Any, there: bool) -> None:
        if there:
            dag_runs.make("trials", "real", DATE, state="success", xcoms={"pushes": "stays"})

    def test_a_successful_task_returns_its_value_and_its_log(self, there: bool) -> None:
        response = tried("pushes")
        assert (response["state"], response["exit_code"], response["exception"]) == ("success", 0, None)
        assert (response["return_value"], response["return_value_is_repr"]) == ({"numbers": [1, 2]}, False)
        assert "printed 1 True" in response["log"]
        assert response["seconds"] > 0
        assert response["run_id"] == ("real" if there else None)
        assert response["dry_run"] is False

    def test_an_exception_is_a_result(self, there: bool) -> None:
        """With its traceback in the log."""
        response = tried("raises")
        assert (response["state"], response["exit_code"]) == ("failed", 1)
        assert (response["exception"], response["message"]) == ("KeyError", "'word'")
        assert 'raise KeyError("word")' in response["log"]

    def test_a_deferred_task_is_resumed(self, there: bool) -> None:
        """Also if it is deferred twice."""
        response = tried("waits")
        assert (response["state"], response["return_value"]) == ("success", "then and then")

    def test_a_crash_is_a_result(self, there: bool) -> None:
        response = tried("crashes")
        assert (response["state"], response["exit_code"], response["exception"]) == ("failed", 7, "UserCodeCrashed")
        assert "about to go" in response["log"]

    def test_a_task_can_pull_xcoms(self, there: bool) -> None:
        """Those of the run, and its own; and it has the date."""
        assert tried("sees")["return_value"] == ["stays" if there else None, "mine", "2026-11-01"]


class TestOutcomes:
    """There is a run for the date."""

    @pytest.fixture(autouse=True)
    def run(self, fresh: Any) -> None:
        dag_runs.make("trials", "real", DATE, state="success")

    def test_a_failed_task_is_not_retried(self) -> None:
        response = tried("retried")
        assert (response["state"], response["exit_code"]) == ("failed", 1)
        assert "exit code 3" in response["message"]

    def test_a_skipped_task_is_skipped(self) -> None:
        response = tried("skips")
        assert (response["state"], response["exit_code"]) == ("skipped", 0)

    def test_a_rescheduled_sensor_is_up_for_reschedule(self) -> None:
        assert tried("not_yet")["state"] == "up_for_reschedule"

    def test_sys_exit_is_a_result(self) -> None:
        response = tried("leaves_badly")
        assert (response["state"], response["exit_code"]) == ("failed", 1)
        assert "4" in response["message"]
        assert tried("leaves_well")["state"] == LEAVES_WELL

    def test_a_timeout_is_a_result(self, monkeypatch: Any) -> None:
        monkeypatch.setenv("AIRFLOW__NATIVE_API__JOB_SECONDS", "5")
        response = tried("hangs")
        assert (response["state"], response["exception"]) == ("failed", "JobTimedOut")
        assert response["exit_code"] != 0
        assert "still here" in response["log"]

    def test_a_test_after_a_killed_one_works(self) -> None:
        assert tried("crashes")["exit_code"] == 7
        assert tried("lists")["return_value"] == ["a", "b", "c"]

    def test_a_dry_run_returns_the_template_fields(self) -> None:
        response = tried("retried", dry_run=True)
        assert (response["state"], response["exit_code"], response["dry_run"]) == (None, 0, True)
        assert response["template_fields"][0]["text"] == "exit 3"

    def test_a_return_value_that_is_not_json_is_its_repr(self) -> None:
        response = tried("moment")
        assert response["return_value_is_repr"] is True
        assert response["return_value"].startswith("datetime.datetime(2026, 11, 1, 0, 0")


def test_the_default_date_is_now(fresh: Any) -> None:
    """The response and the audit log have it."""
    before = pendulum.now("UTC")
    with unchanged():
        response = native_api.call("test_task", dag_id="trials", task_id="pushes")
    assert before <= pendulum.parse(response["logical_date"]) <= pendulum.now("UTC")
    assert (response["state"], response["run_id"], response["execution_date"]) == (
        "success",
        None,
        response["logical_date"],
    )
    (row,) = airflow_under_test.audit_rows()
    assert json.loads(row.extra)["logical_date"] == str(pendulum.parse(response["logical_date"]))


class TestMapped:
    def test_map_index_selects_an_instance(self, fresh: Any) -> None:
        response = tried("double", dag_id="mapped", map_index=1)
        assert (response["state"], response["return_value"], response["map_index"]) == ("success", 4, 1)

    def test_a_task_mapped_over_an_xcom_is_tested(self, fresh: Any) -> None:
        dag_runs.make("trials", "real", DATE, xcoms={"lists": ["x", "y"]})
        assert tried("doubles", run_id="real", map_index=1)["return_value"] == "yy"

    def test_a_task_mapped_over_a_missing_xcom_is_refused(self, fresh: Any) -> None:
        with pytest.raises(errors.Refused, match="depends on its upstream tasks"):
            tried("doubles", map_index=0)

    def test_a_mapped_task_requires_a_map_index(self, fresh: Any) -> None:
        with pytest.raises(errors.Invalid, match="from 0 to 2"):
            tried("double", dag_id="mapped")


class TestParams:
    @pytest.mark.parametrize("given", [{"count": 5}, '{"count": 5}'], ids=["object", "text"])
    def test_task_params_override_the_params_of_the_task(self, fresh: Any, given: Any) -> None:
        assert tried("pushes", task_params=given)["return_value"] == {"numbers": [5, 2]}

    def test_invalid_task_params_are_an_error(self, fresh: Any) -> None:
        """Before the task runs."""
        with pytest.raises(errors.Invalid, match="task_params: .*count"):
            tried("pushes", task_params={"count": "many"})

    @pytest.mark.parametrize("given", ["{", "[]"])
    def test_task_params_must_be_an_object(self, fresh: Any, given: str) -> None:
        with pytest.raises(errors.Invalid, match="task_params"):
            tried("pushes", task_params=given)


def test_secrets_are_masked(fresh: Any) -> None:
    native_api.call("set_variable", key="trial_password", value="hunter2hunter2")
    response = tried("secret")
    assert response["return_value"] == "***"
    assert "hunter2" not in str(response)


class TestCrashes:
    """Tasks that end their process."""

    @pytest.fixture(scope="class", autouse=True)
    def file(self, airflow: Any) -> Iterator[None]:
        with dag_file("ending", ENDING):
            yield

    def test_exit_code_0_is_a_failure_too(self, fresh: Any) -> None:
        response = tried("leaves", dag_id="ending")
        assert (response["state"], response["exit_code"], response["exception"]) == ("failed", 1, "UserCodeCrashed")
        assert response["message"] == "The code ended its process with the exit code 0."

    def test_a_long_log_is_returned_as_its_tail(self, fresh: Any) -> None:
        """log_cut is true."""
        response = tried("prints", dag_id="ending")
        assert (response["exit_code"], len(response["log"].encode()), response["log_cut"]) == (3, 262144, True)


ENDING = """
import datetime, os, sys
from airflow import DAG
try:
    from airflow.providers.standard.operators.python import PythonOperator
except ImportError:
    from airflow.operators.python import PythonOperator

def prints():
    os.write(1, (b"x" * 99 + bytes([10])) * 5000)
    os._exit(3)

with DAG("ending", start_date=datetime.datetime(2020, 1, 1), schedule=None):
    PythonOperator(task_id="leaves", python_callable=lambda: os._exit(0))
    PythonOperator(task_id="prints", python_callable=prints)
"""


def test_two_simultaneous_tests_for_one_date_work(fresh: Any) -> None:
    from concurrent.futures import ThreadPoolExecutor

    def try_it(task_id: str) -> Any:
        return native_api.call("test_task", dag_id="trials", task_id=task_id, logical_date=DATE)["return_value"]

    with unchanged(), ThreadPoolExecutor(2) as threads:
        assert [*threads.map(try_it, ["lists", "pushes"])] == [["a", "b", "c"], {"numbers": [1, 2]}]


@contextmanager
def as_the_audit_log_has_it() -> Iterator[Dict[str, Any]]:
    result: Dict[str, Any] = {}
    yield result
    (row,) = airflow_under_test.audit_rows()
    result.update(event=row.event, dag_id=row.dag_id, task_id=row.task_id)


def test_the_audit_log_has_the_call(fresh: Any) -> None:
    with as_the_audit_log_has_it() as result:
        tried("lists")
    assert result == {"event": "native_api.test_task", "dag_id": "trials", "task_id": "lists"}


class TestBackground:
    def test_the_result_of_the_job_is_the_response(self, web: Any) -> None:
        response = web.typed("test_task", dag_id="trials", task_id="raises", logical_date=DATE, **{"async": True})
        assert response.status == 202
        result = dag_runs.result_of(response.json["job_id"])
        assert (result["state"], result["exit_code"], result["exception"]) == ("failed", 1, "KeyError")

    def test_a_cancelled_test_leaves_nothing(self, fresh: Any) -> None:
        with unchanged():
            job = native_api.call("test_task", dag_id="trials", task_id="hangs", logical_date=DATE, **{"async": True})[
                "job_id"
            ]
            until(lambda: "still here" in native_api.call("job_state", job_id=job)["log"])
            assert native_api.call("cancel_job", job_id=job)["state"] == "cancelled"


class TestOldClients:
    def test_the_default_date_is_in_the_command(self, web: Any) -> None:
        response = web.legacy("test", dag_id="trials", task_id="pushes").json
        assert (response["status"], response["result"]["state"]) == ("OK", "success")
        assert response["airflow_cmd"].endswith(response["result"]["logical_date"])

    def test_the_log_is_on_stdout(self, web: Any) -> None:
        moment = "2026-11-01T00:00:00"
        response = web.legacy(
            "test", dag_id="trials", task_id="pushes", execution_date=moment, task_params='{"count": 7}'
        )
        assert (response.status, response.json["status"]) == (200, "OK")
        assert "printed 7 True" in response.json["output"]["stdout"]
        assert response.json["output"]["stderr"] == ""
        assert response.json["result"]["return_value"] == {"numbers": [7, 2]}
        command = f"airflow tasks test --task-params '{{\"count\": 7}}' trials pushes {moment}+00:00"
        assert response.json["airflow_cmd"] == command

    @pytest.mark.parametrize("argument", ["dry_run", "dryrun"])
    def test_dry_run_is_possible_in_the_old_protocol(self, web: Any, argument: str) -> None:
        sent = {"dag_id": "wire_dag", "task_id": "load", "execution_date": "2026-11-01", argument: "on"}
        response = web.legacy("test", **sent)
        assert response.status == 200
        assert response.json["result"]["dry_run"] is True
        assert response.json["result"]["template_fields"][0]["text"] == "exit 1"
        has_command = airflow_under_test.version() < (3, 0)
        assert (response.json["airflow_cmd"] is not None) is has_command

    def test_a_failed_task_has_the_exception_and_the_log_tail_on_stderr(self, web: Any) -> None:
        response = web.legacy("test", dag_id="wire_dag", task_id="load", execution_date="2026-11-01")
        assert response.json["status"] == "ERROR"
        output = response.json["output"]
        first, *tail = output["stderr"].splitlines()
        assert first.startswith("AirflowException: Bash command failed")
        assert 0 < len(tail) <= 20
        assert output["stdout"].endswith("\n".join(tail) + "\n")
        assert response.json["result"]["exit_code"] == 1


def test_a_rehearsal_changes_nothing_and_compiles_the_statements(fresh: Any) -> None:
    """It is run in the warm process, before jobs are forked."""
    from airflow import settings
    from sqlalchemy import event

    compiled = []

    def note(connection: Any, cursor: Any, statement: str, parameters: Any, context: Any, many: bool) -> None:
        if context.compiled is not None and context.cache_hit.name != "CACHE_HIT":
            compiled.append(statement)

    with unchanged():
        airflow().test_runs.rehearse()
    event.listen(settings.engine, "before_cursor_execute", note)
    try:
        airflow().test_runs.rehearse()
    finally:
        event.remove(settings.engine, "before_cursor_execute", note)
    # Airflow 2.11 has SQLAlchemy compile this one each time.
    assert [statement for statement in compiled if "INSERT INTO task_instance " not in statement] == []
