"""The logs of tasks, through Airflow's own reader."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, FrozenSet, Iterable, List, Mapping

from sqlalchemy import select
from sqlalchemy.orm import joinedload

from native_api.adapters.compat import log_files
from native_api.errors import NotSupported

if TYPE_CHECKING:
    from airflow.models.taskinstance import TaskInstance
    from sqlalchemy.orm import Session


@dataclass(frozen=True)
class Part:
    """A part of a log: its sources, its lines, each with at least an ``event``, and the metadata to continue with."""

    sources: List[str]
    lines: Iterable[Mapping[str, object]]
    metadata: Mapping[str, object]
    #: Whether earlier lines were skipped.
    is_cut: bool = False

    @property
    def is_whole(self) -> bool:
        """Whether the handler returns the whole log each time, as Airflow's file handler and those built on it do."""
        # Airflow 3.0 and 3.1 ignore log_pos and start from the beginning again, so it is not passed back to them.
        return "log_pos" in self.metadata


class Logs(ABC):
    """The logs of tasks."""

    @abstractmethod
    def signing_key(self) -> str:
        """Return the key that Airflow signs its continuation tokens with."""

    def latest_try(self, instance: TaskInstance, column: int) -> int:
        """Return the number of the latest try, 0 before the first.

        :param column: the value of the column try_number.
        """
        return column

    def open_states(self) -> FrozenSet[object]:
        """Return the states in which the latest try has not ended; a cleared instance has no state, and has ended."""
        from airflow.utils.state import State, TaskInstanceState

        return frozenset(State.unfinished - {None, TaskInstanceState.UP_FOR_RETRY})

    def relations(self) -> List[Any]:
        """Return the loader options for an instance, since readers use its relations after the session is closed."""
        from airflow.models.taskinstance import TaskInstance
        from airflow.models.trigger import Trigger

        run, trigger = joinedload(TaskInstance.dag_run), joinedload(TaskInstance.trigger)
        return [run, trigger.joinedload(Trigger.triggerer_job)]

    def as_it_was(self, instance: TaskInstance, try_number: int, session: Session) -> Any:
        """Return the instance with the state and the hostname of an earlier try."""
        from airflow.utils.state import TaskInstanceState

        # An unrecorded try has ended; for a running one readers would ask its host.
        earlier = self._earlier(instance, try_number, session) or (TaskInstanceState.FAILED, instance.hostname)
        session.expunge(instance)
        instance.try_number = try_number
        instance.state, instance.hostname = earlier
        return instance

    def _earlier(self, instance: TaskInstance, try_number: int, session: Session) -> Any:
        row = self._tries()
        names = ("dag_id", "run_id", "task_id", "map_index")
        same = (getattr(row, name) == getattr(instance, name) for name in names)
        statement = select(row.state, row.hostname).where(*same, row.try_number == try_number)
        # Since 3.4 all tries are rows of task_instance, and a query returns only the latest unless it has this option.
        return session.execute(statement.execution_options(include_all_attempts=True)).first()

    @abstractmethod
    def _reads_remote_logs(self) -> bool:
        """Return whether the file handler also reads remote logs."""

    @abstractmethod
    def _tries(self) -> Any: ...

    def read(
        self,
        instance: TaskInstance,
        try_number: int,
        metadata: Mapping[str, object],
        session: Session,
        *,
        end_only: bool = False,
    ) -> Part:
        """
        Read the next part of a log.

        :param metadata: the metadata of the previous part; empty for the first.
        :param end_only: read only the end of large files.
        :raises NotSupported: the configured handler cannot read logs.
        """
        from airflow.utils.log.log_reader import TaskLogReader

        reader = TaskLogReader()
        if not reader.supports_read:
            raise NotSupported(
                "task_log",
                "The handler of the option [logging] task_log_reader cannot read logs; configure another one.",
            )
        if end_only and not self._reads_remote_logs():
            with log_files.shortened(reader.log_handler, instance, try_number) as handler:
                if handler is not None:
                    return self._end(reader, handler, instance, try_number)
        return self._part(*reader.read_log_chunks(instance, try_number, dict(metadata)))  # type: ignore[arg-type]

    def _end(self, reader: Any, handler: Any, instance: TaskInstance, try_number: int) -> Part:
        """Read the ends of the files of a try with a handler that has them in a temporary folder."""
        folder, place = handler.local_base, reader.log_handler.local_base
        vars(reader)["log_handler"] = handler
        part = self._part(*reader.read_log_chunks(instance, try_number, {}))
        sources = [source.replace(folder, str(place)) for source in part.sources]
        return Part(sources, list(part.lines), part.metadata, is_cut=True)

    @abstractmethod
    def _part(self, found: Any, metadata: Mapping[str, object]) -> Part: ...
