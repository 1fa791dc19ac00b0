"""list_dags, pause, unpause."""

from __future__ import annotations

from typing import Any, List, Mapping

from native_api.adapters.compat import airflow
from native_api.http.legacy.names.dag_report import report
from native_api.http.legacy.protocol import Arguments, Plan, legacy_name

RULE = "-" * 67


@legacy_name("list_dags", "subdir report")
def list_dags(arguments: Arguments) -> Plan:
    """List the ids of all DAGs; with report, add the loading times of their files."""
    if arguments.flag("report"):
        folder = arguments.get("subdir") or airflow().folders()[0]
        return Plan("dag_report", dict(arguments.given("subdir")), lambda result: _ids(result) + report(result, folder))
    return Plan("list_dags", dict(arguments.given("subdir")), _ids)


@legacy_name("pause", "subdir", required="dag_id", operation="pause_dag")
def pause(arguments: Arguments) -> Plan:
    """Pause a DAG."""
    return Plan("pause_dag", dict(arguments.given("dag_id", "subdir")), _paused)


@legacy_name("unpause", "subdir", required="dag_id", operation="unpause_dag")
def unpause(arguments: Arguments) -> Plan:
    """Unpause a DAG."""
    return Plan("unpause_dag", dict(arguments.given("dag_id", "subdir")), _paused)


def _ids(result: Mapping[str, Any]) -> str:
    listed = [dag["dag_id"] for dag in result["dags"]] if "dags" in result else _ids_of_files(result)
    ids = "\n".join(listed)
    return f"\n\n{RULE}\nDAGS\n{RULE}\n{ids}\n\n"


def _ids_of_files(result: Mapping[str, Any]) -> List[str]:
    return sorted({dag_id for entry in result["files"] for dag_id in entry["dag_ids"]})


def _paused(result: Mapping[str, object]) -> str:
    return f"Dag: {result['dag_id']}, paused: {result['is_paused']}\n"
