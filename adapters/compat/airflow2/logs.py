"""The logs of tasks in Airflow 2, which are texts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Dict, FrozenSet, Iterator, Mapping

from native_api.adapters.compat.interface.logs import Logs, Part

if TYPE_CHECKING:
    from airflow.models.taskinstance import TaskInstance
    from sqlalchemy.orm import Session

#: The variables of the template of a log file's name that need no task.
_WITHOUT_TASK = {"ti", "ts", "try_number"}


class Logs2(Logs):
    """Airflow 2.10 and 2.11."""

    #: Whether the file handler fails for an instance without a task.
    needs_task = False

    def signing_key(self) -> str:
        from airflow.configuration import conf

        return str(conf.get_mandatory_value("webserver", "secret_key"))

    def read(
        self,
        instance: TaskInstance,
        try_number: int,
        metadata: Mapping[str, object],
        session: Session,
        *,
        end_only: bool = False,
    ) -> Part:
        self._bind_task(instance, session)
        return super().read(instance, try_number, metadata, session, end_only=end_only)

    def _bind_task(self, instance: TaskInstance, session: Session) -> None:
        """Give the instance its task where the template of the file's name needs it; a DAG takes time to load."""
        from airflow.models.serialized_dag import SerializedDagModel
        from jinja2 import Environment, meta

        template = instance.dag_run.get_log_template(session=session).filename
        if not self.needs_task and meta.find_undeclared_variables(Environment().parse(template)) <= _WITHOUT_TASK:
            return
        dag = SerializedDagModel.get_dag(instance.dag_id, session=session)
        if dag is not None and dag.has_task(instance.task_id):
            instance.task = dag.get_task(instance.task_id)

    def _part(self, found: Any, metadata: Mapping[str, Any]) -> Part:
        text = "\n".join(text for _, text in found[0])
        # The file handler adds the sources before the text, whose length is log_pos.
        heading = len(text) - metadata.get("log_pos", len(text))
        sources = [line[4:].strip() for line in text[:heading].splitlines() if line.startswith("*** ")]
        return Part(sources, _lines(text[heading:]), metadata)

    def _reads_remote_logs(self) -> bool:
        # Remote logs have handlers of their own.
        return False

    def _tries(self) -> Any:
        from airflow.models.taskinstancehistory import TaskInstanceHistory

        return TaskInstanceHistory


class Logs29(Logs2):
    """Airflow 2.7 to 2.9, which keep no earlier tries and count a try when it begins, not when it is scheduled."""

    def latest_try(self, instance: TaskInstance, column: int) -> int:
        from airflow.utils.state import TaskInstanceState as States

        # A deferred or rescheduled task has decremented it, and increments it again when it resumes.
        waits = instance.state in (States.DEFERRED, States.UP_FOR_RESCHEDULE)
        goes_on = instance.state in (States.SCHEDULED, States.QUEUED) and bool(instance.next_method)
        return column + 1 if waits or goes_on else column

    def open_states(self) -> FrozenSet[object]:
        from airflow.utils.state import TaskInstanceState as States

        return super().open_states() - {States.SCHEDULED, States.QUEUED}

    def _earlier(self, instance: TaskInstance, try_number: int, session: Session) -> Any:
        return None


class Logs28(Logs29):
    """Airflow 2.8, whose handler asks the task whether it is an empty one when it has not reached a host."""

    needs_task = True


def _lines(text: str) -> Iterator[Dict[str, object]]:
    for line in text.split("\n"):
        if line:
            yield {"event": line}
