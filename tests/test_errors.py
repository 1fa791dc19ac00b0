"""The origins of errors, and their responses with each interface."""

from __future__ import annotations

import dataclasses
import logging
import os
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Optional

import pytest
from airflow import settings as airflow_settings
from sqlalchemy import create_engine, event, text
from sqlalchemy.orm import Session

import native_api
from native_api import errors, registry
from tests.servers.processes import eventually
from tests.support import airflow_under_test
from tests.support.problems import assert_envelope, assert_problem
from tests.support.versions import AIRFLOW

LEGACY = {"api": "variables", "get": "k"}
#: What PostgreSQL's driver raises.
DEADLOCK = type("DeadlockDetected", (Exception,), {"pgcode": "40P01"})("deadlock detected")


class TestCodes:
    """The code of an error, which is the same with every interface."""

    def test_a_problem_has_the_code(self, web: Any) -> None:
        response = web.typed("get_variable", key="nope")
        assert_problem(response, 404)
        assert response.json["code"] == "variable_not_found"
        assert web.typed("set_variable").json["code"] == "invalid_arguments"

    def test_a_legacy_response_has_the_code(self, web: Any) -> None:
        response = web.legacy("trigger_dag", dag_id="nope")
        assert_envelope(response, 400)
        assert response.json["code"] == "dag_not_found"

    def test_an_exception_has_the_code(self, web: Any) -> None:
        with pytest.raises(errors.VariableNotFound) as caught:
            native_api.call("get_variable", key="nope")
        assert caught.value.code == "variable_not_found"

    def test_the_openapi_document_has_all_codes(self, web: Any) -> None:
        problem = web.request("GET", "/native_api/openapi.json").json["components"]["schemas"]["Problem"]
        assert "code" in problem["required"]
        assert set(problem["properties"]["code"]["x-extensible-enum"]) == {error.code for error in errors.kinds()}


class TestDatabase:
    @pytest.fixture
    def no_database(self, web: Any, mocker: Any) -> Any:
        """Let SQLAlchemy lose the database after the session is opened."""
        from sqlalchemy.exc import OperationalError

        failure = OperationalError("SELECT 1", {}, Exception("the server is gone"))
        mocker.patch("sqlalchemy.engine.default.DefaultDialect.do_execute", side_effect=failure)
        return web

    def test_an_unavailable_database_is_503(self, no_database: Any) -> None:
        response = no_database.typed("list_variables")
        assert_problem(response, 503)
        assert response.headers.get("Retry-After", response.headers.get("retry-after")) == "5"
        assert "gone" not in response.text

    def test_an_unavailable_database_is_503_in_the_old_protocol(self, no_database: Any) -> None:
        response = no_database.legacy("variables")
        assert_envelope(response, 503)
        assert response.headers.get("Retry-After", response.headers.get("retry-after")) == "5"

    def test_an_unavailable_database_is_an_exception(self, no_database: Any) -> None:
        with pytest.raises(errors.DatabaseUnavailable):
            native_api.call("list_variables")

    def test_a_deadlock_is_repeated(self, web: Any, mocker: Any) -> None:
        """The database has cancelled the transaction, so that nothing is done twice."""
        fail = _fail_on(mocker, "INSERT INTO variable", DEADLOCK, times=2)
        assert web.typed("set_variable", key="k", value="v").status == 201
        assert fail.failures == 2
        assert [row.event for row in airflow_under_test.audit_rows()] == ["native_api.set_variable"]

    def test_a_deadlock_is_503_after_three_tries(self, web: Any, mocker: Any) -> None:
        fail = _fail_on(mocker, "INSERT INTO variable", DEADLOCK)
        response = web.typed("set_variable", key="k", value="v")
        assert_problem(response, 503)
        assert (response.json["code"], fail.failures) == ("database_busy", 3)
        assert response.headers.get("Retry-After", response.headers.get("retry-after")) == "1"
        assert airflow_under_test.audit_rows() == []

    @pytest.mark.parametrize(
        "cause, tries",
        [
            pytest.param(Exception("database is locked"), 3, id="SQLite, which does not let writers take turns"),
            pytest.param(Exception(1205, "Lock wait timeout exceeded"), 1, id="MySQL, after 50 seconds"),
        ],
    )
    def test_a_lock_that_was_waited_for_is_503(self, web: Any, mocker: Any, cause: Exception, tries: int) -> None:
        fail = _fail_on(mocker, "INSERT INTO variable", cause)
        assert web.typed("set_variable", key="k", value="v").json["code"] == "database_busy"
        assert fail.failures == tries

    def test_what_was_committed_is_not_repeated(self, web: Any, mocker: Any, monkeypatch: Any) -> None:
        operation = registry.get("set_variable")

        def commits_first(context: Any, **arguments: Any) -> Any:
            context.session.commit()
            return operation.function(context, **arguments)

        monkeypatch.setitem(
            registry._OPERATIONS, "set_variable", dataclasses.replace(operation, function=commits_first)
        )
        fail = _fail_on(mocker, "INSERT INTO variable", DEADLOCK)
        assert web.typed("set_variable", key="k", value="v").json["code"] == "database_busy"
        assert fail.failures == 1

    def test_a_deadlock_of_postgresql(self, fresh: Any) -> None:
        """Another transaction changes the same variables in the other order."""
        if airflow_under_test.DATABASE not in os.environ:
            pytest.skip("SQLite has one lock")
        native_api.call("import_variables", variables={"a": "0", "b": "0"})
        write = text("UPDATE variable SET description = 'other' WHERE key = :key")
        waiting = text("SELECT count(*) FROM pg_locks WHERE NOT granted")
        engine = create_engine(os.environ[airflow_under_test.DATABASE])
        with ThreadPoolExecutor(1) as threads, Session(engine) as other:
            other.execute(write, {"key": "b"})
            call = threads.submit(
                native_api.call, "import_variables", variables={"a": "1", "b": "1"}, on_conflict="overwrite"
            )
            eventually(lambda: call.done() or other.execute(waiting).scalar(), "the call waits for the lock on b")
            # Its wait began first, and so PostgreSQL cancels it and not this one.
            other.execute(write, {"key": "a"})
            other.rollback()
            call.result()
        assert [native_api.call("get_variable", key=key)["value"] for key in "ab"] == ["1", "1"]


