"""What clients of the old plugin really send, and the documented differences."""

from __future__ import annotations

import json
from typing import Any

import pytest
from werkzeug.datastructures import MultiDict

import native_api
from tests.support.dag_runs import set_state, web_session

PATH = "/admin/rest_api/api"


def stdout(response: Any) -> str:
    assert response.status == 200, response.text
    return str(response.json["output"]["stdout"])


class TestRequests:
    def test_all_arguments_can_be_in_the_query_string_of_a_post(self, web: Any) -> None:
        response = web.request("POST", PATH, query={"api": "version"})
        assert response.status == 200
        assert response.json["output"] == native_api.call("version")["version"]

    def test_all_arguments_can_be_in_a_form(self, web: Any) -> None:
        """They are returned as post_arguments."""
        form = {"api": "variables", "cmd": "set", "key": "k", "value": "v"}
        response = web.request("POST", PATH, form=form)
        assert stdout(response) == ""
        assert response.json["arguments"] == {}
        assert response.json["post_arguments"] == form
        assert native_api.call("get_variable", key="k")["value"] == "v"

    def test_the_query_string_has_priority_over_the_form(self, web: Any) -> None:
        """As in the old plugin."""
        web.request("POST", PATH, query={"api": "variables", "cmd": "set", "key": "a"}, form={"key": "b", "value": "v"})
        assert [v["key"] for v in native_api.call("list_variables")["variables"]] == ["a"]

    def test_a_json_body_of_a_get_is_ignored(self, web: Any) -> None:
        response = web.request("GET", PATH, query={"api": "version"}, json={"api": "nosuch"})
        assert response.status == 200

    def test_a_form_of_a_get_is_ignored(self, web: Any) -> None:
        response = web.request("GET", PATH, query={"api": "version"}, form={"api": "nosuch", "x": "1"})
        assert (response.status, response.json["post_arguments"]) == (200, {})

    def test_unknown_arguments_are_ignored_with_a_warning(self, web: Any) -> None:
        """The old plugin ignored them silently."""
        response = web.legacy("variables", get="nope", foo="1", bar="2")
        assert stdout(response) == "None\n"
        assert response.json["warning"] == "Ignored the argument(s) ['bar', 'foo'], which 'variables' does not have"

    @pytest.mark.parametrize("spelling", ["dry_run", "dryrun", "dry-run"])
    @pytest.mark.parametrize("tick", ["on", "", "true"])
    def test_clear_has_a_dry_run(self, web: Any, spelling: str, tick: str) -> None:
        """The old plugin did not; whoever sends it must not lose the states of all tasks."""
        native_api.call("trigger_dag", dag_id="wire_dag", run_id="r")
        set_state("wire_dag", "r", "extract", "success")
        response = web.legacy("clear", dag_id="wire_dag", **{spelling: tick})
        lines = stdout(response).splitlines()
        assert lines[0] == "You are about to delete these 3 tasks:"
        assert lines[1] == "<TaskInstance: wire_dag.extract r [success]>"
        assert (response.json["result"]["dry_run"], response.json["airflow_cmd"]) == (True, None)
        assert "warning" not in response.json
        assert native_api.call("task_state", dag_id="wire_dag", run_id="r", task_id="extract")["state"] == "success"

    @pytest.mark.parametrize("arguments", [{}, {"dry_run": "off"}])
    def test_clear_clears_by_default(self, web: Any, arguments: Any) -> None:
        """Unlike the operation, which needs dry_run=false."""
        native_api.call("trigger_dag", dag_id="wire_dag", run_id="r")
        set_state("wire_dag", "r", "extract", "success")
        response = web.legacy("clear", dag_id="wire_dag", task_regex="extract", **arguments)
        assert (stdout(response), response.json["result"]["dry_run"]) == ("", False)
        assert native_api.call("task_state", dag_id="wire_dag", run_id="r", task_id="extract")["state"] is None

    def test_every_name_accepts_dry_run_if_its_operation_does(self) -> None:
        """In each spelling."""
        from native_api import registry
        from native_api.http.legacy import protocol

        with_one = {name.name for name in registry.every() if "dry_run" in name.request.fields}
        assert {"clear_tasks", "test_task", "backfill_dag", "deploy_dag"} <= with_one
        for name, sent in (
            ("clear", {"dag_id": "x"}),
            ("test", {"dag_id": "x", "task_id": "y", "run_id": "z"}),
            ("backfill", {"dag_id": "x", "start_date": "2024-01-01"}),
        ):
            for spelling in ("dry_run", "dryrun", "dry-run"):
                arguments = protocol.Arguments(MultiDict({"api": name, **sent, spelling: "on"}), MultiDict())
                found = protocol.find(arguments)
                plan = found.plan(arguments)
                plan, warnings = plan.with_operation_arguments(found, arguments, registry.get(plan.operation))
                assert (plan.arguments["dry_run"], warnings) == ("on", [])

    def test_an_argument_in_two_spellings_is_an_error(self, web: Any) -> None:
        response = web.legacy("clear", dag_id="wire_dag", dry_run="on", dryrun="off")
        assert (response.status, "dry_run" in response.json["output"]) == (400, True)

    def test_arguments_that_only_the_operation_has_are_passed_to_it(self, web: Any) -> None:
        """From a query string or a form, also repeated ones and ones that override a default."""
        for key in ("a", "b", "c"):
            native_api.call("set_variable", key=key, value="v")
        assert stdout(web.legacy("variables", order_by="-key", limit="2")) == "c\nb\n"
        for number in (1, 2):
            native_api.call("trigger_dag", dag_id="wire_dag", run_id=f"r{number}", logical_date=f"2026-11-0{number}")
        query = {"api": "clear", "dag_id": "wire_dag", "task_ids": ["extract", "load"], "run-id": "r1"}
        response = web.request("POST", PATH, query=query, form={"dry_run": "on"})
        named = [(ti["run_id"], ti["task_id"]) for ti in response.json["result"]["task_instances"]]
        assert named == [("r1", "extract"), ("r1", "load")]

    @pytest.mark.parametrize("value, says", [("maybe", "dry_run"), ("2", "dry_run")])
    def test_an_invalid_value_of_such_an_argument_is_400(self, web: Any, value: str, says: str) -> None:
        response = web.legacy("clear", dag_id="wire_dag", dry_run=value)
        assert (response.status, says in response.json["output"]) == (400, True)

    def test_the_argument_of_the_old_protocol_has_priority_over_that_of_the_operation(self, web: Any) -> None:
        """The other is ignored with a warning."""
        response = web.legacy("pool", cmd="set", pool_name="p", slot_count="1", name="q")
        assert response.json["result"]["name"] == "p"
        assert response.json["warning"] == "Ignored the argument(s) ['name'], which 'pool' does not have"

    def test_logical_date_is_accepted(self, web: Any) -> None:
        web.legacy("trigger_dag", dag_id="wire_dag", logical_date="2026-11-01")
        assert stdout(web.legacy("dag_state", dag_id="wire_dag", logical_date="2026-11-01")) == "queued\n"

    def test_secrets_in_arguments_of_the_operation_are_masked(self, web: Any) -> None:
        response = web.legacy(
            "connections", add="on", conn_id="c", conn_type="http", password="hunter2", extra='{"token": "hunter2"}'
        )
        assert response.status == 200
        assert "hunter2" not in response.text
        assert native_api.call("get_connection", conn_id="c")["password"] == "hunter2"

    def test_the_name_can_be_in_upper_case_and_have_spaces(self, web: Any) -> None:
        assert web.legacy(" Version ").status == 200

    @pytest.mark.parametrize("api", [None, "", " "])
    def test_a_missing_name_is_400(self, web: Any, api: Any) -> None:
        response = web.request("GET", PATH, query={} if api is None else {"api": api})
        assert (response.status, response.json["output"]) == (400, "API should be provided")

    @pytest.mark.parametrize("name", ["dag_id", "dag_id="])
    def test_a_missing_argument_is_400(self, web: Any, name: str) -> None:
        response = web.request("GET", PATH, query="api=pause" + ("&dag_id=" if "=" in name else ""))
        assert (response.status, response.json["output"]) == (400, "The argument(s) ['dag_id'] are required")

    def test_an_unknown_dag_is_400(self, web: Any) -> None:
        response = web.legacy("unpause", dag_id="nope")
        assert (response.status, response.json["output"]) == (400, "The DAG ID 'nope' does not exist")

    @pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH"])
    def test_another_method_is_405(self, web: Any, method: str) -> None:
        response = web.request(method, PATH, query={"api": "version"})
        assert (response.status, response.json["status"]) == (405, "ERROR")

    def test_missing_credentials_are_401(self, web: Any) -> None:
        """A documented difference. The response does not repeat the arguments."""
        response = web.legacy("version", login=None)
        assert (response.status, response.json["status"], response.json["http_response_code"]) == (401, "ERROR", 401)
        assert "arguments" not in response.json

    def test_a_wrong_token_has_the_response_of_the_old_plugin(self, web: Any) -> None:
        response = web.request(
            "GET", PATH, login=None, query="api=version", headers={"rest-api-plugin-http-token": "x"}
        )
        assert (response.status, response.json["output"]) == (403, "Token Authentication Failed")
        assert "arguments" not in response.json

    def test_another_url_below_the_prefix_is_404_in_the_old_format(self, web: Any) -> None:
        response = web.request("GET", "/admin/rest_api/apis")
        assert (response.status, response.json["status"]) == (404, "ERROR")


