"""The logs of tasks in Airflow 3."""

from __future__ import annotations

from itertools import chain
from typing import Any, Dict, Mapping

from native_api.adapters.compat.interface.logs import Logs, Part


class Logs3(Logs):
    """Airflow 3.4."""

    def signing_key(self) -> str:
        from airflow.api_fastapi.auth.tokens import get_signing_key

        return str(get_signing_key("api", "secret_key"))

    def _reads_remote_logs(self) -> bool:
        from airflow.logging_config import get_remote_task_log

        return get_remote_task_log() is not None

    def _tries(self) -> Any:
        from airflow.models.taskinstance import TaskInstance

        return TaskInstance

    def _part(self, found: Any, metadata: Mapping[str, object]) -> Part:
        messages = iter(found or ())
        first = next(messages, None)
        if first is None or not first.event.startswith("::group::Log message source details"):
            return Part([], map(_fields, chain([first] if first else [], messages)), metadata)
        # Up to 3.2 the first message of the group has the sources; later they are the messages of the group.
        sources = list(getattr(first, "sources", None) or ())
        for message in messages:
            if message.event == "::endgroup::":
                break
            sources.append(message.event)
        return Part(sources, map(_fields, messages), metadata)


class Logs33(Logs3):
    """Airflow 3.2 and 3.3."""

    def _tries(self) -> Any:
        from airflow.models.taskinstancehistory import TaskInstanceHistory

        return TaskInstanceHistory


class Logs31(Logs33):
    """Airflow 3.0 and 3.1."""

    def _reads_remote_logs(self) -> bool:
        # It is a function since 3.2.
        from airflow.logging_config import REMOTE_TASK_LOG  # type: ignore[attr-defined]

        return REMOTE_TASK_LOG is not None


def _fields(message: Any) -> Dict[str, object]:
    """Return a message's fields, as JSON but for the timestamp."""
    return {**message.model_dump(mode="json"), "timestamp": message.timestamp}