class _FailOn:
    """Raise an OperationalError in place of the statements that begin with a text."""

    def __init__(self, statement: str, cause: Exception, times: Optional[int]) -> None:
        self.statement, self.cause, self.times = statement, cause, times
        self.failures = 0

    def __call__(self, cursor: Any, statement: str, parameters: Any, context: Any = None) -> None:
        from sqlalchemy.exc import OperationalError

        if statement.startswith(self.statement) and self.failures != self.times:
            self.failures += 1
            raise OperationalError(statement, {}, self.cause)
        cursor.execute(statement, parameters)


def _fail_on(mocker: Any, statement: str, cause: Exception, times: Optional[int] = None) -> _FailOn:
    fail = _FailOn(statement, cause, times)
    for dialect in (
        "sqlalchemy.engine.default.DefaultDialect",
        "sqlalchemy.dialects.postgresql.psycopg2.PGDialect_psycopg2",
    ):
        mocker.patch(f"{dialect}.do_execute", side_effect=fail)
    return fail


class TestValuesThatDatabasesRefuse:
    """A NUL character is refused with every database: PostgreSQL does not store it, SQLite does."""

    @pytest.mark.parametrize(
        "operation, arguments, field",
        [
            pytest.param("set_variable", {"key": "a\0b", "value": "v"}, "key", id="a key"),
            pytest.param("set_variable", {"key": "k", "value": "a\0b"}, "value", id="a value"),
            pytest.param("set_variable", {"key": "k", "value": "v", "description": "\0"}, "description", id="a text"),
            pytest.param("import_variables", {"variables": {"k": "a\0b"}}, "variables", id="one of many"),
            pytest.param("import_variables", {"variables": '{"a\\u0000b": "v"}'}, "variables", id="of a file"),
            pytest.param("set_pool", {"name": "a\0b", "slots": 1}, "name", id="a name"),
            pytest.param(
                "add_connection", {"conn_id": "c", "conn_type": "fs", "password": "\0"}, "password", id="secret"
            ),
            pytest.param("trigger_dag", {"dag_id": "wire_dag", "note": "a\0b"}, "note", id="a note"),
            pytest.param("trigger_dag", {"dag_id": "wire_dag", "conf": {"a": [{"b": "\0"}]}}, "conf", id="in a conf"),
            pytest.param(
                "trigger_dag", {"dag_id": "wire_dag", "conf": {"a": {"\0": 1}}}, "conf", id="a name in a conf"
            ),
            pytest.param("trigger_dag", {"dag_id": "wire_dag", "conf": '{"a": "\\u0000"}'}, "conf", id="conf as text"),
            pytest.param("list_dag_runs", {"state": ["queued", "\0"]}, "state", id="a state"),
            pytest.param("list_dags", {"tags": ["\0"]}, "tags", id="a tag"),
            pytest.param("list_variables", {"key_pattern": "\0"}, "key_pattern", id="a pattern"),
            pytest.param("dag_state", {"dag_id": "\0", "run_id": "r"}, "dag_id", id="a DAG"),
            pytest.param("dag_state", {"dag_id": "wire_dag", "run_id": "\0"}, "run_id", id="a run"),
        ],
    )
    def test_a_nul_is_invalid(self, web: Any, operation: str, arguments: Any, field: str) -> None:
        response = web.typed(operation, **arguments)
        assert_problem(response, 422)
        assert response.json["errors"] == {field: ["Contains a NUL character."]}
        with pytest.raises(errors.Invalid, match="NUL"):
            native_api.call(operation, **arguments)

    def test_a_nul_is_400_in_the_old_protocol(self, web: Any) -> None:
        assert_envelope(web.legacy("dag_state", dag_id="\0", execution_date="2026-11-01"), 400)

    def test_an_escaped_nul_in_json_text_is_accepted(self, web: Any) -> None:
        assert web.typed("set_variable", key="k", value={"a": "\0"}).status == 201
        assert native_api.call("get_variable", key="k", json=True)["value"] == {"a": "\0"}

    def test_an_escaped_surrogate_is_422_on_postgresql(self, web: Any) -> None:
        if airflow_under_test.DATABASE not in os.environ:
            pytest.skip("SQLite holds it")
        if AIRFLOW < (3, 0):
            pytest.skip("Airflow 2 stores a pickle")
        assert_problem(web.typed("trigger_dag", dag_id="wire_dag", conf='{"a": "\\ud800"}'), 422)

    @pytest.mark.parametrize(
        "said, status",
        [
            pytest.param("LIKE or GLOB pattern too complex", 422, id="SQLite's pattern"),
            pytest.param("too many SQL variables", 422, id="SQLite's variables"),
            pytest.param("no such table: variable", 503, id="SQLite without tables"),
            pytest.param((1153, "Got a packet bigger than 'max_allowed_packet' bytes"), 422, id="MySQL's packet"),
            pytest.param((1366, "Incorrect string value"), 422, id="MySQL's characters"),
            pytest.param((2006, "MySQL server has gone away"), 503, id="MySQL gone"),
            pytest.param({"pgcode": "54001"}, 422, id="PostgreSQL's stack"),
            pytest.param({"sqlstate": "54000"}, 422, id="psycopg 3's limit"),
            pytest.param({"pgcode": "57P01"}, 503, id="PostgreSQL shut down"),
            pytest.param("the number of query arguments cannot exceed 32767", 422, id="asyncpg's parameters"),
        ],
    )
    def test_an_error_of_the_driver_about_a_value_is_the_callers(
        self, web: Any, mocker: Any, said: Any, status: int
    ) -> None:
        """It is not reported as an unavailable database."""
        from sqlalchemy.exc import OperationalError

        cause: Any = Exception(*said) if isinstance(said, tuple) else Exception(said)
        if isinstance(said, dict):
            cause = type("DriverError", (Exception,), said)("a failure")
        failure = OperationalError("SELECT 1", {}, cause)
        mocker.patch("sqlalchemy.engine.default.DefaultDialect.do_execute", side_effect=failure)
        assert_problem(web.typed("list_variables"), status)

    def test_a_pattern_that_sqlite_refuses_is_422(self, fresh: Any, monkeypatch: Any) -> None:
        """The maximum length of the argument is removed here."""
        if airflow_under_test.DATABASE in os.environ:
            pytest.skip("PostgreSQL takes it")
        field = registry.get("list_variables").request.fields["key_pattern"]
        monkeypatch.setattr(field.length, "max", 10**6)
        native_api.call("set_variable", key="k", value="v")
        with pytest.raises(errors.Invalid):
            native_api.call("list_variables", key_pattern="a" * 60_000)

    @pytest.mark.parametrize("name", ["OverflowError", "UnicodeEncodeError"])
    def test_a_value_that_the_driver_refuses_is_invalid(self, web: Any, name: str) -> None:
        """Drivers raise other exceptions than those of the database."""
        if name == "OverflowError":
            responses = [web.typed("list_variables", offset=10**30), web.typed("list_variables", limit=10**30)]
        else:
            responses = [web.request("GET", "/native_api/v1/get_variable", query="key=%ED%A0%80")]
            with pytest.raises(errors.Invalid):
                native_api.call("get_variable", key="\ud800")
            with pytest.raises(errors.Invalid):
                native_api.call("list_dags", tags=["\ud800"])
        for response in responses:
            assert 400 <= response.status < 500

    def test_a_value_that_the_database_refuses_is_invalid(self, web: Any, mocker: Any) -> None:
        from sqlalchemy.exc import DataError

        failure = DataError("SELECT 1", {}, Exception("an inner secret is out of range"))
        mocker.patch("sqlalchemy.engine.default.DefaultDialect.do_execute", side_effect=failure)
        response = web.typed("list_variables")
        assert_problem(response, 422)
        assert "inner secret" not in response.text


