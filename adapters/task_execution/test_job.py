"""In the sandbox: the test run of a task."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Dict, List, Mapping, Optional

from native_api.adapters.compat import airflow
from native_api.adapters.compat.interface.test_runs import Outcome
from native_api.adapters.executor.functions import runs_on_executor
from native_api.adapters.sandbox.json_values import as_json
from native_api.adapters.sandbox.redaction import redacted
from native_api.adapters.task_execution import render_job
from native_api.adapters.task_execution.payloads import (
    DagPlace,
    Facts,
    InstanceInResult,
    InstanceToTest,
    TemplateField,
    TestedResult,
    TestResult,
)
from native_api.errors import Invalid

if TYPE_CHECKING:
    from native_api.adapters.compat.objects import Task


@runs_on_executor
def test(
    instance: InstanceToTest,
    dag: DagPlace,
    facts: Facts,
    task_params: Dict[str, object],
    dry_run: bool,
    temporary_run_id: str,
) -> TestedResult:
    """
    Run a task as its file defines it now, ignore its dependencies, and record nothing.

    :param temporary_run_id: the id of the temporary run, if one is required.
    """
    os.environ["AIRFLOW_TEST_MODE"] = "True"
    task, tested = render_job.task_of(instance["task_id"], dag), render_job.instance_of(instance, facts)
    _give(task, task_params)
    test_runs = airflow().test_runs
    if dry_run:
        result = _result_of(Outcome(None), render_job.template_fields_of(test_runs.dry_run(task, tested)))
    else:
        result = _result_of(test_runs.run(task, tested, temporary_run_id), None)
    dates: InstanceInResult = {**instance, "execution_date": instance["logical_date"]}
    return {**dates, **result, "dry_run": dry_run}


def _result_of(outcome: Outcome, template_fields: Optional[List[TemplateField]]) -> TestResult:
    error = outcome.error
    return_value, is_repr = as_json(outcome.value)
    return {
        "state": outcome.state,
        "exit_code": int(outcome.state == "failed"),
        "exception": None if error is None else type(error).__qualname__,
        "message": None if error is None else redacted(str(error)),
        "return_value": return_value,
        "return_value_is_repr": is_repr,
        "template_fields": template_fields,
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
