"""The task whose log the tests ask for."""

from __future__ import annotations

from typing import Any, Dict

import native_api
from tests.support import airflow_under_test

RUN = "manual__2026-11-01T00:00:00+00:00"
NAMED = {"dag_id": "wire_dag", "run_id": RUN, "task_id": "extract"}
OLD = airflow_under_test.version() < (3, 0)


def at(try_number: int, state: Any, **columns: Any) -> None:
    airflow_under_test.set_try(**NAMED, try_number=try_number, state=state, **columns)


def store(text: str, try_number: int = 1) -> Any:
    return airflow_under_test.store_log(**NAMED, text=text, try_number=try_number)


def log(**arguments: Any) -> Dict[str, Any]:
    response: Dict[str, Any] = native_api.call("task_log", **{**NAMED, **arguments})
    return response


def numbered(count: int, length: int = 8) -> str:
    return "".join(f"{number:0{length}}\n" for number in range(count))
