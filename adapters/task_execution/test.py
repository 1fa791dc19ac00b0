"""Tests of tasks: run with nothing recorded."""

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
from native_api.adapters.jobs.operations import AcceptedJob, InBackground
from native_api.adapters.task_execution import test_job
from native_api.adapters.task_execution.render import OnTrial, RenderedField, instance_on_trial, with_log
from native_api.adapters.task_instances.operations import OneTaskInstance, instance_command
from native_api.effects import Effect
from native_api.errors import JobTimedOut, NativeApiError, UserCodeCrashed
from native_api.host import new_id
from native_api.permissions import EXECUTE_DAG
from native_api.registry import Context, operation

#: What Airflow calls the runs that it makes for a test.
TEMPORARY = "__airflow_temporary_run_native_api_"


class TestTask(InBackground, OneTaskInstance):
    """Which task instance to test, and how; there need be no run for the date, which is the present by default."""

    needs_a_run = False

    dry_run = switch("Only say what the task would do: its template fields are rendered.")
    task_params = JSONObject(
        load_default=dict, metadata={"description": "Params for the task, a JSON object, over those of its file."}
    )

    @post_load
    def _at_present(self, data: Dict[str, Any], **kwargs: Any) -> Dict[str, Any]:
        if not {"run_id", "logical_date", "execution_date"} & {*data}:
            data["logical_date"] = pendulum.now("UTC")
        return data


class TestedTask(OnTrial):
    """How a task ended that was tested."""

    dry_run = fields.Boolean(required=True)
    state = fields.String(
        allow_none=True,
        metadata={
            "description": "success, failed, skipped, or up_for_reschedule for a sensor that wants to look again "
            "later; null after a dry run."
        },
    )
    exit_code = fields.Integer(
        required=True,
        metadata={
            "description": "0, or 1 where the task failed; where it ended its process, what that ended with, but not 0."
        },
    )
    exception = fields.String(allow_none=True, metadata={"description": "What the task raised."})
    message = fields.String(allow_none=True, metadata={"description": "What the exception says."})
    template_fields = fields.List(
        fields.Nested(RenderedField), allow_none=True, metadata={"description": "After a dry run, what they became."}
    )
    return_value = fields.Raw(
        allow_none=True, metadata={"description": "What the task returned, or what it would have put in XCom."}
    )
    return_value_is_repr = fields.Boolean(
        required=True, metadata={"description": "Whether JSON cannot hold the value, which is described then."}
    )


def _command(arguments: Mapping[str, Any]) -> Optional[List[str]]:
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
    command=_command,
    example={"dag_id": "example_dag", "logical_date": "2026-11-01T00:00:00+00:00", "task_id": "extract"},
)
def test_task(
    context: Context, in_background: bool, dry_run: bool, task_params: Dict[str, Any], **instance: Any
) -> Optional[Dict[str, Any]]:
    """
    Test a task as its DAG file defines it now; its dependencies are ignored, and nothing is recorded.

    Where neither a date nor a run is named, it is tested for the present moment. No run is made or changed that
    anybody else sees, whether there is one for the date or not. The XComs of a run that
    exists are there for the task; what it pushes itself is not kept. A task that fails is an answer, not an error.
    """
    named = instance_on_trial(context, **instance)
    return jobs.run(context, _job(named, dry_run, task_params), in_background=in_background)


@jobs.answers(test_task, takes=(UserCodeCrashed, JobTimedOut))
def _tested(context: Context, finished: sandbox.Finished) -> Dict[str, Any]:
    if finished.error is None:
        return with_log(finished)
    return with_log(replace(finished, result={**finished.about, **_broken_off(finished.error)}))


def _job(named: Dict[str, Any], dry_run: bool, task_params: Dict[str, Any]) -> sandbox.Job:
    """Return the job, whose run is named after it so that another can remove that."""
    job_id = new_id()
    run_id = f"{TEMPORARY}{job_id}__"
    cleanup = {"dag_id": named["dag_id"], "temporary_run_id": run_id}
    return sandbox.Job(
        test_job.test,
        {**named, "dry_run": dry_run, "task_params": task_params, "temporary_run_id": run_id},
        cleanup=(test_job.delete_leftovers, cleanup),
        job_id=job_id,
        about={**named, "dry_run": dry_run},
        has_task=True,
    )


def _broken_off(exc: NativeApiError) -> Dict[str, Any]:
    """Return how a task ended that took its process with it, or was stopped."""
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
