"""The exchanges recorded from airflow-rest-api-plugin 1.0.9 are repeated; only documented differences are allowed."""

from __future__ import annotations

import json
import re
from email.utils import parsedate_to_datetime
from typing import Any, Dict, List

import pytest

import native_api
from native_api import settings
from native_api.adapters import server_files
from tests.support import airflow_under_test
from tests.support.wire import EXCHANGES

#: The old plugin answered 200 with a traceback or a usage text; here it is the error's own status.
REFUSED = {36: 400, 52: 400, 59: 404, 72: 400, 75: 409}

#: What an Airflow of today, or this plugin, says in other words.
OWN_WORDS = {
    0: "another version of Airflow",
    1: "another version of the plugin",
    14: "a password in a URI is masked",
    17: "other connections, and their extras masked in place of the encrypted text",
    26: "other example DAGs",
    28: "other example DAGs",
    29: "other example DAGs",
    44: "the task's log, which the old plugin lost, and another host",
    45: "another host",
    49: "another task in the example DAG",
    50: "it returns before the end, with the URL of its state",
    40: "other dependencies than in 1.10, sorted, and a paused DAG",
    41: "other template fields than in 1.10",
    42: "the task's log, which the old plugin lost",
    43: "the task's log, which the old plugin lost",
    60: "other dependencies than in 1.10, sorted, and a paused DAG",
    61: "other dependencies than in 1.10, sorted, and a paused DAG",
    62: "other template fields than in 1.10",
    63: "the task's log, which the old plugin lost",
    64: "a task that fails is no success",
    65: "the task's log, which the old plugin lost, and another host",
    76: "a run that was just triggered is queued first, since Airflow 2.1",
}

#: What follows from a step that is refused or not there yet, or from the recorded Airflow's own example DAGs.
NOT_SENT = {
    54: "reads all examples; tests/dags/test_refresh.py has the text",
    27: "reads all examples; tests/dags/test_report.py has the text",
    34: "the example's start date was two days before the recording",
    35: "the example's start date was two days before the recording",
}


#: Since the old plugin needed no run to run a task, the date was free.
DELETED_FIRST = {74: {"dag_id": "wire_dag", "logical_date": "2026-11-01T00:00:00"}}


@pytest.fixture(scope="module")
def responses(site: Any) -> Dict[int, Any]:
    """Repeat the exchanges in order, and return the responses by number."""
    airflow_under_test.clean()
    server_files.replace("vars_import.json", b'{"imp1": "one", "imp2": {"b": 2}}')
    sent = {}
    for number, exchange in enumerate(EXCHANGES):
        if number in NOT_SENT:
            continue
        if number in DELETED_FIRST:
            native_api.call("delete_dag_run", **DELETED_FIRST[number])
        sent[number] = site.request("GET", "/admin/rest_api/api", query=in_our_folder(exchange["request"]))
    airflow_under_test.clean()
    return sent


def in_our_folder(recorded: Any) -> Any:
    """Return a recorded text with the path of our files_dir."""
    return json.loads(json.dumps(recorded).replace("<files>", settings.get("files_dir")))


def kept() -> List[Any]:
    """Return the exchanges whose response equals the recorded one, as parameters."""
    special = {*REFUSED, *OWN_WORDS, *NOT_SENT}
    return [number for number in range(len(EXCHANGES)) if number not in special]


def title(number: int) -> str:
    request = dict(EXCHANGES[number]["request"])
    return f"{number}-{request.pop('api')}-" + "-".join(f"{name}={str(value)[:20]}" for name, value in request.items())


@pytest.mark.parametrize("number", kept(), ids=title)
def test_an_exchange_is_as_recorded(number: int, responses: Dict[int, Any]) -> None:
    """The status, the keys, the type of the output and its text are equal."""
    recorded, response = EXCHANGES[number], responses[number]
    body = response.json
    assert response.status == body["http_response_code"] == recorded["http_status"]
    assert body["status"] == ("OK" if recorded["http_status"] == 200 else "ERROR")
    if "envelope_keys" in recorded:
        new = {"result"} if body["status"] == "OK" else {"code"}
        assert set(body) == {*recorded["envelope_keys"], *new}
    if "stdout" in recorded:
        assert body["output"] == {"stdin": "", "stdout": in_our_folder(recorded["stdout"]), "stderr": ""}
    else:
        assert body["output"] == recorded["output"]


@pytest.mark.parametrize("number", REFUSED, ids=title)
def test_a_traceback_has_become_a_sentence(number: int, responses: Dict[int, Any]) -> None:
    """Where the recorded command failed, the response is 4xx with one clear sentence."""
    response = responses[number]
    assert response.status == response.json["http_response_code"] == REFUSED[number]
    assert response.json["status"] == "ERROR"
    assert isinstance(response.json["output"], str)
    assert "\n" not in response.json["output"]
    assert "Traceback" not in response.text
    assert "result" not in response.json


def test_most_responses_equal_the_recorded_ones() -> None:
    """Documented differences are the exception."""
    assert (len(kept()), len(EXCHANGES)) == (47, 78)


