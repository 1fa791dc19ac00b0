"""The contract of every operation with every interface; a new operation is tested as soon as it is registered."""

from __future__ import annotations

import dataclasses
import json
import os
import re
from pathlib import Path
from typing import Any

import pytest
from marshmallow import fields, validate

import native_api
from native_api import dispatch, errors, registry, settings
from native_api.effects import Effect
from native_api.http.typed import method_of
from tests.support import response_examples
from tests.support.auth_managers import USER
from tests.support.examples import example
from tests.support.problems import assert_problem, assert_valid
from tests.support.queries import statements, transactions
from tests.support.version_marks import values_of_other_versions

EVERY = [pytest.param(operation, id=operation.name) for operation in registry.every()]

#: How many statements, and in how many transactions, an operation sends to the database at most.
STATEMENTS = json.loads((Path(__file__).parent / "golden" / "statements.json").read_text(encoding="utf-8"))

#: Reads whose examples return a secret unmasked.
DISCLOSING = {"get_connection", "export_connections"}


@pytest.mark.parametrize("operation", EVERY)
def test_the_declaration_is_complete(operation: registry.Operation) -> None:
    """Every operation has a description, and its schemas load the example and describe every field."""
    assert operation.summary.endswith(".")
    assert operation.request.load(dict(operation.example)) is not None
    undescribed = [name for name, field in operation.request.fields.items() if not field.metadata.get("description")]
    assert undescribed == []
    assert len(f"native_api.{operation.name}") <= 30, "the audit log's event has 30 characters on Airflow 2.7"


@pytest.mark.parametrize("operation", EVERY)
def test_every_argument_has_a_maximum(operation: registry.Operation) -> None:
    """Of its length, its entries or its value; what exceeds it is an error."""
    for name, field in operation.request.fields.items():
        lists = isinstance(field, fields.List)
        bounds = [getattr(rule, "max", None) or getattr(rule, "choices", None) for rule in field.validators]
        if lists or isinstance(field, (fields.String, fields.Number)):
            assert any(bounds), f"{name}: make it of adapters/texts.py, or give it a range"
        text = field.inner if lists else field
        if isinstance(text, fields.String) and not any(isinstance(rule, validate.OneOf) for rule in text.validators):
            (longest,) = [rule.max for rule in text.validators if isinstance(rule, validate.Length)]
            too_long = "x" * (longest + 1)
            with pytest.raises(errors.Invalid) as caught:
                dispatch.load(operation, {**operation.example, name: [too_long] if lists else too_long})
            assert re.search(rf"(maximum length|and) {longest}\.", str(caught.value.errors[name]))


@pytest.mark.parametrize("operation", EVERY)
def test_the_python_api_returns_the_documented_result(operation: registry.Operation, world: Any) -> None:
    """
    The result schema accepts it, and the database is sent no more statements than needed.

    This process sends at most as many statements, in as many transactions, as statements.json says; Airflow's own
    functions send some, which differ between versions. With HTTP, authentication adds Airflow's own.
    """
    with statements() as sent, transactions() as begun:
        result = native_api.call(operation.name, **example(operation))
    assert_valid(operation.result, result)
    most_statements, most_transactions = STATEMENTS[operation.name]
    assert len(sent) <= most_statements, sent
    assert len(begun) <= most_transactions, sent


@pytest.mark.parametrize("operation", EVERY)
def test_the_typed_api_returns_the_documented_response_and_logs_writes(
    operation: registry.Operation, world: Any, pytestconfig: Any
) -> None:
    """
    The result of the Python API, as JSON.

    A field that is marked as absent on this Airflow has no value. The row of a write in the audit log has the
    operation, the caller and the resources. A read has no row, unless it returns a secret.
    """
    before = len(world_audit())
    response = world.typed(operation.name, login="admin", **example(operation))
    if pytestconfig.getoption("--write-examples"):
        response_examples.write(operation.name, response.json)
    assert response.status in ((200, 201) if operation.creates else (200,)), response.text
    assert response.headers.get("content-type", response.headers.get("Content-Type")) == "application/json"
    assert_valid(operation.result, response.json)
    assert values_of_other_versions(operation.name, response.json) == []
    rows = world_audit()[before:]
    if operation.effect is Effect.READ and operation.name not in DISCLOSING:
        assert rows == []
    else:
        assert [(row.event, row.owner) for row in rows] == [(f"native_api.{operation.name}", "admin")]
        assert rows[0].dag_id == example(operation).get("dag_id", response.json.get("dag_id"))


