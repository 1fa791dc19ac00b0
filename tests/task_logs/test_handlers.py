"""task_log with other log handlers."""

from __future__ import annotations

from typing import Any, List

import pytest

from native_api import errors
from native_api.adapters.task_logs import lines
from tests.task_logs.one_task import OLD, at, log


def test_a_handler_that_cannot_read_is_refused(run: Any, monkeypatch: Any) -> None:
    from airflow.utils.log.log_reader import TaskLogReader

    at(1, "success")
    monkeypatch.setattr(TaskLogReader, "log_handler", object())
    with pytest.raises(errors.NotSupported, match="task_log_reader"):
        log()


class TestChunks:
    """A handler that returns a log in chunks, like that of Elasticsearch; its metadata has the next position."""

    @pytest.fixture
    def handler(self, run: Any, monkeypatch: Any) -> Any:
        from airflow.utils.log.log_reader import TaskLogReader

        class Handler:
            asked: List[Any] = []

            def read(self, instance: Any, try_number: int, metadata: Any) -> Any:
                self.asked.append(dict(metadata))
                offset = metadata.get("offset", 0)
                part = [f"{offset} {place}" for place in "ab"] if offset < 2 else []
                after = {"offset": offset + 1 if part else offset, "end_of_log": not part}
                if OLD:
                    return [[("host", "\n".join(part))]], [after]
                from airflow.utils.log.file_task_handler import StructuredLogMessage

                return (StructuredLogMessage(event=event) for event in part), after

        at(1, "success")
        monkeypatch.setattr(TaskLogReader, "log_handler", Handler())
        return Handler

    def test_the_continuation_token_returns_the_next_chunk(self, handler: Any) -> None:
        contents, response = [], log()
        while not response["end_of_log"]:
            contents.append(response["content"])
            response = log(continuation_token=response["continuation_token"])
        assert contents == ["0 a\n0 b\n", "1 a\n1 b\n"]
        assert handler.asked == [{}, {"offset": 1, "end_of_log": False}, {"offset": 2, "end_of_log": False}]

    def test_a_chunk_larger_than_the_maximum_is_divided(self, handler: Any, mocker: Any) -> None:
        mocker.patch.object(lines, "LOG_BYTES", 4)
        contents, response = [], log()
        while not response["end_of_log"]:
            contents.append(response["content"])
            response = log(continuation_token=response["continuation_token"])
        assert [content for content in contents if content] == ["0 a\n", "0 b\n", "1 a\n", "1 b\n"]
