"""task_log: the log of a running task, a part of a log, its tail."""

from __future__ import annotations

import tracemalloc
from typing import Any, List

import pytest

from native_api import errors
from native_api.adapters.compat import log_files
from native_api.adapters.task_logs import lines
from tests.support.problems import assert_problem
from tests.task_logs.one_task import NAMED, RUN, at, log, numbered, store


class TestRunningTasks:
    def test_the_continuation_token_returns_what_is_new(self, run: Any) -> None:
        """The last response has end_of_log."""
        at(1, "running")
        path = store("one\n")
        response = log()
        assert (response["content"], response["end_of_log"]) == ("one\n", False)
        response = log(continuation_token=response["continuation_token"])
        assert (response["content"], response["lines"], response["end_of_log"]) == ("", [], False)
        with path.open("a", encoding="utf-8") as file:
            file.write("two\nthree\n")
        at(1, "success")
        response = log(continuation_token=response["continuation_token"])
        assert (response["content"], response["end_of_log"]) == ("two\nthree\n", True)

    def test_a_token_from_before_the_start_returns_the_first_try(self, run: Any) -> None:
        token = log()["continuation_token"]
        at(1, "running")
        store("one\n")
        response = log(continuation_token=token)
        assert (response["try_number"], response["content"]) == (1, "one\n")

    def test_the_token_of_a_tail_returns_what_is_new(self, run: Any) -> None:
        at(1, "running")
        path = store("one\ntwo\n")
        response = log(tail_lines=1)
        assert response["content"] == "two\n"
        path.write_text("one\ntwo\nthree\n", encoding="utf-8")
        assert log(continuation_token=response["continuation_token"])["content"] == "three\n"

    def test_a_token_stays_with_its_try(self, run: Any) -> None:
        at(1, "running")
        store("one\n")
        token = log()["continuation_token"]
        at(2, "running")
        store("second\n", 2)
        path = store("one\nend\n")
        response = log(continuation_token=token)
        assert (response["content"], response["try_number"], response["end_of_log"]) == ("end\n", 1, True), path
        with pytest.raises(errors.Invalid, match="another log"):
            log(continuation_token=token, try_number=2)


class TestMaximumSize:
    def test_the_parts_make_up_the_log(self, run: Any, mocker: Any) -> None:
        """Whatever their size."""
        mocker.patch.object(lines, "LOG_BYTES", 90)
        at(1, "success")
        store(numbered(25))
        parts: List[str] = []
        response = log()
        while True:
            parts.append(response["content"])
            if response["end_of_log"]:
                break
            assert response["truncated"]
            response = log(continuation_token=response["continuation_token"])
        assert [len(part) for part in parts] == [90, 90, 45]
        assert "".join(parts) == numbered(25)
        assert not response["truncated"]

    def test_it_is_one_mebibyte(self, run: Any) -> None:
        at(1, "success")
        store(numbered(1200, 1023))
        response = log()
        assert (len(response["content"]), response["truncated"], response["end_of_log"]) == (1024 * 1024, True, False)
        response = log(continuation_token=response["continuation_token"])
        assert (len(response["lines"]), response["end_of_log"]) == (176, True)
        response = log(tail_lines=1100)
        assert (len(response["lines"]), response["truncated"], response["end_of_log"]) == (1024, True, True)
        assert response["lines"][-1]["event"].endswith("1199")

    def test_no_temporary_file_remains(self, run: Any, monkeypatch: Any, tmp_path: Any) -> None:
        """Airflow 3 copies a long log to a temporary file."""
        monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
        at(1, "success")
        store(numbered(20000, 100))
        assert log()["truncated"]
        assert list(tmp_path.iterdir()) == []

    def test_a_longer_line_is_truncated(self, run: Any, mocker: Any) -> None:
        """Between characters; the next part starts with the next line."""
        mocker.patch.object(lines, "LOG_BYTES", 16)
        at(1, "success")
        store("ü" * 100 + "\nshort\n")
        response = log()
        assert (response["content"], response["truncated"]) == ("ü" * 7 + "\n", True)
        assert response["lines"][0]["event"] == "ü" * 7
        assert log(continuation_token=response["continuation_token"])["content"] == "short\n"
        assert log(tail_bytes=4)["content"] == "sho\n"


