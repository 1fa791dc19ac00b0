"""Helpers for tests of connections."""

from __future__ import annotations

from typing import Any, List

import native_api

FIELDS = {
    "conn_type": "postgres",
    "description": "the warehouse",
    "host": "db.example.com",
    "login": "ada",
    "password": "hunter2 ü@:/",
    "schema": "main",
    "port": 5432,
    "extra": '{"sslmode":  "require", "api_key": "hunter2"}',
}


def add(conn_id: str = "c", **said: Any) -> Any:
    return native_api.call("add_connection", conn_id=conn_id, **said)


def get(conn_id: str = "c") -> Any:
    return native_api.call("get_connection", conn_id=conn_id)


def listed(**arguments: Any) -> List[Any]:
    connections: List[Any] = native_api.call("list_connections", **arguments)["connections"]
    return connections
