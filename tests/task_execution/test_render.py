"""render_task."""

from __future__ import annotations

import zipfile
from typing import Any, Dict, Iterator

import pytest

import native_api
from native_api import errors
from tests.support import airflow_under_test, dag_runs
from tests.support.dag_files import dag_file
from tests.support.fingerprint import unchanged
from tests.support.versions import by_default_on

pytestmark = by_default_on("2.8", "2.10", "3.0", "3.1", "3.2", "3.4")

DATE = "2026-11-01T00:00:00+00:00"


def rendered(**arguments: Any) -> Dict[str, Any]:
    """Return the template fields by name, and assert that nothing has changed."""
    with unchanged():
        response = native_api.call("render_task", **arguments)
    assert response["log_cut"] is False
    return {field["name"]: field for field in response["template_fields"]}


@pytest.fixture
def known(fresh: Any) -> Any:
    """Return Airflow with a variable and a connection that the templates use."""
    native_api.call("set_variable", key="trial", value="Yes")
    native_api.call("add_connection", conn_id="trial", conn_uri="http://user:topsecret7@my.host/")
    return fresh


def test_templates_can_use_variables_connections_and_macros(known: Any) -> None:
    """Each field is a value and a text, for a date without a run."""
    fields = rendered(dag_id="trials", task_id="templates", logical_date=DATE)
    assert [*fields][:2] == ["bash_command", "env"]
    assert fields["bash_command"] == {
        "name": "bash_command",
        "value": "echo Yes my.host 2026-11-02",
        "value_is_repr": False,
        "text": "echo Yes my.host 2026-11-02",
    }
    environment = fields["env"]["value"]
    assert (environment["LAST"], environment["CONF"]) == ("never", "None")
    assert environment["DAY"] in ("2026-10-31", "2026-11-01")
    assert fields["env"]["text"] == str(environment)


def test_the_response_names_the_task_instance(known: Any) -> None:
    response = native_api.call("render_task", dag_id="wire_dag", task_id="extract", execution_date="2026-11-01")
    assert {name: response[name] for name in ("dag_id", "run_id", "task_id", "map_index")} == {
        "dag_id": "wire_dag",
        "run_id": None,
        "task_id": "extract",
        "map_index": -1,
    }
    assert response["logical_date"] == response["execution_date"] == DATE
    assert response["seconds"] > 0


@pytest.mark.parametrize("named", [{"run_id": "real"}, {"logical_date": DATE}])
def test_templates_can_use_the_run(known: Any, named: Any) -> None:
    """Its conf, the previous runs and its XComs."""
    dag_runs.make("trials", "before", "2026-10-30", state="success")
    dag_runs.make("trials", "real", DATE, conf={"word": "hi"}, xcoms={"pushes": {"numbers": [9]}})
    fields = rendered(dag_id="trials", task_id="templates", **named)
    assert fields["env"]["value"]["CONF"] == "hi"
    assert fields["env"]["value"]["LAST"] in ("2026-10-29", "2026-10-30")
    fields = rendered(dag_id="trials", task_id="pulls", **named)
    assert fields["bash_command"]["value"] == "echo {'numbers': [9]}"


def test_an_xcom_is_none_without_a_run(known: Any) -> None:
    fields = rendered(dag_id="trials", task_id="pulls", logical_date=DATE)
    assert fields["bash_command"]["value"] == "echo None"


def test_a_dag_in_a_zip_archive_is_rendered(known: Any) -> None:
    text = (
        "import pendulum\nfrom airflow import DAG\n"
        "try:\n    from airflow.providers.standard.operators.bash import BashOperator\n"
        "except ImportError:\n    from airflow.operators.bash import BashOperator\n"
        "with DAG('zipped', start_date=pendulum.datetime(2024, 1, 1), schedule=None):\n"
        "    BashOperator(task_id='says', bash_command='echo {{ var.value.trial }}')\n"
    )
    path = airflow_under_test.DAGS / "zipped.zip"
    with zipfile.ZipFile(path, "w") as made:
        made.writestr("inside.py", text)
    try:
        native_api.call("refresh_all_dags", subdir=str(path))
        fields = rendered(dag_id="zipped", task_id="says", logical_date=DATE)
        assert fields["bash_command"]["value"] == "echo Yes"
    finally:
        path.unlink()
        native_api.call("delete_dag", dag_id="zipped", force=True)


