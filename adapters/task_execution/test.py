"""Test a task: run it and record nothing."""

from __future__ import annotations

import json
import signal
from dataclasses import replace
from typing import Any, Dict, List, Mapping, Optional

import pendulum
from marshmallow import fields, post_load

from native_api.adapters import sandbox
from native_api.adapters.compat import airflow
from native_api.adapters.fields.common import JSONObject, switch
from native_api.adapters.jobs import operations as jobs
from native_api.adapters.jobs.operations import AcceptedJob, OnExecutor
from native_api.adapters.task_execution import test_job
from native_api.adapters.task_execution.payloads import InstanceToTest, Known, TestResult
from native_api.adapters.task_execution.render import (
    OnTrial,
    RenderedField,
    instance_to_test,
    known_of,
    placed,
    with_log,
)
from native_api.adapters.task_instances.operations import OneTaskInstance, instance_command
from native_api.effects import Effect
from native_api.errors import JobCancelled, JobTimedOut, NativeApiError, UserCodeCrashed, UserCodeFailed
from native_api.errors.groups import OF_A_LOADED_DAG, OF_A_STARTED_JOB, OF_A_TASK
from native_api.host import new_id
from native_api.permissions import EXECUTE_DAG
from native_api.registry import Context, operation

#: Prefix of the run_ids that Airflow creates for a test.
TEMPORARY = "__airflow_temporary_run_native_api_"


class TestTask(OnExecutor, OneTaskInstance):
    """The task instance to test; a run is not required, and the logical date is now by default."""

    needs_a_run = False

    dry_run = switch("If true, only render the template fields of the task.")
    task_params = JSONObject(
        load_default=dict,
        metadata={"description": "Params that override those of the DAG file: a JSON object, or its text."},
    )

    @post_load
    def _at_present(self, data: Dict[str, Any], **kwargs: object) -> Dict[str, object]:
        if not {"run_id", "logical_date", "execution_date"} & {*data}:
            data["logical_date"] = pendulum.now("UTC")
        return data


class TestedTask(OnTrial):
    """The result of a test."""

    dry_run = fields.Boolean(required=True)
    state = fields.String(
        allow_none=True,
        metadata={
            "description": "success, failed, skipped, or up_for_reschedule for a sensor that would be rescheduled; "
            "null for a dry run."
        },
    )
    exit_code = fields.Integer(
        required=True,
        metadata={
            "description": "0, or 1 if the task failed. If the task ended its process, the exit code of that, but 1 "
            "instead of 0."
        },
    )
    exception = fields.String(
        allow_none=True, metadata={"description": "The class of the exception that the task raised."}
    )
    message = fields.String(allow_none=True, metadata={"description": "The message of the exception."})
    template_fields = fields.List(
        fields.Nested(RenderedField),
        allow_none=True,
        metadata={"description": "For a dry run: the rendered template fields."},
    )
    return_value = fields.Raw(
        allow_none=True,
        metadata={"description": "The return value of the task, which it would have pushed as an XCom."},
    )
    return_value_is_repr = fields.Boolean(
        required=True, metadata={"description": "If true, JSON cannot represent the value, and its repr is returned."}
    )


def _command(arguments: Mapping[str, object]) -> Optional[List[str]]:
    if arguments["dry_run"] and not airflow().test_runs.has_dry_run:
        return None
    dry_run = ["--dry-run"] if arguments["dry_run"] else []
    params = ["--task-params", json.dumps(arguments["task_params"])] if arguments["task_params"] else []
    tasks, test, *instance = instance_command("test")(arguments)
    return [tasks, test, *dry_run, *params, *instance]


@operation(
    request=TestTask,
    result=TestedTask,
    accepted=AcceptedJob,
    access=EXECUTE_DAG,
    effect=Effect.EXECUTE,
    tag="Task Execution",
    errors=(*OF_A_TASK, *OF_A_LOADED_DAG, *OF_A_STARTED_JOB, UserCodeFailed, JobCancelled),
    command=_command,
    example={"dag_id": "example_dag", "logical_date": "2026-11-01T00:00:00+00:00", "task_id": "extract"},
)
def test_task(
    context: Context,
    in_background: bool,
    dry_run: bool,
    task_params: Dict[str, object],
    queue: Optional[str] = None,
    **instance: Any,
) -> Optional[Dict[str, object]]:
    """
    Test a task as its DAG file defines it now; its dependencies are ignored, and nothing is recorded.

    Without a logical date or a run, the task is tested for now. No DAG run is created or changed that others can see.
    The task can pull the XComs of an existing run; XComs that it pushes are discarded. If the task fails, the response
    is a result with the state failed, not an error.
    """
    key, task = instance_to_test(context, **instance)
    job = _job(key, known_of(context, key), dry_run, task_params)
    return jobs.run(context, placed(job, task, queue), in_background=in_background)


@jobs.builds_response(test_task, accepts=(UserCodeCrashed, JobTimedOut))
def _tested(context: Context, finished: sandbox.JobOutcome) -> Dict[str, object]:
    if finished.error is None:
        return with_log(finished)
    return with_log(replace(finished, result={**finished.about, **_broken_off(finished.error)}))


def _job(instance: InstanceToTest, known: Known, dry_run: bool, task_params: Dict[str, object]) -> sandbox.Job:
    """Return the job. The id of its temporary run is known beforehand, so that the cleanup can delete it."""
    job_id = new_id()
    run_id = f"{TEMPORARY}{job_id}__"
    cleanup = {"dag_id": instance["dag_id"], "temporary_run_id": run_id}
    how = {"dry_run": dry_run, "task_params": task_params, "temporary_run_id": run_id}
    return sandbox.Job(
        test_job.test,
        {"instance": instance, **known, **how},
        cleanup=(test_job.delete_leftovers, cleanup),
        job_id=job_id,
        about={**instance, "dry_run": dry_run},
        needs_execution_api=True,
    )


def _broken_off(exc: NativeApiError) -> TestResult:
    """Return the result of a task that ended its process, or was stopped."""
    # One that ends its process with 0 has not come to its end either.
    exit_code = (exc.exit_code or 1) if isinstance(exc, UserCodeCrashed) else -signal.SIGTERM
    return {
        "state": "failed",
        "exit_code": exit_code,
        "exception": type(exc).__name__,
        "message": str(exc),
        "template_fields": None,
        "return_value": None,
        "return_value_is_repr": False,
    }
