"""Whatever Airflow's tables contain, lists, exports and the old protocol work."""

from __future__ import annotations

import json
from typing import Any, Dict, List

import pytest

import native_api
from native_api import errors
from tests.support import airflow_under_test
from tests.support.problems import assert_envelope, assert_problem


def nested(levels: int) -> str:
    """Return the text of that many nested arrays."""
    return "[" * levels + "]" * levels


#: What no reader of JSON likes.
ODD_TEXTS = [
    pytest.param(nested(560), id="nested deeply"),
    pytest.param(nested(100_000), id="nested more deeply than any reader takes"),
    pytest.param('{"password": ' + "9" * 5000 + "}", id="a number of 5000 digits"),
    pytest.param('{"a": NaN}', id="no number"),
    pytest.param("[" * 5000, id="no JSON"),
    pytest.param('{"a": "\\ud800"}', id="half a character"),
    pytest.param("\ufeff{}", id="a byte order mark"),
]


def lists_of_variables(web: Any) -> None:
    """Assert that everything that lists variables works."""
    assert web.typed("list_variables").status == 200
    assert web.legacy("variables").status == 200
    assert web.typed("export_variables").status == 200
    assert native_api.call("save_variables", file="odd.json")["total_entries"] >= 1


class TestVariables:
    @pytest.mark.parametrize("text", ODD_TEXTS)
    def test_odd_values_are_listed_exported_and_imported_verbatim(self, web: Any, text: str) -> None:
        assert web.typed("set_variable", key="odd", value=text).status == 201
        lists_of_variables(web)
        exported = web.typed("export_variables").json
        assert native_api.call("get_variable", key="odd")["value"] == text
        native_api.call("delete_variable", key="odd")
        assert web.request("POST", "/native_api/v1/import_variables", json=exported).status == 201
        assert native_api.call("get_variable", key="odd")["value"] == text

    def test_a_value_that_is_nested_too_deeply_is_masked(self, web: Any) -> None:
        """It can contain a password."""
        native_api.call("set_variable", key="deep", value='{"password": "hunter2", "a": ' + nested(5000) + "}")
        native_api.call("set_variable", key="long", value='{"password": "hunter2", "a": ' + "9" * 5000 + "}")
        response = web.typed("list_variables")
        assert [variable["value"] for variable in response.json["variables"]] == ["***", "***"]
        assert_problem(web.typed("get_variable", login="viewer", key="deep"), 403)

    @pytest.mark.parametrize("stored", ["no token", "gAAAAA", "ü", ""])
    def test_a_value_that_cannot_be_decrypted_is_listed(self, web: Any, stored: str) -> None:
        """An export omits it with a warning, and is refused if the Fernet key is lost."""
        from airflow.models.variable import Variable

        native_api.call("set_variable", key="broken", value="x")
        with airflow_under_test.session() as session:
            session.query(Variable).update({"_val": stored, "is_encrypted": True}, synchronize_session=False)
        assert_problem(web.typed("export_variables"), 409)
        assert_problem(web.typed("save_variables", file="odd.json"), 409)
        native_api.call("set_variable", key="whole", value="x")
        lists_of_variables(web)
        exported = web.typed("export_variables").json
        assert exported["variables"] == {"whole": "x"}
        assert exported["warnings"] == ["Omitted these variables, which cannot be decrypted: broken."]
        assert web.request("POST", "/native_api/v1/import_variables", json=exported).status == 200


class TestConnections:
    def store(self, **columns: Any) -> None:
        native_api.call("add_connection", conn_id="odd", conn_type="http", password="p", extra={"a": 1})
        native_api.call("add_connection", conn_id="whole", conn_type="http", password="p")
        self.break_it(**columns)

    def break_it(self, **columns: Any) -> None:
        from airflow.models.connection import Connection

        with airflow_under_test.session() as session:
            row = session.query(Connection).filter(Connection.conn_id == "odd")
            row.update(columns, synchronize_session=False)

    def lists(self, web: Any) -> List[Dict[str, Any]]:
        assert web.legacy("connections", list="on").status == 200
        exported = web.typed("export_connections")
        assert exported.status == 200, exported.text
        assert "whole" in exported.json["connections"]
        listed: List[Dict[str, Any]] = web.typed("list_connections").json["connections"]
        return listed

    @pytest.mark.parametrize("text", ODD_TEXTS)
    def test_odd_extras_are_listed(self, web: Any, text: str) -> None:
        self.store(_extra=text, is_extra_encrypted=False)
        self.lists(web)

    @pytest.mark.parametrize("stored", ["no token", "gAAAAA", "ü"])
    def test_a_password_that_cannot_be_decrypted_is_masked(self, web: Any, stored: str) -> None:
        self.store(_password=stored, is_encrypted=True, _extra=stored, is_extra_encrypted=True)
        odd, _ = self.lists(web)
        assert (odd["password"], odd["extra"]) == ("***", "***")
        assert "odd" in web.typed("export_connections").json["warnings"][0]
        assert_problem(web.typed("get_connection", conn_id="odd"), 409)
        assert web.typed("add_connection", conn_id="odd", conn_type="http", replace=True).status == 200
        self.break_it(_password=stored, is_encrypted=True)
        assert web.typed("delete_connection", conn_id="odd").status == 200

    def test_a_long_password_is_exported_and_imported(self, web: Any) -> None:
        """Certificates are passwords, too."""
        from airflow.models.connection import Connection

        if getattr(Connection.__table__.c.password.type, "length", None):
            pytest.skip("the column of this Airflow is shorter")
        native_api.call("add_connection", conn_id="long", conn_type="http", password="p" * 20_000)
        exported = native_api.call("export_connections")["connections"]
        native_api.call("delete_connection", conn_id="long")
        native_api.call("import_connections", connections=exported)
        assert native_api.call("get_connection", conn_id="long")["password"] == "p" * 20_000

    def test_a_connection_without_type_is_listed(self, web: Any) -> None:
        self.store(conn_type="", port=None, _password="", _extra="")
        self.lists(web)


