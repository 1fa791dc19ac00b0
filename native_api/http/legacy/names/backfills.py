"""backfill."""

from __future__ import annotations

from typing import Any, Dict, Mapping

from native_api.http.legacy.protocol import Arguments, Plan, legacy_name

_TEXTS = ("task_regex", "start_date", "end_date", "pool", "subdir", "conf", "reprocess_behavior", "max_active_runs")
_FLAGS = (
    "mark_success",
    "local",
    "ignore_dependencies",
    "ignore_first_depends_on_past",
    "run_backwards",
)
#: Arguments without effect: Airflow no longer has pickled or ad hoc DAGs.
_WITHOUT_EFFECT = ("donot_pickle", "include_adhoc")


@legacy_name("backfill", " ".join((*_TEXTS, *_FLAGS, *_WITHOUT_EFFECT)), required="dag_id", operation="backfill_dag")
def backfill(arguments: Arguments) -> Plan:
    """Backfill a DAG; the response is immediate, while the old command waited for the end."""
    values: Dict[str, object] = dict(arguments.given("dag_id", *_TEXTS))
    for name in _WITHOUT_EFFECT:
        arguments.flag(name)
    values.update({name: True for name in _FLAGS if arguments.flag(name)})
    # The old command did not refuse a DAG whose tasks have depends_on_past.
    return Plan("backfill_dag", values, _dry_run, defaults={"on_depends_on_past": "adapt"})


def _dry_run(result: Mapping[str, Any]) -> str:
    tasks = "".join(f"Task {task_id}\n" for task_id in result["tasks"])
    return "".join(f"Dry run of DAG {result['dag_id']} on {run['logical_date']}\n{tasks}" for run in result["runs"])