@pytest.mark.skipif(airflow_under_test.version() < (3, 0), reason="Airflow 2 gives no tokens to its users.")
class TestTokensWithoutUser:
    """A token without a user is refused, with each interface."""

    def refused(self, web: Any, token: str) -> None:
        headers = {"Authorization": f"Bearer {token}"}
        assert_problem(web.request("GET", "/native_api/v1/version", login=None, headers=headers), 401)
        assert_envelope(
            web.request("GET", "/admin/rest_api/api", login=None, query={"api": "version"}, headers=headers), 401
        )

    def test_the_token_of_a_deleted_user_is_refused(self, web: Any) -> None:
        if not airflow_under_test.has_fab():
            pytest.skip("only FAB keeps its users in the database")
        from airflow.api_fastapi.app import get_auth_manager
        from airflow.providers.fab.auth_manager.models import User

        user = User(username="gone", first_name="g", last_name="g", email="gone@example.com", active=True)
        with airflow_under_test.session() as session:
            session.add(user)
            session.flush()
            token = get_auth_manager().generate_jwt(user)
            session.delete(user)
        self.refused(web, token)

    def test_an_auth_manager_that_returns_no_user_refuses_the_token(self, web: Any, mocker: Any) -> None:
        """As that of FAB's provider 2 does, without an exception."""
        from airflow.api_fastapi.app import get_auth_manager

        mocker.patch.object(get_auth_manager(), "deserialize_user", return_value=None)
        self.refused(web, web.credentials("admin")["Authorization"].split()[1])


