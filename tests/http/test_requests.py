"""Requests: methods, URLs, and where arguments can be."""

from __future__ import annotations

import io
from typing import Any

import pytest
from werkzeug.datastructures import MultiDict

from native_api import registry
from native_api.effects import Effect
from native_api.http.legacy import protocol
from native_api.http.legacy.protocol import Arguments
from native_api.uploads import Upload
from tests.support.problems import assert_problem

LEGACY = "/admin/rest_api/api"
JSON = {"Content-Type": "application/json"}


@pytest.mark.parametrize("method", ["TRACE", "OPTIONS", "PUT", "PATCH", "DELETE", "PROPFIND", "ANYTHING"])
class TestMethods:
    @pytest.mark.parametrize(
        "path, allowed",
        [
            ("/native_api/v1/list_dags", "GET"),
            ("/native_api/v1/pause_dag", "POST"),
            ("/native_api/openapi.json", "GET"),
            (f"{LEGACY}?api=version", "GET, POST"),
        ],
    )
    def test_another_method_is_405_with_the_allowed_one(self, web: Any, method: str, path: str, allowed: str) -> None:
        """Whatever the method."""
        response = web.request(method, path)
        assert response.status == 405
        assert {name.lower(): value for name, value in response.headers.items()}["allow"] == allowed
        assert allowed in response.json["output" if LEGACY in path else "detail"]

    def test_authentication_has_priority_over_the_method(self, web: Any, method: str) -> None:
        assert web.request(method, "/native_api/v1/list_dags", login=None).status == 401
        assert web.request(method, "/native_api/nothing").status == 404


@pytest.mark.parametrize("path", ["/native_api/v1/version/", f"{LEGACY}/?api=version"])
def test_a_trailing_slash_is_accepted(web: Any, path: str) -> None:
    assert web.request("GET", path).status == 200


@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize(
    "path",
    [
        "/native_api//v1/version",
        "/native_api/v1//version",
        "/native_api//health",
        "/native_api//openapi.json",
        "/admin/rest_api//api",
    ],
)
class TestTwoSlashes:
    def test_are_an_error_of_ours(self, web: Any, method: str, path: str) -> None:
        """And no redirect, which would lead to whatever the Host header names."""
        response = web.request(method, path, headers={"Host": "elsewhere.example"})
        assert response.status == 404, response
        assert response.json["code"] == "page_not_found"
        assert "two slashes in a row" in response.json["output" if path.startswith("/admin") else "detail"]

    def test_say_nothing_to_nobody(self, web: Any, method: str, path: str) -> None:
        response = web.request(method, path, login=None)
        assert (response.status, response.json["code"]) == (401, "unauthorized")


class TestJson:
    @pytest.mark.parametrize(
        "body, where",
        [
            pytest.param(b'{"key": "k",\n "value" "v"}', "line 2, column 10", id="a colon is missing"),
            pytest.param(b"{", "line 1, column 2", id="not closed"),
            pytest.param(b'{"key": "\xff"}', "byte 9", id="not UTF-8"),
        ],
    )
    def test_invalid_json_is_400_with_the_position(self, web: Any, body: bytes, where: str) -> None:
        response = web.request("POST", "/native_api/v1/set_variable", body=body, headers=JSON)
        assert response.status == 400
        assert response.json["detail"].startswith("The body is not JSON: ")
        assert where in response.json["detail"]

    @pytest.mark.parametrize("text", ['{"key":"k","value":"v"}', ' {"key":"k","value":"a=b"}', '{"key":"a&b"}'])
    def test_json_that_is_sent_as_a_form_is_recognized(self, web: Any, text: str) -> None:
        """curl sends it so by default."""
        form = {"Content-Type": "application/x-www-form-urlencoded"}
        response = web.request("POST", "/native_api/v1/set_variable", body=text.encode(), headers=form)
        assert response.status == 400
        assert "Content-Type: application/json" in response.json["detail"]

    @pytest.mark.parametrize("kind", ["application/json", "application/x-www-form-urlencoded"])
    def test_the_old_protocol_ignores_json_with_a_warning(self, web: Any, kind: str) -> None:
        for query, status in (({"api": "version"}, 200), ({"api": "pause"}, 400)):
            response = web.request("POST", LEGACY, query=query, body=b'{"dag_id":"x"}', headers={"Content-Type": kind})
            assert response.status == status
            assert response.json["warning"] == (
                "Ignored the body, which is JSON: arguments are sent in the query string or as a form"
            )


