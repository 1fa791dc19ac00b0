"""The number of statements of a list does not depend on the number of its entries."""

from __future__ import annotations

from typing import Any

import native_api
from tests.support.airflow_under_test import store_import_error
from tests.support.dag_runs import return_value
from tests.support.queries import statements

LISTS = {
    "list_dags": "dags",
    "list_dag_runs": "dag_runs",
    "list_task_instances": "task_instances",
    "list_xcoms": "xcom_entries",
    "list_variables": "variables",
    "list_connections": "connections",
    "list_pools": "pools",
    "list_import_errors": "import_errors",
}


def test_a_longer_page_needs_no_more_statements(fresh: Any) -> None:
    """Of one entry, and of all. A page that is not full is the last one, and its total is not counted."""
    for number in range(3):
        name = f"name_{number}"
        native_api.call("trigger_dag", dag_id="wire_dag", run_id=name, note=name)
        return_value("wire_dag", name, "extract", {"rows": number})
        native_api.call("set_variable", key=name, value=name)
        native_api.call("set_pool", name=name, slots=number)
        native_api.call("add_connection", conn_id=name, conn_uri=f"postgres://ada:p@{name}/main")
        store_import_error(f"{name}.py")
    for operation, entries in LISTS.items():
        with statements() as of_one:
            total = native_api.call(operation, limit=1)["total_entries"]
        with statements() as of_all:
            page = native_api.call(operation, limit=total)[entries]
        with statements() as not_full:
            native_api.call(operation, limit=total + 1)
        assert len(page) == total >= 3, operation
        assert len(of_all) == len(of_one) == len(not_full) + 1, (operation, of_all)