class TestRuns:
    @pytest.mark.parametrize(
        "conf",
        [
            pytest.param([1, 2], id="a list"),
            pytest.param("text", id="a text"),
            pytest.param({"a": json.loads(nested(300))}, id="nested deeply"),
            pytest.param({"a": float("inf")}, id="no number"),
            pytest.param({"a": "\ud800"}, id="half a character"),
            pytest.param({"a": {"b": nested(100_000)}}, id="a text that cannot be looked into"),
        ],
    )
    def test_odd_confs_are_listed(self, web: Any, conf: Any) -> None:
        from airflow.models.dagrun import DagRun

        native_api.call("trigger_dag", dag_id="wire_dag", run_id="r1")
        with airflow_under_test.session() as session:
            try:
                session.query(DagRun).update({"conf": conf}, synchronize_session=False)
                session.commit()
            except Exception:
                session.rollback()
                pytest.skip("this database does not hold it")
        for operation in ("list_dag_runs", "dag_state"):
            response = web.typed(operation, dag_id="wire_dag", **({"run_id": "r1"} if operation == "dag_state" else {}))
            assert response.status == 200, response.text
            json.loads(response.text, parse_constant=pytest.fail)
        assert web.legacy("dag_state", dag_id="wire_dag", run_id="r1").status == 200

    @pytest.mark.parametrize(
        "rendered", [{"a": json.loads(nested(300))}, {"a": nested(100_000)}, [1], {"a": float("inf")}]
    )
    def test_odd_rendered_fields_are_returned(self, web: Any, rendered: Any) -> None:
        native_api.call("trigger_dag", dag_id="wire_dag", run_id="r1")
        airflow_under_test.store_rendered_fields("wire_dag", "r1", "extract", rendered)
        response = web.typed("rendered_fields", dag_id="wire_dag", run_id="r1", task_id="extract")
        assert response.status == 200, response.text
        json.loads(response.text, parse_constant=pytest.fail)


@pytest.mark.parametrize("levels", [300, 100_000])
def test_a_return_value_that_is_nested_too_deeply_is_text(airflow: Any, levels: int) -> None:
    """A shortened repr."""
    from native_api.adapters.sandbox.json_values import json_value
    from native_api.adapters.task_execution.render_job import template_fields_of

    value: List[Any] = []
    for _ in range(levels):
        value = [value]
    itself: List[Any] = []
    itself += [itself, itself]
    assert json_value(value) == {"value": "[[[[[[[...]]]]]]]", "value_is_repr": True}
    assert template_fields_of({"password": value, "a": itself})[0]["text"] == "***"
    assert json_value({"a": [1]}) == {"value": {"a": [1]}, "value_is_repr": False}


class TestNestedArguments:
    """JSON that is nested too deeply is an error, wherever it is sent."""

    @pytest.mark.parametrize("levels", [101, 560, 5000, 100_000])
    def test_a_text_argument_is_422(self, web: Any, levels: int) -> None:
        conf = '{"a": ' + nested(levels) + "}"
        response = web.typed("trigger_dag", dag_id="wire_dag", conf=conf)
        assert_problem(response, 422)
        assert "nested" in response.text
        assert_problem(web.typed("import_variables", variables=conf), 422)
        assert_problem(web.typed("add_connection", conn_id="c", conn_type="http", extra=conf), 422)
        if levels < 10_000:
            assert_envelope(web.legacy("trigger_dag", dag_id="wire_dag", conf=conf), 400)

    @pytest.mark.parametrize("levels", [101, 560, 5000, 100_000])
    def test_a_body_is_400_or_422(self, web: Any, levels: int) -> None:
        body = '{"key": "k", "value": ' + nested(levels) + "}"
        response = web.request("POST", "/native_api/v1/set_variable", body=body.encode())
        assert response.status in (400, 422)
        assert_problem(response, response.status)
        assert "nested" in response.json["detail"]

    @pytest.mark.parametrize("levels", [101, 5000, 100_000])
    def test_a_file_is_invalid(self, web: Any, levels: int) -> None:
        from native_api.adapters import server_files

        server_files.replace("deep.json", f'{{"k": {nested(levels)}}}'.encode())
        with pytest.raises(errors.Invalid, match="nested"):
            native_api.call("import_variables", file="deep.json")

    def test_the_maximum_depth_is_accepted(self, web: Any) -> None:
        assert web.typed("trigger_dag", dag_id="wire_dag", run_id="r", conf='{"a": ' + nested(98) + "}").status == 201
        assert web.typed("set_variable", key="k", value=json.loads(nested(99))).status == 201

    @pytest.mark.parametrize("levels", [200, 5000])
    def test_an_unknown_argument_of_the_old_protocol_is_returned(self, web: Any, levels: int) -> None:
        """With secrets masked."""
        response = web.legacy("version", note=nested(levels))
        assert response.status == 200
        assert response.json["arguments"]["note"].strip('[]"') == "***"