class TestQueryOfAPost:
    """Clients of airflow-rest-api-plugin send arguments in the query string of a POST."""

    def test_the_arguments_are_read(self, web: Any) -> None:
        response = web.request("POST", "/native_api/v1/trigger_dag", query={"dag_id": "wire_dag", "run_id": "r"})
        assert response.status == 201, response
        assert response.json["run_id"] == "r"

    def test_a_body_can_have_others(self, web: Any) -> None:
        body = {"conf": {"a": 1}}
        response = web.request("POST", "/native_api/v1/trigger_dag", query={"dag_id": "wire_dag"}, json=body)
        assert response.json["conf"] == {"a": 1}

    @pytest.mark.parametrize("kind", ["json", "form"])
    def test_an_argument_in_both_is_an_error(self, web: Any, kind: str) -> None:
        """Even with the same value: a log of query strings shows only one."""
        web.request("POST", "/native_api/v1/unpause_dag", json={"dag_id": "wire_dag"})
        same = {kind: {"dag_id": "wire_dag"}}
        response = web.request("POST", "/native_api/v1/pause_dag", query={"dag_id": "wire_dag"}, **same)
        assert response.status == 422
        assert response.json["errors"] == {"dag_id": ["Is in the query string and in the body."]}

    @pytest.mark.parametrize(
        "operation, query",
        [
            ("set_variable", {"key": "k", "value": "v"}),
            ("add_connection", {"conn_id": "c", "password": "hunter2"}),
            ("add_connection", {"conn_id": "c", "conn_uri": "http://u:hunter2@host"}),
            ("import_variables", {"variables": "{}"}),
        ],
    )
    def test_an_argument_that_can_be_secret_must_be_in_the_body(self, web: Any, operation: str, query: Any) -> None:
        """Servers and proxies log query strings."""
        response = web.request("POST", f"/native_api/v1/{operation}", query=query)
        *_, secret = query
        assert response.status == 422
        assert response.json["errors"][secret] == ["Send it in the body: servers log query strings."]

    @pytest.mark.parametrize(
        "operation", [pytest.param(each, id=each.name) for each in registry.every() if each.effect is not Effect.READ]
    )
    def test_an_unknown_argument_is_an_error(self, web: Any, operation: registry.Operation) -> None:
        response = web.request("POST", f"/native_api/v1/{operation.name}", query={"no_such": "x"}, login="admin")
        assert response.status == 422, response
        assert "no_such" in response.json["errors"]


def test_a_legacy_name_calls_the_operation_that_it_declares(airflow: Any) -> None:
    """Its permission is checked before the arguments are read."""
    sent = MultiDict({"dag_id": "d", "task_id": "t", "execution_date": "2026-01-01", "start_date": "2026-01-01"})
    arguments = Arguments(sent, MultiDict(), {"dag_file": Upload(io.BytesIO(b""), "d.py")})
    declared = {name: each.operation for name, each in protocol.every().items() if each.operation}
    assert declared == {name: protocol.every()[name].plan(arguments).operation for name in declared}
    assert set(protocol.every()) - set(declared) == {"variables", "connections", "pool", "list_dags"}


@pytest.mark.parametrize("path", ["/native_api/v1/pause_dag", f"{LEGACY}?api=version"])
def test_a_form_has_a_maximum_number_of_fields(web: Any, path: str) -> None:
    """The old protocol returns each; a form of 10 MiB would take a minute."""
    for count, expected in ((1000, (200, 422)), (1001, (413,))):
        response = web.request("POST", path, form={f"k{number}": number for number in range(count)})
        assert response.status in expected


class TestAccept:
    @pytest.mark.parametrize(
        "accept",
        ["*/*", "application/json", "application/*;q=0.5", "text/html,*/*;q=0.1", "application/problem+json", " "],
    )
    def test_a_header_that_includes_json_is_accepted(self, web: Any, accept: str) -> None:
        assert web.request("GET", "/native_api/v1/version", headers={"Accept": accept}).status == 200

    @pytest.mark.parametrize("accept", ["text/html", "application/xml, text/*;q=0.8", "application/json;q=0"])
    def test_a_header_that_excludes_json_is_406(self, web: Any, accept: str) -> None:
        """The call has no effect, and the error is JSON."""
        headers, body = {"Accept": accept}, {"key": "refused", "value": "1"}
        response = web.request("POST", "/native_api/v1/set_variable", json=body, headers=headers)
        assert_problem(response, 406)
        assert response.json["code"] == "not_acceptable"
        assert web.typed("get_variable", key="refused").status == 404
        assert_problem(web.request("GET", "/native_api/openapi.json", headers=headers), 406)

    def test_the_old_protocol_ignores_the_header(self, web: Any) -> None:
        """As its predecessor did."""
        headers = {"Accept": "text/html"}
        assert web.request("GET", "/admin/rest_api/api", query={"api": "version"}, headers=headers).status == 200