class TestCredentials:
    def sentence(self, web: Any, **headers: str) -> str:
        response = web.request("GET", "/native_api/v1/version", login=None, headers=headers)
        assert_problem(response, 401)
        return str(response.json["detail"])

    def test_the_error_distinguishes_wrong_and_missing_credentials(self, web: Any) -> None:
        """A proxy can have removed the header."""
        none = self.sentence(web)
        assert none.startswith("No credentials were sent: ")
        basic, bearer = (
            self.sentence(web, Authorization="Basic YWRtaW46d3Jvbmc="),
            self.sentence(web, Authorization="Bearer x"),
        )
        if airflow_under_test.version() < (3, 0):
            assert basic == bearer
            assert basic.startswith("The credentials that were sent are not valid")
        else:
            assert basic.startswith("Airflow 3 takes 'Authorization: Bearer <token>' and no other scheme")
            assert bearer.startswith("The token that was sent is not valid, or has expired")


class TestUnforeseen:
    @pytest.fixture
    def broken(self, web: Any, mocker: Any) -> Any:
        mocker.patch("native_api.adapters.variables.operations._stored", side_effect=RuntimeError("an inner secret"))
        return web

    def check(self, response: Any, error_id: str, caplog: Any) -> None:
        assert "inner secret" not in response.text
        assert "Traceback" not in response.text
        (record,) = [record for record in caplog.records if error_id in record.getMessage()]
        assert "an inner secret" in str(record.exc_info)

    def test_it_is_500_with_an_id_that_is_in_the_log(self, broken: Any, caplog: Any) -> None:
        """And no internals."""
        with caplog.at_level(logging.ERROR):
            response = broken.typed("get_variable", key="k")
        assert_problem(response, 500)
        self.check(response, response.json["error_id"], caplog)

    def test_it_is_500_with_an_id_in_the_old_protocol(self, broken: Any, caplog: Any) -> None:
        with caplog.at_level(logging.ERROR):
            response = broken.legacy(LEGACY["api"], get="k")
        assert_envelope(response, 500)
        self.check(response, response.json["output"].rstrip(".").rsplit(" ", 1)[-1], caplog)

    @pytest.mark.parametrize("kind", ["IntegrityError", "OperationalError", "ProgrammingError"])
    @pytest.mark.parametrize("face", ["typed", "legacy"])
    def test_secrets_are_not_logged(self, web: Any, face: str, kind: str, caplog: Any) -> None:
        """Whatever fails while one is written."""

        def fail(cursor: Any, statement: str, parameters: Any, context: Any) -> None:
            if statement.startswith("INSERT INTO variable"):
                # As PostgreSQL tells the row.
                detail = "\nDETAIL:  Failing row contains (s3cr3t-value)" if kind == "IntegrityError" else ""
                raise getattr(engine.dialect.dbapi, kind)("full" + detail)

        engine = airflow_settings.engine
        event.listen(engine, "do_execute", fail)
        try:
            with caplog.at_level(logging.DEBUG):
                named = {"key": "db_password", "value": "s3cr3t-value", "description": "s3cr3t-too"}
                response = (
                    web.typed("set_variable", **named)
                    if face == "typed"
                    else web.request(
                        "POST", "/admin/rest_api/api", query={"api": "variables"}, form={"cmd": "set", **named}
                    )
                )
        finally:
            event.remove(engine, "do_execute", fail)
        assert response.status >= 400
        assert "full" in caplog.text
        # The old protocol's envelope repeats what the client sent.
        said = response.text if face == "typed" else response.json["output"]
        assert "s3cr3t" not in caplog.text + str(said)


