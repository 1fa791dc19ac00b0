"""trigger_dag, dag_state."""

from __future__ import annotations

from typing import Dict, Mapping

from native_api.errors import BadRequest, DagRunNotFound
from native_api.http.legacy.protocol import Arguments, Plan, legacy_name


@legacy_name(
    "trigger_dag",
    "run_id conf exec_date execution_date logical_date subdir",
    required="dag_id",
    operation="trigger_dag",
)
def trigger_dag(arguments: Arguments) -> Plan:
    """Trigger a DAG."""
    values: Dict[str, object] = dict(arguments.given("dag_id", "run_id", "conf", "subdir"))
    dates = arguments.given("exec_date", "execution_date", "logical_date")
    if dates:
        values["logical_date"] = next(iter(dates.values()))
    return Plan("trigger_dag", values, _created)


@legacy_name("dag_state", "execution_date logical_date run_id subdir", required="dag_id", operation="dag_state")
def dag_state(arguments: Arguments) -> Plan:
    """Return the state of a DAG run; the text is None if there is no run."""
    values = {**arguments.given("dag_id", "subdir"), **one_run(arguments)}
    return Plan("dag_state", values, _state, {DagRunNotFound: "None\n"})


def one_run(arguments: Arguments) -> Dict[str, object]:
    """
    Return the argument that identifies the run; run_id has priority over a date.

    :raises BadRequest: there is none.
    """
    named = arguments.given("run_id") or arguments.given("execution_date") or arguments.given("logical_date")
    if not named:
        raise BadRequest("The argument(s) ['execution_date'] are required")
    return dict(named)


def _created(result: Mapping[str, object]) -> str:
    return (
        f"Created <DagRun {result['dag_id']} @ {result['logical_date']}: {result['run_id']}, "
        "externally triggered: True>\n"
    )


def _state(result: Mapping[str, object]) -> str:
    return f"{result['state']}\n"
