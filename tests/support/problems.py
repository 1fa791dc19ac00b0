"""Assertions about errors and results."""

from __future__ import annotations

from typing import Any

from marshmallow import Schema

from native_api import errors


def assert_valid(schema: Schema, response: Any) -> None:
    """Assert that a result is documented by its schema: no field is missing, and no other is present."""
    assert set(response) <= set(schema.fields), "fields that the schema does not document"
    required = {name for name, field in schema.fields.items() if field.required}
    assert required <= set(response), "fields that the schema promises"
    assert schema.validate(response) == {}


def assert_problem(response: Any, status: int) -> None:
    """Assert that a response is an RFC 9457 problem with that status."""
    assert response.status == status
    assert response.headers.get("content-type", response.headers.get("Content-Type")) == "application/problem+json"
    assert {"type", "title", "status", "detail", "code"} <= set(response.json)
    assert response.json["status"] == status
    assert response.json["detail"]


def assert_envelope(response: Any, status: int) -> None:
    """Assert that a response is an error of the old protocol with that status."""
    assert response.status == status
    assert response.json["http_response_code"] == status
    assert response.json["status"] == "ERROR"
    assert isinstance(response.json["output"], str)
    assert response.json["code"] in {error.code for error in errors.kinds()}