class TestBodies:
    PATH = "/native_api/v1/set_variable"

    @pytest.mark.parametrize(
        "body", [b"{", b"\xff", b'{"key": "k", "value": "v"', b"key=k", b'{"key": ' + b"9" * 5000 + b"}"]
    )
    def test_invalid_json_is_400(self, web: Any, body: bytes) -> None:
        assert_problem(web.request("POST", self.PATH, body=body, headers={"Content-Type": "application/json"}), 400)

    @pytest.mark.parametrize("body", [b"[]", b"1", b'"x"', b"null"])
    def test_json_that_is_not_an_object_is_400(self, web: Any, body: bytes) -> None:
        assert_problem(web.request("POST", self.PATH, body=body, headers={"Content-Type": "application/json"}), 400)

    def test_another_media_type_is_415(self, web: Any) -> None:
        response = web.request("POST", self.PATH, body=b"key: k", headers={"Content-Type": "text/yaml"})
        assert_problem(response, 415)

    def test_an_empty_body_is_an_empty_object(self, web: Any) -> None:
        response = web.request("POST", self.PATH)
        assert_problem(response, 422)
        assert set(response.json["errors"]) == {"key", "value"}

    def test_json_without_a_content_type_is_accepted(self, web: Any) -> None:
        assert web.request("POST", self.PATH, body=b'{"key": "k", "value": "v"}').status == 201

    def test_a_multipart_form_is_accepted(self, web: Any) -> None:
        body = b"".join(
            b'--x\r\nContent-Disposition: form-data; name="%s"\r\n\r\n%s\r\n' % pair
            for pair in ((b"key", b"k"), (b"value", "ü+ ".encode()))
        )
        headers = {"Content-Type": "multipart/form-data; boundary=x"}
        assert web.request("POST", self.PATH, body=body + b"--x--\r\n", headers=headers).status == 201
        assert native_api.call("get_variable", key="k")["value"] == "ü+ "

    def test_a_body_that_is_too_large_is_413(self, web: Any, monkeypatch: Any) -> None:
        """Nothing is stored."""
        monkeypatch.setenv("AIRFLOW__NATIVE_API__BODY_BYTES", "100")
        response = web.typed("set_variable", key="k", value="v" * 100)
        assert_problem(response, 413)
        assert response.json["limit_bytes"] == 100
        assert native_api.call("list_variables")["total_entries"] == 0
        assert web.typed("set_variable", key="k", value="v").status == 201


