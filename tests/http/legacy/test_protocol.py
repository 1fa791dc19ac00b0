"""What clients of the old plugin really send, and the named differences."""

from __future__ import annotations

import json
from typing import Any

import pytest
from werkzeug.datastructures import MultiDict

import native_api
from tests.support.dag_runs import set_state, web_session

PATH = "/admin/rest_api/api"


def stdout(answer: Any) -> str:
    assert answer.status == 200, answer.text
    return str(answer.json["output"]["stdout"])


class TestHowItIsSent:
    def test_post_without_a_body(self, web: Any) -> None:
        """Everything may be in the query string of a POST."""
        answer = web.request("POST", PATH, query={"api": "version"})
        assert answer.status == 200
        assert answer.json["output"] == native_api.call("version")["version"]

    def test_post_of_a_form(self, web: Any) -> None:
        """Everything may be in the form, and comes back as post_arguments."""
        form = {"api": "variables", "cmd": "set", "key": "k", "value": "v"}
        answer = web.request("POST", PATH, form=form)
        assert stdout(answer) == ""
        assert answer.json["arguments"] == {}
        assert answer.json["post_arguments"] == form
        assert native_api.call("get_variable", key="k")["value"] == "v"

    def test_the_query_string_comes_before_the_form(self, web: Any) -> None:
        """As it did: an argument of the query string hides one of the form."""
        web.request("POST", PATH, query={"api": "variables", "cmd": "set", "key": "a"}, form={"key": "b", "value": "v"})
        assert [v["key"] for v in native_api.call("list_variables")["variables"]] == ["a"]

    def test_get_with_a_json_body(self, web: Any) -> None:
        """A body that a GET carries is ignored."""
        answer = web.request("GET", PATH, query={"api": "version"}, json={"api": "nosuch"})
        assert answer.status == 200

    def test_get_with_a_form_body(self, web: Any) -> None:
        """Also when it is a form."""
        answer = web.request("GET", PATH, query={"api": "version"}, form={"api": "nosuch", "x": "1"})
        assert (answer.status, answer.json["post_arguments"]) == (200, {})

    def test_unknown_arguments_are_ignored_and_named(self, web: Any) -> None:
        """They were ignored without a word."""
        answer = web.legacy("variables", get="nope", foo="1", bar="2")
        assert stdout(answer) == "None\n"
        assert answer.json["warning"] == "Ignored the argument(s) ['bar', 'foo'], which 'variables' does not have"

    @pytest.mark.parametrize("spelling", ["dry_run", "dryrun", "dry-run"])
    @pytest.mark.parametrize("tick", ["on", "", "true"])
    def test_a_dry_run_of_clear(self, web: Any, spelling: str, tick: str) -> None:
        """The old plugin did not have it; whoever sends it must not lose the states of all tasks."""
        native_api.call("trigger_dag", dag_id="wire_dag", run_id="r")
        set_state("wire_dag", "r", "extract", "success")
        answer = web.legacy("clear", dag_id="wire_dag", **{spelling: tick})
        lines = stdout(answer).splitlines()
        assert lines[0] == "You are about to delete these 3 tasks:"
        assert lines[1] == "<TaskInstance: wire_dag.extract r [success]>"
        assert (answer.json["result"]["dry_run"], answer.json["airflow_cmd"]) == (True, None)
        assert "warning" not in answer.json
        assert native_api.call("task_state", dag_id="wire_dag", run_id="r", task_id="extract")["state"] == "success"

    @pytest.mark.parametrize("arguments", [{}, {"dry_run": "off"}])
    def test_clear_clears_by_default(self, web: Any, arguments: Any) -> None:
        """As it did, where the typed operation asks for dry_run=false."""
        native_api.call("trigger_dag", dag_id="wire_dag", run_id="r")
        set_state("wire_dag", "r", "extract", "success")
        answer = web.legacy("clear", dag_id="wire_dag", task_regex="extract", **arguments)
        assert (stdout(answer), answer.json["result"]["dry_run"]) == ("", False)
        assert native_api.call("task_state", dag_id="wire_dag", run_id="r", task_id="extract")["state"] is None

    def test_every_name_understands_a_dry_run(self) -> None:
        """In each spelling, if its operation has one."""
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

    def test_an_argument_in_two_spellings(self, web: Any) -> None:
        """Neither is taken for the other."""
        answer = web.legacy("clear", dag_id="wire_dag", dry_run="on", dryrun="off")
        assert (answer.status, "dry_run" in answer.json["output"]) == (400, True)

    def test_arguments_that_only_the_operation_has(self, web: Any) -> None:
        """They are passed on: of a query string, a form, more than once, and instead of what is the default."""
        for key in ("a", "b", "c"):
            native_api.call("set_variable", key=key, value="v")
        assert stdout(web.legacy("variables", order_by="-key", limit="2")) == "c\nb\n"
        for number in (1, 2):
            native_api.call("trigger_dag", dag_id="wire_dag", run_id=f"r{number}", logical_date=f"2026-11-0{number}")
        query = {"api": "clear", "dag_id": "wire_dag", "task_ids": ["extract", "load"], "run-id": "r1"}
        answer = web.request("POST", PATH, query=query, form={"dry_run": "on"})
        named = [(ti["run_id"], ti["task_id"]) for ti in answer.json["result"]["task_instances"]]
        assert named == [("r1", "extract"), ("r1", "load")]

    @pytest.mark.parametrize("value, says", [("maybe", "dry_run"), ("2", "dry_run")])
    def test_one_that_the_operation_does_not_take(self, web: Any, value: str, says: str) -> None:
        answer = web.legacy("clear", dag_id="wire_dag", dry_run=value)
        assert (answer.status, says in answer.json["output"]) == (400, True)

    def test_one_that_the_name_has_by_another_word(self, web: Any) -> None:
        """The word of the old protocol holds, and the other is named as ignored."""
        answer = web.legacy("pool", cmd="set", pool_name="p", slot_count="1", name="q")
        assert answer.json["result"]["name"] == "p"
        assert answer.json["warning"] == "Ignored the argument(s) ['name'], which 'pool' does not have"

    def test_a_run_by_its_logical_date(self, web: Any) -> None:
        """Which Airflow 3 calls so."""
        web.legacy("trigger_dag", dag_id="wire_dag", logical_date="2026-11-01")
        assert stdout(web.legacy("dag_state", dag_id="wire_dag", logical_date="2026-11-01")) == "queued\n"

    def test_secrets_that_are_passed_on_are_not_shown(self, web: Any) -> None:
        answer = web.legacy(
            "connections", add="on", conn_id="c", conn_type="http", password="hunter2", extra='{"token": "hunter2"}'
        )
        assert answer.status == 200
        assert "hunter2" not in answer.text
        assert native_api.call("get_connection", conn_id="c")["password"] == "hunter2"

    def test_the_name_may_be_in_capitals_and_have_spaces(self, web: Any) -> None:
        """As it might."""
        assert web.legacy(" Version ").status == 200

    @pytest.mark.parametrize("api", [None, "", " "])
    def test_no_name(self, web: Any, api: Any) -> None:
        answer = web.request("GET", PATH, query={} if api is None else {"api": api})
        assert (answer.status, answer.json["output"]) == (400, "API should be provided")

    @pytest.mark.parametrize("name", ["dag_id", "dag_id="])
    def test_a_missing_argument(self, web: Any, name: str) -> None:
        answer = web.request("GET", PATH, query="api=pause" + ("&dag_id=" if "=" in name else ""))
        assert (answer.status, answer.json["output"]) == (400, "The argument(s) ['dag_id'] are required")

    def test_an_unknown_dag(self, web: Any) -> None:
        answer = web.legacy("unpause", dag_id="nope")
        assert (answer.status, answer.json["output"]) == (400, "The DAG ID 'nope' does not exist")

    @pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH"])
    def test_other_methods(self, web: Any, method: str) -> None:
        answer = web.request(method, PATH, query={"api": "version"})
        assert (answer.status, answer.json["status"]) == (405, "ERROR")

    def test_no_credentials(self, web: Any) -> None:
        """A named difference: credentials are required. The envelope shows nothing of what was sent."""
        answer = web.legacy("version", login=None)
        assert (answer.status, answer.json["status"], answer.json["http_response_code"]) == (401, "ERROR", 401)
        assert "arguments" not in answer.json

    def test_a_wrong_token(self, web: Any) -> None:
        """The old plugin's own answer."""
        answer = web.request("GET", PATH, login=None, query="api=version", headers={"rest-api-plugin-http-token": "x"})
        assert (answer.status, answer.json["output"]) == (403, "Token Authentication Failed")
        assert "arguments" not in answer.json

    def test_an_address_beside(self, web: Any) -> None:
        """Other addresses below the prefix answer in the shape of the face."""
        answer = web.request("GET", "/admin/rest_api/apis")
        assert (answer.status, answer.json["status"]) == (404, "ERROR")


