"""Connections in the old protocol, and on the command line."""

from __future__ import annotations

import ast
import json
from typing import Any

import pytest

from tests.support.connections import FIELDS, get
from tests.support.wire import EXCHANGES


class TestLegacy:
    def test_the_list_equals_the_recorded_table(self, airflow: Any) -> None:
        """With borders, widths and truncated texts."""
        from native_api.http.legacy.names.connections import COLUMNS, _table

        recorded = EXCHANGES[17]["stdout"].replace("'<path>   ", "'/tmp/sqlite_default.db'  ".ljust(27))
        lines = recorded.splitlines()[3::2]
        rows = [[cell.strip() for cell in line.strip("│").split("│")] for line in lines]
        assert len(rows) == 40
        given = [dict(zip(COLUMNS, map(ast.literal_eval, row))) for row in rows]
        assert _table({"connections": given}) == recorded

    def test_add_stores_the_extra_and_list_masks_it(self, web: Any) -> None:
        web.legacy("connections", add="on", conn_id="h", conn_uri="http://h", conn_extra='{"token": "hunter2"}')
        assert json.loads(get("h")["extra"]) == {"token": "hunter2"}
        response = web.legacy("connections", list="on")
        assert '│ \'{"token": "***"}\' │' in response.json["output"]["stdout"]

    def test_secrets_are_masked_everywhere(self, web: Any) -> None:
        """In the output, the command, the arguments and the result, of success and of failure."""
        said = {"conn_id": "c", "conn_uri": "http://u:hunter2@h", "conn_extra": '{"token": "hunter2"}'}
        responses = [web.legacy("connections", add="on", **said) for _ in range(2)]
        responses += [
            web.legacy("connections", add="on", **{**said, name: "hunter2"}) for name in said if name != "conn_id"
        ]
        assert [response.status for response in responses] == [200, 200, 400, 400]
        assert [response.text for response in responses if "hunter2" in response.text] == []
        assert responses[0].json["airflow_cmd"] == (
            "airflow connections add c --conn-uri 'http://u:***@h' --conn-extra '{\"token\": \"***\"}'"
        )
        assert get()["password"] == "hunter2"

    @pytest.mark.parametrize(
        "arguments, missing",
        [
            ({"add": "on"}, "conn_id"),
            ({"add": "on", "conn_id": "c"}, "conn_uri or conn_type"),
            ({"delete": "on"}, "conn_id"),
        ],
    )
    def test_a_missing_argument_is_an_error_of_the_old_plugin(self, web: Any, arguments: Any, missing: str) -> None:
        response = web.legacy("connections", **arguments)
        assert (response.status, response.json["output"]) == (400, f"The argument(s) ['{missing}'] are required")

    def test_a_checkbox_can_be_off(self, web: Any) -> None:
        assert web.legacy("connections", list="off").json["output"]["stdout"] == ""


def test_the_command_is_valid_in_this_airflow(airflow: Any) -> None:
    from airflow.cli.cli_parser import get_parser

    from native_api import registry

    operation = registry.get("add_connection")
    for said in (FIELDS, {"conn_uri": "http://u:p@h", "description": "d", "extra": {"a": 1}}):
        words = operation.command(operation.request.load({"conn_id": "c", **said}))
        assert words is not None
        assert "p@ss" not in words and "hunter2" not in " ".join(words)
        get_parser().parse_args(words)
    assert operation.command(operation.request.load({"conn_id": "c", "conn_type": "http", "replace": True})) is None