def test_differences_are_limited_to_the_documented_ones(responses: Dict[int, Any]) -> None:
    assert responses[0].json["output"] == native_api.call("version")["version"]
    assert responses[1].json["output"] == native_api.__version__
    assert responses[76].json["output"]["stdout"] == "queued\n"
    added = responses[14].json["output"]["stdout"]
    assert added == EXCHANGES[14]["stdout"].replace("p%40ss", "***")
    assert [line.split()[1] for line in responses[17].json["output"]["stdout"].splitlines()[3::2]] == [
        "'my_pg'",
        "'my_http'",
    ]
    ids = [dag["dag_id"] for dag in responses[26].json["result"]["dags"]]
    assert len(ids) > 30
    rule = "-" * 67
    listed = "\n".join(ids)
    assert responses[26].json["output"]["stdout"] == f"\n\n{rule}\nDAGS\n{rule}\n{listed}\n\n"
    frame = re.compile(r"\A(.*DAGS\n-+\n).*(\n\n)\Z", re.DOTALL)
    assert frame.sub(r"\1\2", responses[26].json["output"]["stdout"]) == frame.sub(r"\1\2", EXCHANGES[26]["stdout"])


def test_the_output_of_tasks_has_the_recorded_format(responses: Dict[int, Any]) -> None:
    assert "runme_0\nrunme_1\nrunme_2\n" in responses[28].json["output"]["stdout"]
    for line in responses[29].json["output"]["stdout"].splitlines():
        assert re.fullmatch(r"(    )*<Task\((BashOperator|EmptyOperator)\): \w+>", line)
    for number in (40, 60, 61):
        text, recorded = responses[number].json["output"]["stdout"], EXCHANGES[number]["stdout"]
        assert text.splitlines()[0] == recorded.splitlines()[0]
        unmet = "Dagrun Running: Task instance's dagrun did not exist: Unknown reason.\n"
        assert unmet in text
        assert unmet in recorded
    assert (
        "Trigger Rule: Task's trigger rule 'all_success' requires all upstream tasks"
        in responses[61].json["output"]["stdout"]
    )


def test_the_output_of_backfills_has_the_recorded_format(responses: Dict[int, Any]) -> None:
    """A backfill prints nothing and has a URL for its state."""
    first, *tasks = responses[49].json["output"]["stdout"].splitlines()
    recorded = EXCHANGES[49]["stdout"].splitlines()
    assert first == recorded[0]
    assert set(recorded[1:]) <= set(tasks)
    body = responses[50].json
    assert (body["status"], body["output"]) == ("OK", {"stdin": "", "stdout": "", "stderr": ""})
    assert set(body) == {*EXCHANGES[50]["envelope_keys"], "result", "warning"}
    assert body["result"]["url"] in body["warning"]
    assert body["result"]["url"].endswith(f"backfill_state?backfill_id={body['result']['backfill_id']}")


def test_the_output_of_render_has_the_recorded_format(responses: Dict[int, Any]) -> None:
    """A heading and the value of each template field."""
    rule = "# " + "-" * 58
    for number in (41, 62):
        text, recorded = responses[number].json["output"]["stdout"], EXCHANGES[number]["stdout"]
        assert text.splitlines()[:3] == recorded.splitlines()[:3]
        fields = responses[number].json["result"]["template_fields"]
        assert text == "".join(f"{rule}\n# property: {f['name']}\n{rule}\n{f['text']}\n\n" for f in fields)
    assert "\necho extract 2026-11-01" in responses[62].json["output"]["stdout"]


def test_the_output_of_test_is_the_log(responses: Dict[int, Any]) -> None:
    """A failed task is not 200 and has the recorded exception."""
    for number in (42, 43, 63):
        assert responses[number].status == EXCHANGES[number]["http_status"] == 200
        assert set(responses[number].json) == {*EXCHANGES[number]["envelope_keys"], "result"}
        output = responses[number].json["output"]
        assert output == {"stdin": "", "stdout": responses[number].json["result"]["log"], "stderr": ""}
    assert responses[64].status == responses[64].json["http_response_code"] == 422
    said = EXCHANGES[64]["stderr_last_line"].replace("airflow.exceptions.", "")
    assert responses[64].json["output"]["stderr"].startswith(said)
    assert "Traceback" in responses[64].json["output"]["stdout"]


def test_the_output_of_run_has_the_recorded_line(responses: Dict[int, Any]) -> None:
    """Except for the hostname; the log of the task follows."""
    for number in (44, 45, 65):
        assert responses[number].status == EXCHANGES[number]["http_status"] == 200
        assert set(responses[number].json) == {*EXCHANGES[number]["envelope_keys"], "result"}
        line, _, log = responses[number].json["output"]["stdout"].partition("\n")
        assert line.rpartition(" ")[0] == EXCHANGES[number]["stdout"].rstrip().rpartition(" ")[0]
        assert log == (responses[number].json["result"]["log"] or "")
        assert responses[number].json["output"]["stderr"] == ""


def test_the_times_have_the_recorded_format(responses: Dict[int, Any]) -> None:
    """``Sun, 22 Nov 2026 10:48:10 GMT``."""
    for name in ("call_time", "response_time"):
        text = responses[0].json[name]
        assert re.fullmatch(r"[A-Z][a-z]{2}, \d{2} [A-Z][a-z]{2} \d{4} \d{2}:\d{2}:\d{2} GMT", text)
        assert parsedate_to_datetime(text)


def test_the_response_has_the_arguments(responses: Dict[int, Any]) -> None:
    """Also ``api``."""
    assert responses[2].json["arguments"] == EXCHANGES[2]["request"]
    assert responses[2].json["post_arguments"] == {}
