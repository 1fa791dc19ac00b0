"""Assertions about errors and results."""

from __future__ import annotations

from typing import Any

from marshmallow import Schema

from native_api import errors


def assert_valid(schema: Schema, answer: Any) -> None:
    """Assert that a result is documented by its schema: no field is missing, and no other is present."""
    assert set(answer) <= set(schema.fields), "fields that the schema does not document"
    required = {name for name, field in schema.fields.items() if field.required}
    assert required <= set(answer), "fields that the schema promises"
    assert schema.validate(answer) == {}


def assert_problem(answer: Any, status: int) -> None:
    """Assert that a response is an RFC 9457 problem with that status."""
    assert answer.status == status
    assert answer.headers.get("content-type", answer.headers.get("Content-Type")) == "application/problem+json"
    assert {"type", "title", "status", "detail", "code"} <= set(answer.json)
    assert answer.json["status"] == status
    assert answer.json["detail"]


def assert_envelope(answer: Any, status: int) -> None:
    """Assert that a response is an error of the old protocol with that status."""
    assert answer.status == status
    assert answer.json["http_response_code"] == status
    assert answer.json["status"] == "ERROR"
    assert isinstance(answer.json["output"], str)
    assert answer.json["code"] in {error.code for error in errors.kinds()}
