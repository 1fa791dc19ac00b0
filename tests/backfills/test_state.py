"""backfill_state, list_backfills, cancel_backfill, and their permissions."""

from __future__ import annotations

from typing import Any

import pytest

import native_api
from native_api import errors
from native_api.permissions import Resource
from tests.support import airflow_under_test
from tests.support.auth_managers import USER
from tests.support.backfills import DATES, backfill, finish, run_of, runs, set_run, state_of
from tests.support.problems import assert_problem
from tests.support.queries import statements
from tests.support.versions import AIRFLOW


class TestState:
    def test_it_returns_the_arguments_of_the_backfill(self, fresh: Any) -> None:
        made = backfill(reprocess_behavior="failed")
        result = state_of(made["backfill_id"])
        expected = {
            "backfill_id": made["backfill_id"],
            "dag_id": "daily",
            "state": "running",
            "from_date": DATES[0],
            "to_date": DATES[2],
            "reprocess_behavior": "failed",
            "local": False,
            "job_id": None,
            "runs": {"queued": 3},
            "total_runs": 3,
            "fraction_done": 0.0,
            "tasks": {"none": 18},
            "failed_runs": [],
            "failed_tasks": [],
        }
        assert {name: result[name] for name in expected} == expected
        assert result["created_at"]
        assert result["created_by"] == (None if airflow_under_test.version() == (3, 0) else "this process")

    def test_it_returns_the_completed_fraction(self, fresh: Any) -> None:
        made = backfill()
        finish("daily", "success", only=run_of(DATES[0]))
        result = state_of(made["backfill_id"])
        assert (result["state"], result["runs"]) == ("running", {"success": 1, "queued": 2})
        assert result["fraction_done"] == 0.3333

    def test_it_is_success_when_all_runs_have_succeeded(self, fresh: Any) -> None:
        made = backfill()
        finish("daily", "success")
        result = state_of(made["backfill_id"])
        assert (result["state"], result["runs"], result["fraction_done"]) == ("success", {"success": 3}, 1.0)
        assert (result["tasks"], result["failed_runs"], result["failed_tasks"]) == ({"success": 18}, [], [])

    def test_it_is_failed_when_a_run_has_failed(self, fresh: Any) -> None:
        made = backfill()
        finish("daily", "failed", failed="get_left", only=run_of(DATES[1]))
        finish("daily", "success")
        result = state_of(made["backfill_id"])
        assert (result["state"], result["runs"]) == ("failed", {"failed": 1, "success": 2})
        assert result["failed_runs"] == [run_of(DATES[1])]
        assert {task["task_id"] for task in result["failed_tasks"]} == {"get_left"}
        assert all(task["logical_date"] == task["execution_date"] for task in result["failed_tasks"])

    def test_other_processes_can_read_it(self, web: Any) -> None:
        made = web.typed("backfill_dag", login="admin", dag_id="daily", from_date=DATES[0])
        assert made.status == 202
        location = made.headers.get("Location", made.headers.get("location"))
        assert location == made.json["url"]
        assert location.endswith(f"/native_api/v1/backfill_state?backfill_id={made.json['backfill_id']}")
        assert state_of(made.json["backfill_id"])["created_by"] in ("admin", None)

    def test_an_unknown_backfill_id_is_not_found(self, fresh: Any) -> None:
        for name in ("backfill_state", "cancel_backfill"):
            with pytest.raises(errors.BackfillNotFound, match="99999"):
                native_api.call(name, backfill_id=99999)

    def test_another_row_of_the_audit_log_is_not_a_backfill(self, fresh: Any) -> None:
        """On Airflow 2 a backfill is a row of that table."""
        native_api.call("set_variable", key="k", value="v")
        with pytest.raises(errors.BackfillNotFound):
            state_of(airflow_under_test.audit_rows()[0].id)


