"""In the sandbox: render the template fields of a task."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, Dict, List, Mapping, Optional

import pendulum

from native_api.adapters.compat import airflow
from native_api.adapters.compat.interface.test_runs import Instance
from native_api.adapters.executor.functions import runs_on_executor
from native_api.adapters.sandbox.json_values import json_value, shallow
from native_api.adapters.sandbox.redaction import redacted
from native_api.errors import TaskNotFound


@runs_on_executor
def render(dag: Mapping[str, Any], facts: Mapping[str, Any], **key: Any) -> Dict[str, Any]:
    """
    Render the template fields of a task as its file defines it now.

    :param dag: where its DAG file is: see :func:`task_of`.
    :param facts: those of :meth:`native_api.adapters.compat.interface.test_runs.TestRuns.facts`.
    :param key: the arguments of :func:`instance_of`.
    """
    instance = instance_of(facts=facts, **key)
    rendered = airflow().test_runs.render(task_of(instance.task_id, dag), instance)
    return {**both_dates(key), "template_fields": template_fields_of(rendered)}


def template_fields_of(rendered: Mapping[str, object]) -> List[Dict[str, object]]:
    """Return template fields in the format of a response, with secrets masked."""
    masked = {name: redacted(shallow(value), name) for name, value in rendered.items()}
    return [{"name": name, **json_value(value), "text": redacted(str(value))} for name, value in masked.items()]


def both_dates(key: Mapping[str, object]) -> Dict[str, object]:
    """Return the arguments with the logical date and its alias execution_date."""
    return {**key, "execution_date": key["logical_date"]}


def instance_of(
    dag_id: str,
    task_id: str,
    map_index: int,
    run_id: Optional[str],
    logical_date: Optional[str],
    facts: Mapping[str, Any],
) -> Instance:
    """Return the task instance of the arguments; *run_id* is None if there is no run for the date."""
    date: Any = None if logical_date is None else pendulum.parse(logical_date)
    return Instance(dag_id, task_id, map_index, run_id, date, facts)


def task_of(task_id: str, dag_facts: Mapping[str, Any]) -> Any:
    """
    Return the task as its file defines it now.

    :param dag_facts: dag_id, fileloc, relative_fileloc and bundle_name of its DAG.
    :raises DagNotLoaded: the file does not define the DAG.
    :raises TaskNotFound: the DAG does not define the task.
    """
    dag = airflow().user_code.dag(SimpleNamespace(**dag_facts))
    if task_id not in dag.task_dict:
        raise TaskNotFound(dag_facts["dag_id"], task_id)
    return dag.task_dict[task_id]
