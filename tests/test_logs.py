"""task_log."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any, Dict, List

import pytest

import native_api
from native_api import errors
from native_api.adapters import log_lines
from tests import airflow_under_test
from tests.test_contract import is_problem

RUN = "manual__2026-11-01T00:00:00+00:00"
NAMED = {"dag_id": "wire_dag", "run_id": RUN, "task_id": "extract"}
OLD = airflow_under_test.version() < (3, 0)
KEEPS_TRIES = airflow_under_test.version() >= (2, 10)

#: What a task leaves on this Airflow: two lines, and an exception.
MESSAGES = (
    "[2026-11-01T00:00:01.250+0000] {bash.py:63} INFO - Grüße\n"
    "[2026-11-01T00:00:02.000+0000] {taskinstance.py:9} ERROR - Task failed\n"
    "Traceback (most recent call last):\n"
    '  File "a.py", line 3, in run\n'
    "ValueError: no\n"
)
STRUCTURED = [
    {"timestamp": "2026-11-01T00:00:01.25Z", "level": "info", "event": "Grüße", "logger": "task", "lineno": 63},
    {
        "timestamp": "2026-11-01T00:00:02Z",
        "level": "error",
        "event": "Task failed",
        "error_detail": [
            {
                "exc_type": "ValueError",
                "exc_value": "no",
                "frames": [{"filename": "a.py", "lineno": 3, "name": "run"}],
            }
        ],
    },
]


@pytest.fixture
def run(fresh: Any) -> Any:
    """Make a run, and leave no logs of it."""
    native_api.call("trigger_dag", dag_id="wire_dag", run_id=RUN)
    folder = fresh.log_file(**NAMED, try_number=1).parents[1]
    yield fresh
    shutil.rmtree(folder, ignore_errors=True)


def at(try_number: int, state: Any, **columns: Any) -> None:
    airflow_under_test.set_try(**NAMED, try_number=try_number, state=state, **columns)


def store(text: str, try_number: int = 1) -> Any:
    return airflow_under_test.store_log(**NAMED, text=text, try_number=try_number)


def log(**arguments: Any) -> Dict[str, Any]:
    answer: Dict[str, Any] = native_api.call("task_log", **{**NAMED, **arguments})
    return answer


def numbered(count: int, length: int = 8) -> str:
    return "".join(f"{number:0{length}}\n" for number in range(count))


def test_a_finished_task(run: Any) -> None:
    at(1, "success")
    path = store("one\ntwo\n")
    answer = log()
    assert {name: answer[name] for name in NAMED} == NAMED
    assert (answer["try_number"], answer["latest_try_number"], answer["state"]) == (1, 1, "success")
    assert answer["content"] == "one\ntwo\n"
    assert [line["event"] for line in answer["lines"]] == ["one", "two"]
    assert answer["lines"][0] == {"timestamp": None, "level": None, "logger": None, "event": "one", "context": {}}
    assert (answer["truncated"], answer["end_of_log"], answer["continuation_token"]) == (False, True, None)
    assert str(path) in " ".join(answer["sources"])


def test_by_date(run: Any) -> None:
    native_api.call("trigger_dag", dag_id="wire_dag", run_id="by_date", logical_date="2026-11-02")
    assert native_api.call("task_log", dag_id="wire_dag", task_id="load", logical_date="2026-11-02")["try_number"] == 0


def test_lines_that_airflow_2_wrote(run: Any) -> None:
    """They have their parts on Airflow 3 too, which may have been upgraded since."""
    at(1, "failed")
    store(MESSAGES)
    answer = log()
    assert answer["content"] == MESSAGES
    assert answer["lines"][0] == {
        "timestamp": "2026-11-01T00:00:01.250000+00:00",
        "level": "info",
        "logger": None,
        "event": "Grüße",
        "context": {"filename": "bash.py", "lineno": 63},
    }
    assert [line["level"] for line in answer["lines"]] == ["info", "error", None, None, None]
    assert [line["timestamp"] is None for line in answer["lines"]] == [False, False, True, True, True]
    assert answer["lines"][4]["event"] == "ValueError: no"


@pytest.mark.skipif(OLD, reason="Airflow 2 writes logs as text")
def test_lines_that_airflow_3_wrote(run: Any) -> None:
    """Their text has the form of Airflow 2, the exception included."""
    at(1, "failed")
    store("".join(json.dumps(line) + "\n" for line in STRUCTURED))
    answer = log()
    assert answer["lines"][0] == {
        "timestamp": "2026-11-01T00:00:01.250000+00:00",
        "level": "info",
        "logger": "task",
        "event": "Grüße",
        "context": {"lineno": 63},
    }
    assert answer["lines"][1]["context"] == {"error_detail": STRUCTURED[1]["error_detail"]}
    assert answer["content"] == (
        "[2026-11-01T00:00:01.250000+00:00] {task} INFO - Grüße\n"
        "[2026-11-01T00:00:02+00:00] ERROR - Task failed\n"
        "Traceback (most recent call last):\n"
        '  File "a.py", line 3, in run\n'
        "ValueError: no\n"
    )


class TestTries:
    def test_the_latest_unless_one_is_named(self, run: Any) -> None:
        at(2, "failed")
        store("first\n", 1)
        store("second\n", 2)
        assert (log()["content"], log()["try_number"]) == ("second\n", 2)
        first = log(try_number=1)
        assert (first["content"], first["try_number"], first["latest_try_number"]) == ("first\n", 1, 2)
        assert first["end_of_log"]

    def test_an_earlier_one_ends_while_a_later_one_runs(self, run: Any) -> None:
        """The host that runs the later one is not asked for the earlier one's log."""
        if KEEPS_TRIES:
            from airflow.models.taskinstance import TaskInstance
            from airflow.models.taskinstancehistory import TaskInstanceHistory
            from sqlalchemy import select

            at(1, "failed", hostname="first-host")
            with run.session() as session:
                history = TaskInstanceHistory.record_ti
                history(
                    session.scalars(select(TaskInstance).where(TaskInstance.task_id == "extract")).unique().one(),
                    session=session,
                )
        at(2, "running", hostname="second-host")
        store("first\n", 1)
        answer = log(try_number=1)
        assert (answer["content"], answer["end_of_log"], answer["state"]) == ("first\n", True, "running")
        assert "second-host" not in str(answer["sources"])
        assert native_api.call("task_state", **NAMED)["state"] == "running"
        assert native_api.call("task_state", **NAMED)["try_number"] == 2

    @pytest.mark.parametrize("latest", [0, 1, 2])
    def test_one_that_is_not_there(self, run: Any, latest: int) -> None:
        at(latest, "failed")
        with pytest.raises(errors.TryNotFound, match=f"has no try 3 in the run '.*'; its latest is {latest}"):
            log(try_number=3)

    @pytest.mark.parametrize(
        "state, over", [(None, False), ("scheduled", False), ("skipped", True), ("upstream_failed", True)]
    )
    def test_a_task_that_has_not_run(self, run: Any, state: Any, over: bool) -> None:
        """There is nothing to read; that nothing will follow is known only of one that has been decided on."""
        at(0, state)
        answer = log()
        assert (answer["try_number"], answer["state"]) == (0, state)
        assert (answer["content"], answer["lines"], answer["sources"]) == ("", [], [])
        assert (answer["end_of_log"], answer["continuation_token"] is None) == (over, over)

    @pytest.mark.skipif(KEEPS_TRIES, reason="a try keeps its number since Airflow 2.10")
    @pytest.mark.parametrize("state", ["deferred", "up_for_reschedule"])
    def test_a_task_that_waits_has_given_its_number_back(self, run: Any, state: str) -> None:
        at(0, state)
        store("waiting\n")
        answer = log()
        assert (answer["try_number"], answer["content"], answer["end_of_log"]) == (1, "waiting\n", False)

    @pytest.mark.parametrize("try_number", [0, -1, "x", 1.5, 2**31])
    def test_no_number(self, run: Any, try_number: Any) -> None:
        with pytest.raises(errors.Invalid):
            log(try_number=try_number)