class TestVariables:
    def test_the_older_way_to_set(self, web: Any) -> None:
        """``set=KEY VALUE`` beside ``cmd=set``; the value may have spaces."""
        assert stdout(web.legacy("variables", set="k some value")) == ""
        assert native_api.call("get_variable", key="k")["value"] == "some value"

    @pytest.mark.parametrize("value", ["", " ", "a b", "a&b=c", "+ %20 %", '{"a": 1}', "ümlaut 世界 ✓", "None", "x\ny"])
    def test_every_value_survives(self, web: Any, value: str) -> None:
        """What is set is what is got, to the letter."""
        assert stdout(web.legacy("variables", cmd="set", key="k", value=value)) == ""
        assert stdout(web.legacy("variables", get="k")) == f"{value}\n"

    @pytest.mark.parametrize("arguments", [{"key": "k"}, {"value": "v"}, {}])
    def test_set_without_key_or_value(self, web: Any, arguments: Any) -> None:
        answer = web.legacy("variables", cmd="set", **arguments)
        assert (answer.status, answer.json["output"]) == (400, "The argument(s) ['key', 'value'] are required")

    @pytest.mark.parametrize("tick, text", [("on", "[1]\n"), ("", "[1]\n"), ("true", "[1]\n"), ("off", "[ 1 ]\n")])
    def test_checkbox(self, web: Any, tick: str, text: str) -> None:
        """A named difference: off means off."""
        native_api.call("set_variable", key="k", value="[ 1 ]")
        assert stdout(web.legacy("variables", get="k", json=tick)) == text

    def test_a_checkbox_that_says_something_else(self, web: Any) -> None:
        assert web.legacy("variables", get="k", json="maybe").status == 400

    def test_json_of_what_is_no_json(self, web: Any) -> None:
        native_api.call("set_variable", key="k", value="{")
        answer = web.legacy("variables", get="k", json="on")
        assert answer.status == 400
        assert "is not JSON" in answer.json["output"]

    def test_delete_of_what_is_not_there(self, web: Any) -> None:
        """The command line said nothing and did not fail."""
        assert stdout(web.legacy("variables", delete="nope")) == ""

    def test_a_list_is_whole(self, web: Any) -> None:
        """The old protocol has no pages."""
        with web_session() as session:
            from airflow.models.variable import Variable

            session.add_all(Variable(key=f"k{number:04}", val="v") for number in range(1200))
        assert len(stdout(web.legacy("variables")).splitlines()) == 1200

    def test_a_sensitive_value_is_masked_wherever_it_is_shown(self, web: Any) -> None:
        """In the command, in the arguments that come back, in the result; the variable holds the truth."""
        answer = web.legacy("variables", cmd="set", key="db_password", value="s3cr3t-value")
        assert answer.status == 200
        assert "s3cr3t-value" not in answer.text
        assert answer.json["airflow_cmd"] == "airflow variables set db_password '***'"
        older = web.legacy("variables", set="db_password s3cr3t-value")
        assert "s3cr3t-value" not in older.text
        assert stdout(web.legacy("variables", get="db_password")) == "s3cr3t-value\n"

    def test_the_command_is_quoted_for_a_shell(self, web: Any) -> None:
        answer = web.legacy("variables", cmd="set", key="k", value="a 'b'; rm -rf x")
        assert answer.json["airflow_cmd"] == """airflow variables set k 'a '"'"'b'"'"'; rm -rf x'"""


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
    def test_a_date_in_every_form(self, web: Any, date: str) -> None:
        """The same moment, however it is written."""
        text = stdout(web.legacy("trigger_dag", dag_id="wire_dag", run_id="r", exec_date=date))
        assert text == "Created <DagRun wire_dag @ 2026-11-01T01:02:03+00:00: r, externally triggered: True>\n"
        assert stdout(web.legacy("dag_state", dag_id="wire_dag", execution_date=date)) == "queued\n"

    def test_a_date_whose_plus_was_not_escaped(self, web: Any) -> None:
        """A query string makes a space of it."""
        stdout(web.request("GET", PATH, query="api=trigger_dag&dag_id=wire_dag&exec_date=2026-11-01T01:02:03+00:00"))
        assert native_api.call("dag_state", dag_id="wire_dag", logical_date="2026-11-01T01:02:03+00:00")

    def test_microseconds_are_kept(self, web: Any) -> None:
        date = "2026-11-01T01:02:03.000456"
        answer = web.legacy("trigger_dag", dag_id="wire_dag", exec_date=date)
        assert answer.json["result"]["logical_date"] == f"{date}+00:00"
        assert stdout(web.legacy("dag_state", dag_id="wire_dag", execution_date=date)) == "queued\n"
        assert stdout(web.legacy("dag_state", dag_id="wire_dag", execution_date=date[:19])) == "None\n"

    @pytest.mark.parametrize("escaped", ["%2B00:00", "+00:00"])
    def test_a_plus_in_a_run_id(self, web: Any, escaped: str) -> None:
        """Escaped or not, the id with a plus is meant: a run's id has no spaces."""
        stdout(web.request("GET", PATH, query=f"api=trigger_dag&dag_id=wire_dag&run_id=manual__x{escaped}"))
        assert native_api.call("dag_state", dag_id="wire_dag", run_id="manual__x+00:00")["state"] == "queued"
        again = web.request("GET", PATH, query=f"api=dag_state&dag_id=wire_dag&run_id=manual__x{escaped}")
        assert stdout(again) == "queued\n"

    def test_a_percent_in_a_run_id(self, web: Any, monkeypatch: Any) -> None:
        """It is decoded once, where the deployer allows such ids."""
        monkeypatch.setenv("AIRFLOW__SCHEDULER__ALLOWED_RUN_ID_PATTERN", "^[a-z0-9%+ ]+$")
        for escaped, run_id in (("50%25", "50%"), ("50%2525", "50%25"), ("a%2Bb", "a+b"), ("a+b", "a b")):
            answer = web.request("GET", PATH, query=f"api=trigger_dag&dag_id=wire_dag&run_id={escaped}")
            assert answer.json["result"]["run_id"] == run_id
            assert (
                stdout(web.request("GET", PATH, query=f"api=dag_state&dag_id=wire_dag&run_id={escaped}")) == "queued\n"
            )

    def test_the_run_id_comes_back(self, web: Any) -> None:
        """A named difference: the text and the result name the run."""
        answer = web.legacy("trigger_dag", dag_id="wire_dag")
        assert answer.json["result"]["run_id"] in stdout(answer)

    def test_conf(self, web: Any) -> None:
        answer = web.legacy("trigger_dag", dag_id="wire_dag", conf='{"k": "v w"}')
        assert answer.json["result"]["conf"] == {"k": "v w"}
        assert """--conf '{"k": "v w"}'""" in answer.json["airflow_cmd"]

    def test_a_paused_dag(self, web: Any) -> None:
        """It triggers, and the answer says that it waits."""
        answer = web.legacy("trigger_dag", dag_id="wire_dag")
        assert answer.json["result"]["is_paused"] is True
        assert "paused" in answer.json["warning"]

    def test_a_run_id_before_a_date(self, web: Any) -> None:
        native_api.call("trigger_dag", dag_id="wire_dag", run_id="r", logical_date="2026-11-01")
        answer = web.legacy("dag_state", dag_id="wire_dag", run_id="r", execution_date="2020-01-01")
        assert stdout(answer) == "queued\n"

    def test_neither_a_run_id_nor_a_date(self, web: Any) -> None:
        answer = web.legacy("task_state", dag_id="wire_dag", task_id="extract")
        assert (answer.status, answer.json["output"]) == (400, "The argument(s) ['execution_date'] are required")

    def test_the_state_of_a_task(self, web: Any) -> None:
        native_api.call("trigger_dag", dag_id="wire_dag", run_id="r")
        answer = web.legacy("task_state", dag_id="wire_dag", task_id="extract", run_id="r")
        assert stdout(answer) == "None\n"
        assert answer.json["result"]["state"] is None
        assert answer.json["airflow_cmd"] == "airflow tasks state wire_dag extract r"
        set_state("wire_dag", "r", "extract", "success")
        assert stdout(web.legacy("task_state", dag_id="wire_dag", task_id="extract", run_id="r")) == "success\n"

    def test_nothing_there_has_no_result(self, web: Any) -> None:
        answer = web.legacy("dag_state", dag_id="wire_dag", execution_date="2020-01-01")
        assert stdout(answer) == "None\n"
        assert answer.json["result"] is None


def test_the_result_is_that_of_the_typed_face(web: Any) -> None:
    """New clients of the old protocol need not read text."""
    legacy = web.legacy("list_dags").json["result"]["dags"]
    typed = web.typed("list_dags", limit=1000).json["dags"]
    assert json.dumps(legacy) == json.dumps(typed)