def test_a_value_that_is_not_json_is_its_repr(known: Any) -> None:
    field = rendered(dag_id="trials", task_id="held", logical_date=DATE)["op_args"]
    assert field["value_is_repr"] is True
    assert "<object object at" in field["value"]
    assert field["text"] == field["value"]


class TestMapped:
    def test_map_index_selects_an_instance(self, known: Any) -> None:
        """Also without a run."""
        fields = rendered(dag_id="mapped", task_id="double", logical_date=DATE, map_index=1)
        assert fields["op_kwargs"]["value"] == {"number": 2}

    def test_a_task_mapped_over_an_xcom_is_rendered(self, known: Any) -> None:
        """Also before the scheduler has expanded it."""
        dag_runs.make("trials", "real", DATE, xcoms={"lists": ["x", "y"]})
        fields = rendered(dag_id="trials", task_id="doubles", run_id="real", map_index=1)
        assert fields["op_kwargs"]["value"] == {"word": "y"}
        with pytest.raises(errors.Invalid, match="from 0 to 1"):
            rendered(dag_id="trials", task_id="doubles", run_id="real", map_index=2)

    def test_a_task_mapped_over_a_missing_xcom_is_refused(self, known: Any) -> None:
        with pytest.raises(errors.Refused, match="depends on its upstream tasks"):
            rendered(dag_id="trials", task_id="doubles", logical_date=DATE, map_index=0)
        dag_runs.make("trials", "real", DATE)
        with pytest.raises(errors.Refused, match="depends on its upstream tasks"):
            rendered(dag_id="trials", task_id="doubles", run_id="real", map_index=0)

    @pytest.mark.parametrize("index", [-1, 3])
    def test_a_map_index_out_of_range_is_invalid(self, known: Any, index: int) -> None:
        with pytest.raises(errors.Invalid, match="from 0 to 2"):
            rendered(dag_id="mapped", task_id="double", logical_date=DATE, map_index=index)

    def test_a_map_index_of_an_unmapped_task_is_invalid(self, known: Any) -> None:
        with pytest.raises(errors.Invalid, match="not mapped"):
            rendered(dag_id="wire_dag", task_id="extract", logical_date=DATE, map_index=0)


@pytest.mark.parametrize(
    "arguments, error",
    [
        ({"run_id": "nope"}, errors.DagRunNotFound),
        ({"task_id": "nope", "logical_date": DATE}, errors.TaskNotFound),
        ({"dag_id": "nope", "logical_date": DATE}, errors.DagNotFound),
        ({}, errors.Invalid),
    ],
)
def test_an_unknown_dag_task_or_run_is_not_found(known: Any, arguments: Any, error: Any) -> None:
    """Before DAG code runs."""
    with pytest.raises(error):
        rendered(**{"dag_id": "wire_dag", "task_id": "extract", **arguments})


def test_a_template_that_raises_an_exception_is_an_error(known: Any) -> None:
    """With the exception, its traceback and the log."""
    with unchanged(), pytest.raises(errors.UserCodeFailed, match="UndefinedError: 'nothing' is undefined") as raised:
        native_api.call("render_task", dag_id="trials", task_id="undefined", logical_date=DATE)
    assert "render_template" in str(raised.value.traceback)


def test_secrets_are_masked(known: Any) -> None:
    native_api.call("set_variable", key="trial_password", value="hunter2hunter2")
    field = rendered(dag_id="trials", task_id="secret", logical_date=DATE)["bash_command"]
    assert field["value"] == field["text"] == "echo *** | rev | rev"


SECRETS = """
import datetime
from airflow import DAG
try:
    from airflow.sdk import BaseOperator
except ImportError:
    from airflow.models.baseoperator import BaseOperator

class Thing:
    def __init__(self, text):
        self.text = text
    def __repr__(self):
        return f"Thing({self.text})"

class Logs(BaseOperator):
    template_fields = ("password", "env", "args", "thing", "plain")

    def __init__(self, password=None, env=None, args=(), plain=None, **kwargs):
        super().__init__(**kwargs)
        self.password, self.env, self.args, self.plain = password, env, args, plain
        self.thing = Thing("")

    def render_template_fields(self, context, jinja_env=None):
        super().render_template_fields(context, jinja_env)
        self.thing = Thing(self.plain)

with DAG("masked", start_date=datetime.datetime(2020, 1, 1), schedule=None):
    Logs(
        task_id="logs",
        password="plainpass-{{ ds }}",
        env={"DB_PASSWORD": "plainenv-{{ ds }}", "HOME": "here-{{ ds }}"},
        args=("a-{{ ds }}", {"api_key": "plainkey"}),
        plain="is {{ var.value.some_api_key }}",
    )
"""


