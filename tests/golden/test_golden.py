"""The responses of the golden contract, on the installed Airflow."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any, Dict, Iterator, List, Tuple

import pytest

import native_api
from tests.golden import playing
from tests.oracle.filler import Snapshot
from tests.support import airflow_under_test, jobs_under_test

CONTRACT = playing.read(playing.CONTRACT)
DIFFERENCES = playing.read(playing.DIFFERENCES)

ROWS = [pytest.param(row, id=f"{row['request']} on {row['since']}") for row in DIFFERENCES]
NUMBERS = [pytest.param(number, id=entry["name"]) for number, entry in enumerate(CONTRACT)]


@pytest.fixture(scope="module")
def responses(site: Any) -> Iterator[List[Dict[str, Any]]]:
    """Send all requests in order, with one DAG run in the database, and return the responses."""
    if airflow_under_test.version() >= (3, 0) and airflow_under_test.has_fab():
        pytest.skip("the contract is of each Airflow with the auth manager that it comes with")
    before = Snapshot()
    airflow_under_test.clean()
    native_api.call("trigger_dag", dag_id="wire_dag", run_id="r0", logical_date="2026-09-01")
    airflow_under_test.set_try("wire_dag", "r0", "extract", 1, "success")
    airflow_under_test.store_log("wire_dag", "r0", "extract", "first\nlast\n")
    airflow_under_test.store_rendered_fields("wire_dag", "r0", "extract", {"bash_command": "echo extract 2026-09-01"})
    answered: Dict[str, Any] = {}
    sent = []
    for request in CONTRACT:
        sent.append(playing.send(site, request, answered))
        if sent[-1]["status"] == 202 and "job_id" in sent[-1]["body"]:
            jobs_under_test.wait(answered["job_id"], "success")
    before.put_back()
    airflow_under_test.clean()
    if os.environ.get("GOLDEN_ANSWERS"):
        file = Path(os.environ["GOLDEN_ANSWERS"], "{}.{}.json".format(*airflow_under_test.version()))
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps(sent, indent=1, ensure_ascii=False), encoding="utf-8")
    yield sent


def versions(row: Dict[str, Any]) -> Tuple[Tuple[int, ...], Tuple[int, ...]]:
    """Return the first and the last version of a row."""
    first, last = (tuple(map(int, row[end].split("."))) for end in ("since", "until"))
    return first, last


@pytest.mark.parametrize("number", NUMBERS)
def test_a_response_equals_the_contract(number: int, responses: List[Dict[str, Any]]) -> None:
    """Except for the rows of differences for this Airflow."""
    entry = CONTRACT[number]
    expected = {"status": entry.get("status"), "body": entry.get("body")}
    for row in DIFFERENCES:
        first, last = versions(row)
        if row["request"] == entry["name"] and first <= airflow_under_test.version() <= last:
            expected = playing.changed(expected, row["changes"])
    assert responses[number] == expected


@pytest.mark.parametrize("row", ROWS)
def test_a_row_has_a_reason_and_differs(row: Dict[str, Any]) -> None:
    """It names a request, differs from the contract, and says why."""
    entry = next(entry for entry in CONTRACT if entry["name"] == row["request"])
    said = {"status": entry["status"], "body": entry["body"]}
    assert playing.unlike(said, playing.changed(said, row["changes"])) == row["changes"]
    assert row["reason"].endswith(".")


def test_the_names_of_requests_are_unique() -> None:
    assert len({entry["name"] for entry in CONTRACT}) == len(CONTRACT)