@pytest.mark.parametrize(
    "asked, content",
    [
        pytest.param({"tail_lines": 2}, "00000003\n00000004\n", id="lines"),
        pytest.param({"tail_lines": 9}, numbered(5), id="more lines than there are"),
        pytest.param({"tail_bytes": 18}, "00000003\n00000004\n", id="bytes"),
        pytest.param({"tail_bytes": 26}, "00000003\n00000004\n", id="whole lines only"),
        pytest.param({"tail_bytes": "1000"}, numbered(5), id="more bytes than there are"),
    ],
)
def test_tail_lines_and_tail_bytes_return_the_log_tail(run: Any, asked: Any, content: str) -> None:
    at(1, "success")
    store(numbered(5))
    response = log(**asked)
    assert (response["content"], response["truncated"], response["end_of_log"]) == (content, False, True)


class TestLargeFiles:
    """The tail of a large file is read from its end, in constant time and memory."""

    LINES = 5000

    @pytest.fixture(autouse=True)
    def file(self, run: Any, monkeypatch: Any) -> None:
        monkeypatch.setattr(log_files, "END_BYTES", 8192)
        at(1, "success")
        self.path = store(numbered(self.LINES))

    def test_tail_lines_returns_the_last_lines(self) -> None:
        response = log(tail_lines=2)
        assert response["content"] == f"{self.LINES - 2:08}\n{self.LINES - 1:08}\n"
        assert (response["truncated"], response["end_of_log"], response["continuation_token"]) == (False, True, None)

    def test_the_memory_does_not_depend_on_the_size(self) -> None:
        def peak() -> int:
            tracemalloc.start()
            try:
                log(tail_lines=2)
                return tracemalloc.get_traced_memory()[1]
            finally:
                tracemalloc.stop()

        log(tail_lines=2)
        of_a_small_one = peak()
        size = len(store(numbered(300_000)).read_bytes())
        assert peak() - of_a_small_one < size / 2

    def test_the_sources_do_not_name_the_copied_file(self) -> None:
        assert log(tail_lines=2)["sources"] == log()["sources"]

    def test_truncated_is_true_if_there_are_more_lines(self) -> None:
        response = log(tail_lines=self.LINES)
        assert response["truncated"]
        assert response["content"].endswith(f"{self.LINES - 1:08}\n")
        assert {len(line) for line in response["content"].splitlines()} == {8}

    def test_a_file_can_be_one_long_line(self) -> None:
        self.path.write_text("x" + "ü" * 10_000, encoding="utf-8")
        response = log(tail_lines=1)
        assert response["content"].strip("\n").strip("ü") == ""

    def test_the_token_continues_after_the_end_of_the_file(self) -> None:
        at(1, "running")
        response = log(tail_lines=1)
        with open(self.path, "a", encoding="utf-8") as opened:
            opened.write("more\n")
        assert log(continuation_token=response["continuation_token"])["content"] == "more\n"


def test_a_token_of_another_log_is_invalid(run: Any) -> None:
    token = log()["continuation_token"]
    with pytest.raises(errors.Invalid, match="another log"):
        log(task_id="load", continuation_token=token)
    with pytest.raises(errors.Invalid, match="not a continuation_token"):
        log(continuation_token=token[:-2])


def test_it_works_in_a_thread_of_a_web_server(run: Any, site: Any) -> None:
    """The token is safe in URLs."""
    at(1, "running")
    path = store("one\n")
    response = site.typed("task_log", **NAMED)
    assert (response.status, response.json["content"]) == (200, "one\n")
    path.write_text("one\ntwo\n", encoding="utf-8")
    url = f"/native_api/v1/task_log?dag_id=wire_dag&task_id=extract&run_id={RUN}"
    response = site.request("GET", f"{url}&continuation_token={response.json['continuation_token']}")
    assert (response.status, response.json["content"]) == (200, "two\n")
    assert_problem(site.typed("task_log", **NAMED, try_number=7), 404)
    assert site.typed("task_log", **NAMED, try_number=7).json["latest_try_number"] == 1