class TestList:
    @pytest.mark.skipif(AIRFLOW < (3, 0), reason="no column of Airflow 2 names the backfill of a run")
    def test_it_sends_as_many_statements_for_many_as_for_one(self, fresh: Any) -> None:
        sent = []
        for dag_id in ("wire_dag", "daily"):
            backfill_id = backfill(dag_id)["backfill_id"]
            native_api.call("cancel_backfill", backfill_id=backfill_id)
            native_api.call("list_backfills")
            with statements() as these:
                native_api.call("list_backfills", state=["success", "failed", "running"])
            sent.append(len(these))
        assert sent[0] == sent[1]

    def test_it_filters_by_dag_and_state(self, fresh: Any) -> None:
        first = backfill("wire_dag")["backfill_id"]
        second = backfill()["backfill_id"]
        finish("wire_dag", "success")

        def listed(**which: Any) -> Any:
            response = native_api.call("list_backfills", **which)
            assert response["total_entries"] >= len(response["backfills"])
            return [(one["backfill_id"], one["state"]) for one in response["backfills"]]

        assert listed() == [(first, "success"), (second, "running")]
        assert listed(order_by="-backfill_id", limit=1) == [(second, "running")]
        assert listed(offset=1) == [(second, "running")]
        assert listed(dag_id="daily") == [(second, "running")]
        assert listed(state=["success", "failed"]) == [(first, "success")]
        assert listed(state=["cancelled"]) == []

    def test_an_unknown_dag_or_state_is_an_error(self, fresh: Any) -> None:
        with pytest.raises(errors.DagNotFound):
            native_api.call("list_backfills", dag_id="nope")
        with pytest.raises(errors.Invalid, match="queued"):
            native_api.call("list_backfills", state=["queued"])


class TestCancel:
    def test_queued_runs_fail(self, fresh: Any) -> None:
        made = backfill()
        set_run(DATES[0], "running")
        set_run(DATES[1], "success")
        response = native_api.call("cancel_backfill", backfill_id=made["backfill_id"])
        assert response == {
            "backfill_id": made["backfill_id"],
            "dag_id": "daily",
            "state": "cancelled",
            "failed_runs": 1,
            "running_runs": 1,
        }
        assert [run["state"] for run in runs()] == ["running", "success", "failed"]
        result = state_of(made["backfill_id"])
        assert (result["state"], result["failed_runs"]) == ("cancelled", [run_of(DATES[2])])

    def test_the_dag_can_be_backfilled_again(self, fresh: Any) -> None:
        first = backfill()["backfill_id"]
        native_api.call("cancel_backfill", backfill_id=first)
        second = backfill(reprocess_behavior="failed")
        assert {run["action"] for run in second["runs"]} == {"reprocess"}
        assert state_of(second["backfill_id"])["runs"] == {"queued": 3}
        assert state_of(first)["state"] == "cancelled"

    @pytest.mark.parametrize("how", ["success", "cancelled"])
    def test_an_ended_backfill_cannot_be_cancelled(self, fresh: Any, how: str) -> None:
        made = backfill()
        if how == "success":
            finish("daily", "success")
        else:
            native_api.call("cancel_backfill", backfill_id=made["backfill_id"])
        before = runs()
        with pytest.raises(errors.BackfillHasEnded, match=how) as caught:
            native_api.call("cancel_backfill", backfill_id=made["backfill_id"])
        assert caught.value.state == how
        assert runs() == before

    def test_other_runs_are_unchanged(self, fresh: Any) -> None:
        native_api.call("trigger_dag", dag_id="daily", run_id="mine", logical_date="2024-05-05")
        made = backfill()
        native_api.call("cancel_backfill", backfill_id=made["backfill_id"])
        assert native_api.call("dag_state", dag_id="daily", run_id="mine")["state"] == "queued"