@pytest.mark.parametrize(
    "query", ["%FF=%FE", "dag_id=%", "dag_id=%zz", "&&&===", "dag_id=a&dag_id=b", "dag_id=" + "x" * 5000, "dag_id=%00"]
)
@pytest.mark.parametrize("path", ["/native_api/v1/dag_state", "/admin/rest_api/api"])
def test_odd_queries_are_no_server_errors(web: Any, path: str, query: str) -> None:
    response = web.request("GET", path, query=f"api=dag_state&run_id=x&{query}")
    assert 400 <= response.status < 500, response.text
    assert response.json


def test_another_url_below_the_prefix_is_404(web: Any) -> None:
    for path in ("/native_api/v2/version", "/native_api/v1/version/x"):
        assert_problem(web.request("GET", path), 404)
        assert_problem(web.request("GET", path, login=None), 401)


class TestLongArguments:
    """A value that exceeds the maximum of its argument is refused before it is processed, with each interface."""

    @pytest.mark.parametrize(
        "operation, arguments",
        [
            pytest.param("dag_state", {"dag_id": "wire_dag", "run_id": "r", "subdir": "a/" * 200_000}, id="subdir"),
            pytest.param("clear_tasks", {"dag_id": "wire_dag", "task_regex": "(a|b)" * 50_000}, id="a pattern"),
            pytest.param(
                "dag_state", {"dag_id": "wire_dag", "logical_date": "2026-11-01" + " " * 400_000}, id="a date"
            ),
            pytest.param("list_dags", {"limit": "9" * 4_000}, id="a number"),
            pytest.param("list_dags", {"tags": ["a"] * 50_000}, id="a list"),
            pytest.param("list_variables", {"key_pattern": "a" * 60_000}, id="what SQLite refuses"),
        ],
    )
    def test_a_longer_value_is_invalid(self, airflow: Any, operation: str, arguments: Any) -> None:
        with pytest.raises(errors.Invalid) as raised:
            native_api.call(operation, **arguments)
        ((sentence,),) = raised.value.errors.values()
        # Of a number it is int() that looks at its length.
        assert sentence.startswith(("Longer than maximum length", "Not a valid integer")), "it was computed with"

    def test_a_longer_value_is_422_with_the_maximum(self, web: Any) -> None:
        response = web.typed("clear_tasks", dag_id="wire_dag", subdir="a/" * 200_000)
        assert_problem(response, 422)
        assert response.json["errors"] == {"subdir": ["Longer than maximum length 4096."]}

    def test_a_longer_value_is_400_in_the_old_protocol(self, web: Any) -> None:
        assert_envelope(web.legacy("pause", dag_id="wire_dag", subdir="a/" * 3_000), 400)

    def test_the_openapi_document_has_the_maximum(self, web: Any) -> None:
        document = web.request("GET", "/native_api/openapi.json").json
        arguments = [
            (name, described)
            for operation in registry.every()
            for name, described in _described(document, operation).items()
            if described.get("type") == "string" and "format" not in described
        ]
        assert len(arguments) > 100
        assert [name for name, described in arguments if not {"maxLength", "enum"} & set(described)] == []


def _described(document: Any, operation: registry.Operation) -> Any:
    """Return an operation's arguments in the document."""
    (described,) = document["paths"][f"/{operation.name}"].values()
    if "parameters" in described:
        return {parameter["name"]: parameter["schema"] for parameter in described["parameters"]}
    (body,) = described["requestBody"]["content"].values()
    return document["components"]["schemas"][body["schema"]["$ref"].rsplit("/", 1)[1]]["properties"]
