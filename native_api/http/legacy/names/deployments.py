"""deploy_dag, refresh_dag, refresh_all_dags."""

from __future__ import annotations

from typing import Any, Mapping

from native_api.errors import BadRequest
from native_api.http.legacy.protocol import Arguments, Plan, legacy_name


@legacy_name("deploy_dag", "dag_file force pause unpause", prints=False, operation="deploy_dag")
def deploy_dag(arguments: Arguments) -> Plan:
    """Deploy an uploaded DAG file."""
    upload = arguments.files.get("dag_file")
    if upload is None or not upload.filename:
        raise BadRequest("dag_file should be provided")
    if not upload.filename.endswith(".py"):
        raise BadRequest("dag_file is not a *.py file")
    flags = {name: True for name in ("force", "pause", "unpause") if arguments.flag(name)}
    return Plan("deploy_dag", {"dag_file": upload, **flags}, _uploaded)


def _uploaded(result: Mapping[str, object]) -> str:
    done = "would be" if result["dry_run"] else "has been"
    return f"DAG File [{result['fileloc']}] {done} uploaded"


@legacy_name("refresh_dag", required="dag_id", prints=False, operation="refresh_dag")
def refresh_dag(arguments: Arguments) -> Plan:
    """Parse the file of a DAG."""
    text = f"DAG [{arguments.get('dag_id')}] is now fresh as a daisy"
    return Plan("refresh_dag", dict(arguments.given("dag_id")), lambda result: text)


@legacy_name("refresh_all_dags", prints=False, operation="refresh_all_dags")
def refresh_all_dags(arguments: Arguments) -> Plan:
    """Parse all DAG files."""
    return Plan("refresh_all_dags", {}, _all)


def _all(result: Mapping[str, Any]) -> str:
    """Return the ``repr`` of a dict of the DAGs, as the old plugin did."""
    dag_ids = sorted({dag_id for file in result["files"] for dag_id in file["dag_ids"]})
    return "{" + ", ".join(f"{dag_id!r}: <DAG: {dag_id}>" for dag_id in dag_ids) + "}"
