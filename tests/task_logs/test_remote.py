"""task_log with remote logging."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any, Dict, Iterator

import pytest

from tests.support import airflow_under_test
from tests.support.versions import by_default_on
from tests.task_logs.one_task import NAMED, at, numbered, store
from tests.task_logs.remote import FOLDER, STREAMS

pytestmark = by_default_on("2.8", "2.9", "2.10", "3.1", "3.2", "3.4")

WAYS = ["read", *(["stream"] if airflow_under_test.version() >= (3, 2) else [])]


class Reader:
    """A process whose Airflow has remote logging."""

    def __init__(self, process: Any, folder: Path) -> None:
        self._process = process
        self._folder = folder

    def log(self, **arguments: Any) -> Dict[str, Any]:
        """Return the log of the task."""
        self._process.stdin.write(json.dumps({**NAMED, **arguments}) + "\n")
        self._process.stdin.flush()
        response: Dict[str, Any] = json.loads(self._process.stdout.readline())
        return response

    def store(self, text: str, try_number: int = 1) -> None:
        """Upload a log to the storage, as a worker does at the end of a task."""
        file = self._file(try_number)
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")

    def clean(self) -> None:
        """Empty the storage."""
        for try_number in (1, 2):
            with contextlib.suppress(FileNotFoundError):
                self._file(try_number).unlink()

    def _file(self, try_number: int) -> Path:
        local = airflow_under_test.log_file(**NAMED, try_number=try_number)
        return self._folder / local.relative_to(Path(os.environ["AIRFLOW_HOME"], "logs"))


@pytest.fixture(scope="module", params=WAYS)
def process(request: Any, airflow: Any, tmp_path_factory: Any) -> Iterator[Any]:
    folder = tmp_path_factory.mktemp("storage")
    environment = {
        **os.environ,
        "AIRFLOW__LOGGING__LOGGING_CONFIG_CLASS": "tests.task_logs.remote.LOGGING_CONFIG",
        "PYTHONPATH": str(airflow_under_test.HERE.parents[1]),
        FOLDER: str(folder),
        STREAMS: "1" if request.param == "stream" else "",
    }
    words = [sys.executable, "-m", "tests.task_logs.asked"]
    with subprocess.Popen(
        words, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, encoding="utf-8"
    ) as started:
        yield started, folder
        # The process ends where its input does.


@pytest.fixture
def reader(run: Any, process: Any) -> Iterator[Reader]:
    made = Reader(*process)
    yield made
    made.clean()


def test_the_log_of_a_missing_worker_is_read_from_the_storage(reader: Reader) -> None:
    at(1, "success")
    reader.store("one\ntwo\n")
    response = reader.log()
    assert (response["content"], response["end_of_log"], response["truncated"]) == ("one\ntwo\n", True, False)
    assert [source.partition("://")[0] for source in response["sources"]] == ["storage"]
    assert reader.log(tail_lines=1)["content"] == "two\n"


def test_each_try_has_its_log(reader: Reader) -> None:
    at(2, "success")
    reader.store("first\n")
    reader.store("second\n", 2)
    assert [reader.log(**asked)["content"] for asked in ({"try_number": 1}, {})] == ["first\n", "second\n"]


def test_the_token_continues_when_the_log_moves_to_the_storage(reader: Reader) -> None:
    """No line is repeated or missing."""
    at(1, "running")
    path = store("one\n")
    response = reader.log()
    assert (response["content"], response["end_of_log"]) == ("one\n", False)
    reader.store("one\ntwo\n")
    path.unlink()
    at(1, "success")
    response = reader.log(continuation_token=response["continuation_token"])
    assert (response["content"], response["end_of_log"]) == ("two\n", True)


def test_the_parts_make_up_the_log(reader: Reader) -> None:
    at(1, "success")
    reader.store(numbered(1200, 1023))
    response = reader.log()
    assert (len(response["lines"]), response["truncated"], response["end_of_log"]) == (1024, True, False)
    response = reader.log(continuation_token=response["continuation_token"])
    assert (len(response["lines"]), response["end_of_log"]) == (176, True)
    assert response["lines"][-1]["event"].endswith("1199")


def test_a_log_that_was_not_uploaded_is_read_from_the_worker(reader: Reader) -> None:
    """The sources name the storage, too."""
    at(1, "failed")
    store("one\n")
    response = reader.log()
    assert response["content"] == "one\n"
    assert response["sources"][0].endswith("in the storage")