class TestVariables:
    def test_a_variable_can_be_set_with_the_argument_set(self, web: Any) -> None:
        """``set=KEY VALUE`` besides ``cmd=set``; the value can have spaces."""
        assert stdout(web.legacy("variables", set="k some value")) == ""
        assert native_api.call("get_variable", key="k")["value"] == "some value"

    @pytest.mark.parametrize("value", ["", " ", "a b", "a&b=c", "+ %20 %", '{"a": 1}', "ümlaut 世界 ✓", "None", "x\ny"])
    def test_a_value_is_stored_verbatim(self, web: Any, value: str) -> None:
        assert stdout(web.legacy("variables", cmd="set", key="k", value=value)) == ""
        assert stdout(web.legacy("variables", get="k")) == f"{value}\n"

    @pytest.mark.parametrize("arguments", [{"key": "k"}, {"value": "v"}, {}])
    def test_set_requires_a_key_and_a_value(self, web: Any, arguments: Any) -> None:
        response = web.legacy("variables", cmd="set", **arguments)
        assert (response.status, response.json["output"]) == (400, "The argument(s) ['key', 'value'] are required")

    @pytest.mark.parametrize("tick, text", [("on", "[1]\n"), ("", "[1]\n"), ("true", "[1]\n"), ("off", "[ 1 ]\n")])
    def test_a_checkbox_can_be_off(self, web: Any, tick: str, text: str) -> None:
        """A documented difference."""
        native_api.call("set_variable", key="k", value="[ 1 ]")
        assert stdout(web.legacy("variables", get="k", json=tick)) == text

    def test_another_value_of_a_checkbox_is_400(self, web: Any) -> None:
        assert web.legacy("variables", get="k", json="maybe").status == 400

    def test_json_of_a_text_that_is_not_json_is_400(self, web: Any) -> None:
        native_api.call("set_variable", key="k", value="{")
        response = web.legacy("variables", get="k", json="on")
        assert response.status == 400
        assert "is not JSON" in response.json["output"]

    def test_deleting_a_missing_variable_succeeds(self, web: Any) -> None:
        """The old command printed nothing and did not fail."""
        assert stdout(web.legacy("variables", delete="nope")) == ""

    def test_a_list_is_complete(self, web: Any) -> None:
        """The old protocol has no pages."""
        with web_session() as session:
            from airflow.models.variable import Variable

            session.add_all(Variable(key=f"k{number:04}", val="v") for number in range(1200))
        assert len(stdout(web.legacy("variables")).splitlines()) == 1200

    def test_a_sensitive_value_is_masked_everywhere(self, web: Any) -> None:
        """In the command, the arguments and the result; it is stored unmasked."""
        response = web.legacy("variables", cmd="set", key="db_password", value="s3cr3t-value")
        assert response.status == 200
        assert "s3cr3t-value" not in response.text
        assert response.json["airflow_cmd"] == "airflow variables set db_password '***'"
        older = web.legacy("variables", set="db_password s3cr3t-value")
        assert "s3cr3t-value" not in older.text
        assert stdout(web.legacy("variables", get="db_password")) == "s3cr3t-value\n"

    def test_the_command_is_quoted_for_a_shell(self, web: Any) -> None:
        response = web.legacy("variables", cmd="set", key="k", value="a 'b'; rm -rf x")
        assert response.json["airflow_cmd"] == """airflow variables set k 'a '"'"'b'"'"'; rm -rf x'"""


