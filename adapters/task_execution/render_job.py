"""In the sandbox: render the template fields of a task."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, List, Mapping

import pendulum

from native_api.adapters.compat import airflow
from native_api.adapters.compat.interface.test_runs import Instance
from native_api.adapters.executor.functions import runs_on_executor
from native_api.adapters.sandbox.json_values import as_json, shallow
from native_api.adapters.sandbox.redaction import redacted
from native_api.adapters.task_execution.payloads import (
    DagPlace,
    Facts,
    InstanceInResult,
    InstanceToTest,
    RenderedResult,
    TemplateField,
)
from native_api.errors import TaskNotFound


@runs_on_executor
def render(instance: InstanceToTest, dag: DagPlace, facts: Facts) -> RenderedResult:
    """Render the template fields of a task as its file defines it now."""
    task = task_of(instance["task_id"], dag)
    rendered = airflow().test_runs.render(task, instance_of(instance, facts))
    dates: InstanceInResult = {**instance, "execution_date": instance["logical_date"]}
    return {**dates, "template_fields": template_fields_of(rendered)}


def template_fields_of(rendered: Mapping[str, object]) -> List[TemplateField]:
    """Return template fields in the format of a response, with secrets masked."""
    masked = {name: redacted(shallow(value), name) for name, value in rendered.items()}
    return [_template_field(name, value) for name, value in masked.items()]


def _template_field(name: str, masked: object) -> TemplateField:
    value, is_repr = as_json(masked)
    return {"name": name, "value": value, "value_is_repr": is_repr, "text": redacted(str(masked))}


def instance_of(key: InstanceToTest, facts: Facts) -> Instance:
    """Return a task instance for :mod:`~native_api.adapters.compat.interface.test_runs`."""
    text = key["logical_date"]
    date: Any = None if text is None else pendulum.parse(text)
    return Instance(key["dag_id"], key["task_id"], key["map_index"], key["run_id"], date, facts)


def task_of(task_id: str, dag_place: DagPlace) -> Any:
    """
    Return the task as its file defines it now.

    :raises DagNotLoaded: the file does not define the DAG.
    :raises TaskNotFound: the DAG does not define the task.
    """
    dag = airflow().user_code.dag(SimpleNamespace(**dag_place))
    if task_id not in dag.task_dict:
        raise TaskNotFound(dag_place["dag_id"], task_id)
    return dag.task_dict[task_id]