def test_no_file(run: Any) -> None:
    """What the handler has to say about it is in the sources."""
    at(1, "success")
    answer = log()
    assert (answer["content"], answer["end_of_log"]) == ("", True)


@pytest.mark.skipif(not OLD, reason="Airflow 3 makes the name of the instance alone")
def test_a_file_name_that_needs_the_task(run: Any, monkeypatch: Any) -> None:
    from airflow.models.dagrun import DagRun
    from airflow.models.tasklog import LogTemplate
    from airflow.utils.log.log_reader import TaskLogReader

    template = LogTemplate(filename="{{ ti.dag_id }}/{{ task.owner }}.log")
    monkeypatch.setattr(DagRun, "get_log_template", lambda self, session=None: template)
    at(1, "success")
    path = Path(TaskLogReader().log_handler.local_base) / "wire_dag" / "ada.log"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("one\n", encoding="utf-8")
    assert log()["content"] == "one\n"


class TestATaskThatRuns:
    def test_reading_on(self, run: Any) -> None:
        """Each answer has what came since the last one, and the last one says that it is."""
        at(1, "running")
        path = store("one\n")
        answer = log()
        assert (answer["content"], answer["end_of_log"]) == ("one\n", False)
        answer = log(continuation_token=answer["continuation_token"])
        assert (answer["content"], answer["lines"], answer["end_of_log"]) == ("", [], False)
        with path.open("a", encoding="utf-8") as file:
            file.write("two\nthree\n")
        at(1, "success")
        answer = log(continuation_token=answer["continuation_token"])
        assert (answer["content"], answer["end_of_log"]) == ("two\nthree\n", True)

    def test_from_before_it_began(self, run: Any) -> None:
        token = log()["continuation_token"]
        at(1, "running")
        store("one\n")
        answer = log(continuation_token=token)
        assert (answer["try_number"], answer["content"]) == (1, "one\n")

    def test_from_a_tail(self, run: Any) -> None:
        at(1, "running")
        path = store("one\ntwo\n")
        answer = log(tail_lines=1)
        assert answer["content"] == "two\n"
        path.write_text("one\ntwo\nthree\n", encoding="utf-8")
        assert log(continuation_token=answer["continuation_token"])["content"] == "three\n"

    def test_the_try_is_the_one_that_was_begun(self, run: Any) -> None:
        at(1, "running")
        store("one\n")
        token = log()["continuation_token"]
        at(2, "running")
        store("second\n", 2)
        path = store("one\nend\n")
        answer = log(continuation_token=token)
        assert (answer["content"], answer["try_number"], answer["end_of_log"]) == ("end\n", 1, True), path
        with pytest.raises(errors.Invalid, match="another log"):
            log(continuation_token=token, try_number=2)


