"""In the sandbox: the test run of a task."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, Dict, Mapping

from native_api.adapters.compat import airflow
from native_api.adapters.compat.interface.test_runs import Outcome
from native_api.adapters.executor.functions import runs_on_executor
from native_api.adapters.sandbox.json_values import json_value
from native_api.adapters.sandbox.redaction import redacted
from native_api.adapters.task_execution import render_job
from native_api.errors import Invalid

if TYPE_CHECKING:
    from native_api.adapters.compat.objects import Task


@runs_on_executor
def test(
    task_params: Dict[str, Any],
    dry_run: bool,
    temporary_run_id: str,
    dag: Mapping[str, Any],
    facts: Mapping[str, Any],
    **key: Any,
) -> Dict[str, object]:
    """
    Run a task as its file defines it now, ignore its dependencies, and record nothing.

    :param temporary_run_id: the id of the temporary run, if one is required.
    :param dag: where its DAG file is: see :func:`~.render_job.task_of`.
    :param facts: those of :meth:`native_api.adapters.compat.interface.test_runs.TestRuns.facts`.
    :param key: the arguments of :func:`~.render_job.instance_of`.
    """
    os.environ["AIRFLOW_TEST_MODE"] = "True"
    instance = render_job.instance_of(facts=facts, **key)
    task = render_job.task_of(instance.task_id, dag)
    _give(task, task_params)
    test_runs = airflow().test_runs
    if dry_run:
        result = {
            **_result_of(Outcome(None)),
            "template_fields": render_job.template_fields_of(test_runs.dry_run(task, instance)),
        }
    else:
        result = {**_result_of(test_runs.run(task, instance, temporary_run_id)), "template_fields": None}
    return {**render_job.both_dates(key), **result, "dry_run": dry_run}


def _result_of(outcome: Outcome) -> Dict[str, object]:
    """Return the result of the task."""
    error = outcome.error
    return {
        "state": outcome.state,
        "exit_code": int(outcome.state == "failed"),
        "exception": None if error is None else type(error).__qualname__,
        "message": None if error is None else redacted(str(error)),
        **json_value(outcome.value, "return_value"),
    }


@runs_on_executor
def delete_leftovers(dag_id: str, temporary_run_id: str) -> None:
    """Delete the rows of a test run that was killed."""
    airflow().test_runs.delete_leftovers(dag_id, temporary_run_id)


def _give(task: Task, params: Mapping[str, object]) -> None:
    """Set those params on the task, as if its file had them."""
    from airflow.exceptions import ParamValidationError

    try:
        task.params.update(params)
        airflow().validate_params(task.params)
    except (ParamValidationError, ValueError) as exc:
        raise Invalid({"task_params": [redacted(str(exc).splitlines()[0])]}) from exc