@pytest.mark.parametrize("operation", EVERY)
def test_an_anonymous_caller_is_refused(operation: registry.Operation, web: Any) -> None:
    """Without credentials the call has no effect."""
    response = web.typed(operation.name, login=None, **example(operation))
    assert_problem(response, 401)
    assert world_audit() == []


@pytest.mark.parametrize("operation", EVERY)
def test_a_wrong_token_is_refused(operation: registry.Operation, web: Any) -> None:
    """If the static token is wrong, no other credential is tried."""
    response = web.request(
        method_of(operation),
        f"/native_api/v1/{operation.name}",
        login="admin",
        headers={"rest-api-plugin-http-token": "wrong"},
    )
    assert_problem(response, 401)


@pytest.mark.parametrize("operation", EVERY)
def test_a_caller_without_permissions_is_refused(operation: registry.Operation, world: Any, mocker: Any) -> None:
    """An operation without a permission is allowed to any authenticated caller."""
    mocker.patch(f"{USER}.may", return_value=False)
    mocker.patch(f"{USER}.dag_ids", return_value=set())
    response = world.typed(operation.name, login="admin", **example(operation))
    if not operation.access:
        assert response.status == 200
    else:
        assert_problem(response, 403)
        assert response.json["permission"]


@pytest.mark.parametrize("operation", EVERY)
def test_the_other_method_is_refused(operation: registry.Operation, web: Any) -> None:
    """The error names the method."""
    other = "POST" if method_of(operation) == "GET" else "GET"
    response = web.request(other, f"/native_api/v1/{operation.name}")
    assert_problem(response, 405)
    assert response.headers.get("Allow", response.headers.get("allow")) == method_of(operation)


@pytest.mark.parametrize("operation", EVERY)
def test_an_unknown_field_is_refused_in_json_and_ignored_in_a_query(operation: registry.Operation, world: Any) -> None:
    arguments = {**example(operation), "no_such_field": "1"}
    response = world.typed(operation.name, **arguments)
    if operation.effect is Effect.READ:
        assert response.status == 200
    else:
        assert_problem(response, 422)
        assert response.json["errors"] == {"no_such_field": ["Unknown field."]}


@pytest.mark.parametrize("operation", EVERY)
def test_the_command_is_valid_in_this_airflow(operation: registry.Operation, airflow: Any) -> None:
    """Its parser accepts the equivalent command."""
    from airflow.cli.cli_parser import get_parser

    os.makedirs(settings.get("files_dir"), exist_ok=True)
    words = operation.command(operation.request.load(dict(operation.example)))
    if words is not None:
        get_parser().parse_args(words)


def test_an_unknown_operation_is_404(web: Any) -> None:
    """With both APIs and from Python."""
    assert_problem(web.request("GET", "/native_api/v1/no_such_operation"), 404)
    with pytest.raises(errors.OperationNotFound, match="no_such_operation"):
        native_api.call("no_such_operation")


@pytest.mark.parametrize("error", [pytest.param(error, id=error.__name__) for error in errors.kinds()])
def test_every_error_has_a_status_and_a_sentence(error: Any) -> None:
    """Each class builds its problem from its data."""
    data = {field.name: _sample(field.name) for field in dataclasses.fields(error)}
    problem = error(**data).problem()
    assert problem["status"] >= 400
    assert re.search(r"\w", problem["detail"])
    assert re.fullmatch(r"[a-z]+(_[a-z]+)*", problem["code"])
    assert "code" in vars(error), "a code of its own, that stays when it is given another base"


def test_the_codes_of_errors_are_unique() -> None:
    codes = [error.code for error in errors.kinds()]
    assert sorted(set(codes)) == sorted(codes)


def _sample(name: str) -> Any:
    numbers = {"map_index": 1, "last_map_index": 2, "limit_bytes": 3, "exit_code": -9, "limit_seconds": 3}
    trees = {"errors": {"field": ["wrong"]}, "dependencies": [{"name": "a", "reason": "b"}]}
    return {**trees, **numbers}.get(name, "x")


def world_audit() -> Any:
    """Return the rows of the audit log."""
    from tests.support.airflow_under_test import audit_rows

    return audit_rows()