class TestTheBound:
    def test_part_by_part(self, run: Any, mocker: Any) -> None:
        """Whatever the size of the parts, they make the whole log up."""
        mocker.patch.object(log_lines, "LOG_BYTES", 90)
        at(1, "success")
        store(numbered(25))
        parts: List[str] = []
        answer = log()
        while True:
            parts.append(answer["content"])
            if answer["end_of_log"]:
                break
            assert answer["truncated"]
            answer = log(continuation_token=answer["continuation_token"])
        assert [len(part) for part in parts] == [90, 90, 45]
        assert "".join(parts) == numbered(25)
        assert not answer["truncated"]

    def test_it_is_a_mebibyte(self, run: Any) -> None:
        at(1, "success")
        store(numbered(1200, 1023))
        answer = log()
        assert (len(answer["content"]), answer["truncated"], answer["end_of_log"]) == (1024 * 1024, True, False)
        answer = log(continuation_token=answer["continuation_token"])
        assert (len(answer["lines"]), answer["end_of_log"]) == (176, True)
        answer = log(tail_lines=1100)
        assert (len(answer["lines"]), answer["truncated"], answer["end_of_log"]) == (1024, True, True)
        assert answer["lines"][-1]["event"].endswith("1199")

    def test_nothing_is_left_behind(self, run: Any, monkeypatch: Any, tmp_path: Any) -> None:
        """Airflow 3 copies a long log to a file of its own while it is read."""
        monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
        at(1, "success")
        store(numbered(20000, 100))
        assert log()["truncated"]
        assert list(tmp_path.iterdir()) == []

    def test_a_line_that_is_longer(self, run: Any, mocker: Any) -> None:
        """It is cut, between characters, and the next part begins with the next line."""
        mocker.patch.object(log_lines, "LOG_BYTES", 16)
        at(1, "success")
        store("ü" * 100 + "\nshort\n")
        answer = log()
        assert (answer["content"], answer["truncated"]) == ("ü" * 7 + "\n", True)
        assert answer["lines"][0]["event"] == "ü" * 7
        assert log(continuation_token=answer["continuation_token"])["content"] == "short\n"
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
def test_a_tail(run: Any, asked: Any, content: str) -> None:
    at(1, "success")
    store(numbered(5))
    answer = log(**asked)
    assert (answer["content"], answer["truncated"], answer["end_of_log"]) == (content, False, True)