class TestSecrets:
    """Secrets in template fields."""

    @pytest.fixture(scope="class", autouse=True)
    def file(self, airflow: Any) -> Iterator[None]:
        with dag_file("masked", SECRETS):
            yield

    def test_sensitive_names_are_masked_in_value_and_text(self, known: Any) -> None:
        """Keys at any depth, and the field itself; also if the value is not JSON."""
        native_api.call("set_variable", key="some_api_key", value="hunter2hunter2")
        fields = rendered(dag_id="masked", task_id="logs", logical_date=DATE)
        assert fields["password"]["value"] == fields["password"]["text"] == "***"
        assert fields["env"]["value"] == {"DB_PASSWORD": "***", "HOME": "here-2026-11-01"}
        assert fields["env"]["text"] == str(fields["env"]["value"])
        assert fields["args"]["value"] == ["a-2026-11-01", {"api_key": "***"}]
        assert fields["args"]["text"] == "('a-2026-11-01', {'api_key': '***'})"
        assert (fields["thing"]["value"], fields["thing"]["value_is_repr"]) == ("Thing(is ***)", True)
        assert fields["thing"]["text"] == "Thing(is ***)"
        assert fields["plain"]["text"] == "is ***"
        assert "plain" not in str([(field["value"], field["text"]) for field in fields.values()])

    @pytest.mark.parametrize("secret", ["1", "masked", "result", "logs", "template_fields", "value_is_repr", DATE])
    def test_ids_dates_and_field_names_are_not_masked(self, known: Any, secret: str) -> None:
        """If a secret has the same text."""
        native_api.call("set_variable", key="some_api_key", value=secret)
        response = native_api.call("render_task", dag_id="masked", task_id="logs", logical_date=DATE)
        assert (response["dag_id"], response["task_id"], response["logical_date"]) == ("masked", "logs", DATE)
        fields = {field["name"]: field for field in response["template_fields"]}
        assert [*fields] == ["password", "env", "args", "thing", "plain"]
        if len(secret) >= 5 or airflow_under_test.version() < (3, 0):
            assert fields["plain"]["text"] == "is ***"


class TestOldClients:
    def test_the_output_has_the_recorded_format(self, web: Any) -> None:
        response = web.legacy("render", dag_id="wire_dag", task_id="extract", execution_date="2026-11-01T00:00:00")
        rule = "# " + "-" * 58
        text = response.json["output"]["stdout"]
        assert response.json["output"]["stderr"] == ""
        assert text.startswith(f"{rule}\n# property: bash_command\n{rule}\necho extract 2026-11-01")
        assert f"\n\n{rule}\n# property: env\n{rule}\nNone\n\n" in text
        moment = "2026-11-01T00:00:00+00:00"
        assert response.json["airflow_cmd"] == f"airflow tasks render wire_dag extract {moment}"
        assert response.json["result"]["template_fields"][1]["value"] is None

    def test_an_error_is_one_line(self, web: Any) -> None:
        response = web.legacy("render", dag_id="wire_dag", task_id="nope", execution_date="2026-11-01")
        assert (response.status, response.json["output"]) == (404, "Task nope not found in the DAG 'wire_dag'.")


def test_async_returns_202_and_a_job(web: Any) -> None:
    """Its result is the response of the operation."""
    response = web.typed("render_task", dag_id="wire_dag", task_id="extract", logical_date=DATE, **{"async": True})
    assert response.status == 202
    result = dag_runs.result_of(response.json["job_id"])
    assert result["template_fields"][0]["value"].startswith("echo extract 2026-11-01")
    assert result["execution_date"] == DATE


def test_the_audit_log_has_the_call(fresh: Any) -> None:
    native_api.call("render_task", dag_id="wire_dag", task_id="extract", logical_date=DATE)
    (row,) = airflow_under_test.audit_rows()
    assert (row.event, row.dag_id, row.task_id) == ("native_api.render_task", "wire_dag", "extract")
