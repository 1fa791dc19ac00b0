"""The rows of the audit log are limited in size and readable."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any

import pytest

from native_api.audit import EXTRA_BYTES, bounded
from tests.support import airflow_under_test

LONG = 100_000


@pytest.mark.parametrize(
    "value",
    [
        pytest.param("x" * LONG, id="plain text"),
        pytest.param('"\\\n' * LONG, id="what JSON escapes"),
        pytest.param("𝄞" * LONG, id="what ASCII has not"),
        pytest.param(["k" * 200] * 1000, id="a list"),
        pytest.param({"k" * LONG: {"k": "v" * LONG}}, id="an object"),
        pytest.param("\ud800" * LONG, id="half a surrogate pair"),
    ],
)
@pytest.mark.parametrize("count", [1, 20])
def test_a_long_row_is_truncated(value: Any, count: int) -> None:
    """It is JSON, and has every argument."""
    date = datetime(2024, 1, 1)
    text = bounded({**{f"argument_{number}": value for number in range(count)}, "small": 1, "date": date})
    assert len(text) <= EXTRA_BYTES
    read = json.loads(text)
    assert len(read) == count + 2
    assert (read["small"], read["date"]) == (1, str(date))
    assert "characters)" in read["argument_0"]


def test_a_short_row_is_complete(airflow: Any) -> None:
    assert json.loads(bounded({"conf": {"a": [1, None]}})) == {"conf": {"a": [1, None]}}


def test_a_call_with_long_arguments_has_a_row(web: Any) -> None:
    """MySQL's column stores 64 KiB; a request can have megabytes."""
    assert web.typed("set_variable", key="k", value="v" * LONG, description="why").status == 201
    (row,) = airflow_under_test.audit_rows()
    assert len(row.extra) <= EXTRA_BYTES
    assert json.loads(row.extra)["description"] == "why"


def test_a_call_with_a_long_conf_and_a_date_has_a_row(web: Any) -> None:
    date, conf = "2024-01-01T00:00:00+00:00", {"a": "v" * LONG}
    assert web.typed("trigger_dag", dag_id="wire_dag", logical_date=date, conf=conf).status == 201
    (row,) = airflow_under_test.audit_rows()
    assert len(row.extra) <= EXTRA_BYTES
    assert json.loads(row.extra)["logical_date"].startswith("2024-01-01")