class TestRights:
    """A caller with all permissions on one DAG and none on others."""

    @pytest.fixture
    def restricted(self, web: Any, mocker: Any) -> Any:
        mocker.patch(
            f"{USER}.may",
            lambda self, access, dag_id=None: dag_id == "wire_dag",
        )
        mocker.patch(f"{USER}.dag_ids", lambda self, access: {"wire_dag"})
        return web

    def test_the_caller_reads_and_cancels_backfills_of_that_dag_only(self, restricted: Any) -> None:
        theirs, others = backfill("wire_dag")["backfill_id"], backfill()["backfill_id"]
        listed = restricted.typed("list_backfills", login="user").json
        assert [one["backfill_id"] for one in listed["backfills"]] == [theirs]
        assert restricted.typed("backfill_state", login="user", backfill_id=theirs).status == 200
        for name in ("backfill_state", "cancel_backfill"):
            response = restricted.typed(name, login="user", backfill_id=others)
            assert_problem(response, 404)
            assert "daily" not in response.text
        assert state_of(others)["state"] == "running"
        assert restricted.typed("cancel_backfill", login="user", backfill_id=theirs).status == 200

    def test_a_reader_gets_the_permission_that_cancelling_requires(self, web: Any) -> None:
        response = web.typed("cancel_backfill", login="viewer", backfill_id=backfill()["backfill_id"])
        assert_problem(response, 403)
        assert response.json["permission"] == "edit the DAG run of the DAG 'daily'"

    def test_pool_requires_permission_to_read_the_pool(self, web: Any, mocker: Any) -> None:
        """Otherwise an error would show whether a pool exists."""
        mocker.patch(
            f"{USER}.may",
            lambda self, access, identifier=None: access.resource is not Resource.POOL,
        )
        responses = [
            web.typed("backfill_dag", login="user", dag_id="daily", from_date=DATES[0], pool=pool, dry_run=True)
            for pool in ("default_pool", "nowhere")
        ]
        for response, pool in zip(responses, ("default_pool", "nowhere")):
            assert_problem(response, 403)
            assert response.json["permission"] == f"read the pool '{pool}'"

    @pytest.mark.parametrize("resource, method", [("DAG", "PUT"), ("DAG_RUN", "POST")])
    def test_backfill_dag_requires_both_permissions(self, web: Any, mocker: Any, resource: str, method: str) -> None:
        """To edit the DAG, and to create its runs."""

        def may(self: Any, access: Any, dag_id: Any = None) -> bool:
            return (access.resource.name, access.method) != (resource, method)

        mocker.patch(f"{USER}.may", may)
        assert_problem(web.typed("backfill_dag", login="user", dag_id="daily", from_date=DATES[0]), 403)
        assert runs() == []

    def test_allow_execute_disables_it(self, web: Any, monkeypatch: Any) -> None:
        """A backfill that has started is cancelled, too."""
        made = backfill()
        monkeypatch.setenv("AIRFLOW__NATIVE_API__ALLOW_EXECUTE", "False")
        assert_problem(web.typed("backfill_dag", login="admin", dag_id="wire_dag", from_date=DATES[0]), 403)
        assert web.typed("cancel_backfill", login="admin", backfill_id=made["backfill_id"]).status == 200


class TestTheOldProtocol:
    def test_a_dry_run_prints_the_dates_and_the_tasks(self, web: Any) -> None:
        response = web.legacy(
            "backfill", dag_id="wire_dag", start_date="2024-01-01", end_date="2024-01-02", dry_run="on"
        )
        day = "Dry run of DAG wire_dag on 2024-01-0{}T00:00:00+00:00\nTask extract\nTask transform\nTask load\n"
        assert response.json["output"]["stdout"] == day.format(1) + day.format(2)
        assert "warning" not in response.json

    def test_the_response_is_immediate_with_an_empty_output(self, web: Any) -> None:
        response = web.legacy(
            "backfill", dag_id="wire_dag", start_date="2024-01-01", task_regex="extract", donot_pickle="on"
        )
        assert (response.status, response.json["output"]["stdout"]) == (200, "")
        result = response.json["result"]
        assert result["tasks"] == ["extract"]
        assert "is paused" in response.json["warning"]
        assert f"/native_api/v1/backfill_state?backfill_id={result['backfill_id']}" in response.json["warning"]

    @pytest.mark.parametrize(
        "arguments, status, said",
        [
            ({"dag_id": "nope", "start_date": "2024-01-01"}, 400, "does not exist"),
            ({"dag_id": "failing", "start_date": "2024-01-01"}, 409, "no schedule"),
            ({"dag_id": "daily"}, 400, "Send from_date"),
            ({"dag_id": "daily", "start_date": "2024-01-02", "end_date": "2024-01-01"}, 400, "earlier"),
            ({"dag_id": "daily", "start_date": "2024-01-02", "local": "maybe"}, 400, "checkbox"),
            ({"start_date": "2024-01-02"}, 400, "dag_id"),
        ],
    )
    def test_an_error_has_the_status_and_message_of_the_old_protocol(
        self, web: Any, arguments: Any, status: int, said: str
    ) -> None:
        response = web.legacy("backfill", **arguments)
        assert (response.status, response.json["status"]) == (status, "ERROR")
        assert said in response.json["output"]