class TestRuns:
    @pytest.mark.parametrize(
        "date",
        [
            "2026-11-01T01:02:03",
            "2026-11-01 01:02:03",
            "2026-11-01T01:02:03+00:00",
            "2026-11-01T01:02:03Z",
            "2026-11-01T02:02:03+01:00",
        ],
    )
    def test_every_date_format_is_accepted(self, web: Any, date: str) -> None:
        text = stdout(web.legacy("trigger_dag", dag_id="wire_dag", run_id="r", exec_date=date))
        assert text == "Created <DagRun wire_dag @ 2026-11-01T01:02:03+00:00: r, externally triggered: True>\n"
        assert stdout(web.legacy("dag_state", dag_id="wire_dag", execution_date=date)) == "queued\n"

    def test_an_unescaped_plus_in_a_date_is_accepted(self, web: Any) -> None:
        """In a query string it is a space."""
        stdout(web.request("GET", PATH, query="api=trigger_dag&dag_id=wire_dag&exec_date=2026-11-01T01:02:03+00:00"))
        assert native_api.call("dag_state", dag_id="wire_dag", logical_date="2026-11-01T01:02:03+00:00")

    def test_microseconds_are_kept(self, web: Any) -> None:
        date = "2026-11-01T01:02:03.000456"
        response = web.legacy("trigger_dag", dag_id="wire_dag", exec_date=date)
        assert response.json["result"]["logical_date"] == f"{date}+00:00"
        assert stdout(web.legacy("dag_state", dag_id="wire_dag", execution_date=date)) == "queued\n"
        assert stdout(web.legacy("dag_state", dag_id="wire_dag", execution_date=date[:19])) == "None\n"

    @pytest.mark.parametrize("escaped", ["%2B00:00", "+00:00"])
    def test_an_unescaped_plus_in_a_run_id_is_accepted(self, web: Any, escaped: str) -> None:
        """A run_id has no spaces."""
        stdout(web.request("GET", PATH, query=f"api=trigger_dag&dag_id=wire_dag&run_id=manual__x{escaped}"))
        assert native_api.call("dag_state", dag_id="wire_dag", run_id="manual__x+00:00")["state"] == "queued"
        again = web.request("GET", PATH, query=f"api=dag_state&dag_id=wire_dag&run_id=manual__x{escaped}")
        assert stdout(again) == "queued\n"

    def test_a_percent_sign_in_a_run_id_is_decoded_once(self, web: Any, monkeypatch: Any) -> None:
        """If the configuration allows such ids."""
        monkeypatch.setenv("AIRFLOW__SCHEDULER__ALLOWED_RUN_ID_PATTERN", "^[a-z0-9%+ ]+$")
        for escaped, run_id in (("50%25", "50%"), ("50%2525", "50%25"), ("a%2Bb", "a+b"), ("a+b", "a b")):
            response = web.request("GET", PATH, query=f"api=trigger_dag&dag_id=wire_dag&run_id={escaped}")
            assert response.json["result"]["run_id"] == run_id
            assert (
                stdout(web.request("GET", PATH, query=f"api=dag_state&dag_id=wire_dag&run_id={escaped}")) == "queued\n"
            )

    def test_the_output_and_the_result_have_the_run_id(self, web: Any) -> None:
        """A documented difference."""
        response = web.legacy("trigger_dag", dag_id="wire_dag")
        assert response.json["result"]["run_id"] in stdout(response)

    def test_conf_is_stored_and_in_the_command(self, web: Any) -> None:
        response = web.legacy("trigger_dag", dag_id="wire_dag", conf='{"k": "v w"}')
        assert response.json["result"]["conf"] == {"k": "v w"}
        assert """--conf '{"k": "v w"}'""" in response.json["airflow_cmd"]

    def test_a_paused_dag_is_triggered_with_a_warning(self, web: Any) -> None:
        response = web.legacy("trigger_dag", dag_id="wire_dag")
        assert response.json["result"]["is_paused"] is True
        assert "paused" in response.json["warning"]

    def test_run_id_has_priority_over_a_date(self, web: Any) -> None:
        native_api.call("trigger_dag", dag_id="wire_dag", run_id="r", logical_date="2026-11-01")
        response = web.legacy("dag_state", dag_id="wire_dag", run_id="r", execution_date="2020-01-01")
        assert stdout(response) == "queued\n"

    def test_a_run_id_or_a_date_is_required(self, web: Any) -> None:
        response = web.legacy("task_state", dag_id="wire_dag", task_id="extract")
        assert (response.status, response.json["output"]) == (400, "The argument(s) ['execution_date'] are required")

    def test_task_state_prints_the_state(self, web: Any) -> None:
        native_api.call("trigger_dag", dag_id="wire_dag", run_id="r")
        response = web.legacy("task_state", dag_id="wire_dag", task_id="extract", run_id="r")
        assert stdout(response) == "None\n"
        assert response.json["result"]["state"] is None
        assert response.json["airflow_cmd"] == "airflow tasks state wire_dag extract r"
        set_state("wire_dag", "r", "extract", "success")
        assert stdout(web.legacy("task_state", dag_id="wire_dag", task_id="extract", run_id="r")) == "success\n"

    def test_a_missing_run_prints_none_and_has_no_result(self, web: Any) -> None:
        response = web.legacy("dag_state", dag_id="wire_dag", execution_date="2020-01-01")
        assert stdout(response) == "None\n"
        assert response.json["result"] is None


def test_the_result_is_that_of_the_typed_api(web: Any) -> None:
    """New clients of the old protocol need not parse text."""
    legacy = web.legacy("list_dags").json["result"]["dags"]
    typed = web.typed("list_dags", limit=1000).json["dags"]
    assert json.dumps(legacy) == json.dumps(typed)
