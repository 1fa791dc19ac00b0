"""The JSON of the jobs that render, test and run a task instance: their arguments and their results."""

from __future__ import annotations

from typing import Any, List, Mapping, Optional, TypedDict

from native_api.adapters.compat.objects import InstanceKey

#: Facts that :meth:`~native_api.adapters.compat.interface.test_runs.TestRuns.facts` returns; each Airflow has its own.
Facts = Mapping[str, Any]


class InstanceToTest(TypedDict):
    """A task instance to render or test; it need not exist."""

    dag_id: str
    task_id: str
    map_index: int
    #: None if there is no run for the date.
    run_id: Optional[str]
    #: ISO 8601; None if the run has no date.
    logical_date: Optional[str]


class DagPlace(TypedDict):
    """Where the file of a DAG is."""

    dag_id: str
    fileloc: str
    relative_fileloc: Optional[str]
    #: None on Airflow 2.
    bundle_name: Optional[str]


class Known(TypedDict):
    """What the database has of a task instance that is rendered or tested."""

    dag: DagPlace
    facts: Facts


class TemplateField(TypedDict):
    """A rendered template field, with secrets masked."""

    name: str
    value: object
    value_is_repr: bool
    text: str


class InstanceInResult(InstanceToTest):
    """A task instance in a result, with the alias of its logical date."""

    execution_date: Optional[str]


class RenderedResult(InstanceInResult):
    """The result of rendering a task."""

    template_fields: List[TemplateField]


class TestResult(TypedDict):
    """The outcome of a test of a task."""

    #: None for a dry run.
    state: Optional[str]
    exit_code: int
    #: The class of the exception that the task raised.
    exception: Optional[str]
    message: Optional[str]
    return_value: object
    return_value_is_repr: bool
    #: Of a dry run only.
    template_fields: Optional[List[TemplateField]]


class TestedResult(InstanceInResult, TestResult):
    """The result of testing a task."""

    dry_run: bool


class Begun(TypedDict):
    """A try that has begun."""

    previous_state: Optional[str]
    #: Whether the run was created for it.
    run_is_new: bool


class TriedInstance(InstanceKey):
    """A task instance and its latest try."""

    #: ISO 8601; None if the run has no date.
    logical_date: Optional[str]
    state: Optional[str]
    try_number: int
    hostname: Optional[str]


class RunResult(TriedInstance, Begun):
    """The result of running a task instance, or of sending it to the executor, which has no log yet."""

    how: str
    log: Optional[str]
    log_cut: Optional[bool]
    warnings: List[str]
