"""list_dags, pause, unpause."""

from __future__ import annotations

from typing import Any, Mapping

from native_api.faces.legacy.protocol import Arguments, Plan, legacy_name

RULE = "-" * 67


@legacy_name("list_dags", "subdir report")
def list_dags(arguments: Arguments) -> Plan:
    """The ids of all DAGs; with report, how their files load."""
    if arguments.flag("report"):
        return Plan("dag_report", dict(arguments.given("subdir")))
    return Plan("list_dags", dict(arguments.given("subdir")), _ids)


@legacy_name("pause", "subdir", required="dag_id")
def pause(arguments: Arguments) -> Plan:
    """Pause a DAG."""
    return Plan("pause_dag", dict(arguments.given("dag_id", "subdir")), _paused)


@legacy_name("unpause", "subdir", required="dag_id")
def unpause(arguments: Arguments) -> Plan:
    """Unpause a DAG."""
    return Plan("unpause_dag", dict(arguments.given("dag_id", "subdir")), _paused)


def _ids(result: Mapping[str, Any]) -> str:
    ids = "\n".join(dag["dag_id"] for dag in result["dags"])
    return f"\n\n{RULE}\nDAGS\n{RULE}\n{ids}\n\n"


def _paused(result: Mapping[str, Any]) -> str:
    return f"Dag: {result['dag_id']}, paused: {result['is_paused']}\n"