@pytest.mark.parametrize(
    "arguments, error",
    [
        ({"task_id": "nope"}, errors.TaskNotFound),
        ({"map_index": 3}, errors.TaskInstanceNotFound),
        ({"run_id": "nope"}, errors.DagRunNotFound),
        ({"dag_id": "nope"}, errors.DagNotFound),
        ({"tail_lines": 0}, errors.Invalid),
        ({"tail_lines": 1, "tail_bytes": 1}, errors.Invalid),
        ({"tail_lines": 1, "continuation_token": "x"}, errors.Invalid),
        ({"continuation_token": ""}, errors.Invalid),
        ({"continuation_token": "x.y"}, errors.Invalid),
        ({"continuation_token": "ü"}, errors.Invalid),
    ],
)
def test_what_is_not_there(run: Any, arguments: Any, error: Any) -> None:
    with pytest.raises(error):
        log(**arguments)


def test_a_token_of_another_log(run: Any) -> None:
    token = log()["continuation_token"]
    with pytest.raises(errors.Invalid, match="another log"):
        log(task_id="load", continuation_token=token)
    with pytest.raises(errors.Invalid, match="none that an answer"):
        log(continuation_token=token[:-2])


def test_over_http(run: Any, site: Any) -> None:
    """In the thread that a web server answers in; the token needs no escaping."""
    at(1, "running")
    path = store("one\n")
    answer = site.typed("task_log", **NAMED)
    assert (answer.status, answer.json["content"]) == (200, "one\n")
    path.write_text("one\ntwo\n", encoding="utf-8")
    url = f"/native_api/v1/task_log?dag_id=wire_dag&task_id=extract&run_id={RUN}"
    answer = site.request("GET", f"{url}&continuation_token={answer.json['continuation_token']}")
    assert (answer.status, answer.json["content"]) == (200, "two\n")
    is_problem(site.typed("task_log", **NAMED, try_number=7), 404)
    assert site.typed("task_log", **NAMED, try_number=7).json["latest_try_number"] == 1


def test_a_handler_that_cannot_read(run: Any, monkeypatch: Any) -> None:
    from airflow.utils.log.log_reader import TaskLogReader

    at(1, "success")
    monkeypatch.setattr(TaskLogReader, "log_handler", object())
    with pytest.raises(errors.NotSupported, match="task_log_reader"):
        log()


class TestAHandlerThatGivesParts:
    """As those for Elasticsearch do, whose metadata says where the next part begins."""

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

    def test_reading_on(self, handler: Any) -> None:
        contents, answer = [], log()
        while not answer["end_of_log"]:
            contents.append(answer["content"])
            answer = log(continuation_token=answer["continuation_token"])
        assert contents == ["0 a\n0 b\n", "1 a\n1 b\n"]
        assert handler.asked == [{}, {"offset": 1, "end_of_log": False}, {"offset": 2, "end_of_log": False}]

    def test_a_bound_within_a_part(self, handler: Any, mocker: Any) -> None:
        mocker.patch.object(log_lines, "LOG_BYTES", 4)
        contents, answer = [], log()
        while not answer["end_of_log"]:
            contents.append(answer["content"])
            answer = log(continuation_token=answer["continuation_token"])
        assert [content for content in contents if content] == ["0 a\n", "0 b\n", "1 a\n", "1 b\n"]
