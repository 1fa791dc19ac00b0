"""In the sandbox: render the template fields of a task."""

from __future__ import annotations

from typing import Any, Dict, List, Mapping, Optional

import pendulum

from native_api.adapters.compat import airflow
from native_api.adapters.compat.interface.test_runs import Instance
from native_api.adapters.dags.operations import find_active
from native_api.adapters.sandbox.json_values import json_value, shallow
from native_api.adapters.sandbox.redaction import redacted
from native_api.errors import DagNotFound, TaskNotFound


def render(**key: Any) -> Dict[str, Any]:
    """Render the template fields of a task as its file defines it now; see :func:`instance_of` for the arguments."""
    instance = instance_of(**key)
    return {
        **both_dates(key),
        "template_fields": template_fields_of(airflow().test_runs.render(task_of(instance), instance)),
    }


def template_fields_of(rendered: Mapping[str, object]) -> List[Dict[str, object]]:
    """Return template fields in the format of a response, with secrets masked."""
    masked = {name: redacted(shallow(value), name) for name, value in rendered.items()}
    return [{"name": name, **json_value(value), "text": redacted(str(value))} for name, value in masked.items()]


def both_dates(key: Mapping[str, object]) -> Dict[str, object]:
    """Return the arguments with the logical date and its alias execution_date."""
    return {**key, "execution_date": key["logical_date"]}


def instance_of(
    dag_id: str, task_id: str, map_index: int, run_id: Optional[str], logical_date: Optional[str]
) -> Instance:
    """Return the task instance of the arguments; *run_id* is None if there is no run for the date."""
    date: Any = None if logical_date is None else pendulum.parse(logical_date)
    return Instance(dag_id, task_id, map_index, run_id, date)


def task_of(instance: Instance) -> Any:
    """
    Return the task as its file defines it now.

    :raises DagNotLoaded: the file does not define the DAG.
    :raises TaskNotFound: the DAG does not define the task.
    """
    with airflow().session() as session:
        dag_model = find_active(session, instance.dag_id)
        if dag_model is None:
            raise DagNotFound(instance.dag_id)
        session.expunge_all()
    dag = airflow().user_code.dag(dag_model)
    if instance.task_id not in dag.task_dict:
        raise TaskNotFound(instance.dag_id, instance.task_id)
    return dag.task_dict[instance.task_id]
