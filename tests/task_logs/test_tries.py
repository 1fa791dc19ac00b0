"""task_log: complete logs of each try."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

import native_api
from native_api import errors
from tests.support import airflow_under_test
from tests.support.airflow_under_test import version
from tests.task_logs.one_task import NAMED, OLD, at, log, store

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


def test_the_log_of_a_finished_task_is_complete(run: Any) -> None:
    at(1, "success")
    path = store("one\ntwo\n")
    response = log()
    assert {name: response[name] for name in NAMED} == NAMED
    assert (response["try_number"], response["latest_try_number"], response["state"]) == (1, 1, "success")
    assert response["content"] == "one\ntwo\n"
    assert [line["event"] for line in response["lines"]] == ["one", "two"]
    assert response["lines"][0] == {"timestamp": None, "level": None, "logger": None, "event": "one", "context": {}}
    assert (response["truncated"], response["end_of_log"], response["continuation_token"]) == (False, True, None)
    assert str(path) in " ".join(response["sources"])


def test_a_run_is_found_by_its_date(run: Any) -> None:
    native_api.call("trigger_dag", dag_id="wire_dag", run_id="by_date", logical_date="2026-11-02")
    assert native_api.call("task_log", dag_id="wire_dag", task_id="load", logical_date="2026-11-02")["try_number"] == 0


def test_lines_of_airflow_2_are_parsed(run: Any) -> None:
    """On Airflow 3, too, which can have been upgraded."""
    at(1, "failed")
    store(MESSAGES)
    response = log()
    assert response["content"] == MESSAGES
    assert response["lines"][0] == {
        "timestamp": "2026-11-01T00:00:01.250000+00:00",
        "level": "info",
        "logger": None,
        "event": "Grüße",
        "context": {"filename": "bash.py", "lineno": 63},
    }
    assert [line["level"] for line in response["lines"]] == ["info", "error", None, None, None]
    assert [line["timestamp"] is None for line in response["lines"]] == [False, False, True, True, True]
    assert response["lines"][4]["event"] == "ValueError: no"


@pytest.mark.skipif(OLD, reason="Airflow 2 writes logs as text")
def test_lines_of_airflow_3_have_the_text_format_of_airflow_2(run: Any) -> None:
    """Also exceptions."""
    at(1, "failed")
    store("".join(json.dumps(line) + "\n" for line in STRUCTURED))
    response = log()
    assert response["lines"][0] == {
        "timestamp": "2026-11-01T00:00:01.250000+00:00",
        "level": "info",
        "logger": "task",
        "event": "Grüße",
        "context": {"lineno": 63},
    }
    assert response["lines"][1]["context"] == {"error_detail": STRUCTURED[1]["error_detail"]}
    assert response["content"] == (
        "[2026-11-01T00:00:01.250000+00:00] {task} INFO - Grüße\n"
        "[2026-11-01T00:00:02+00:00] ERROR - Task failed\n"
        "Traceback (most recent call last):\n"
        '  File "a.py", line 3, in run\n'
        "ValueError: no\n"
    )


class TestTries:
    def test_the_default_is_the_latest_try(self, run: Any) -> None:
        at(2, "failed")
        store("first\n", 1)
        store("second\n", 2)
        assert (log()["content"], log()["try_number"]) == ("second\n", 2)
        first = log(try_number=1)
        assert (first["content"], first["try_number"], first["latest_try_number"]) == ("first\n", 1, 2)
        assert first["end_of_log"]

    def test_an_earlier_try_has_end_of_log_while_a_later_one_runs(self, run: Any) -> None:
        """Its log is not requested from the host of the later one."""
        if KEEPS_TRIES:
            from airflow.models.taskinstance import TaskInstance
            from sqlalchemy import select

            at(1, "failed", hostname="first-host")
            with run.session() as session:
                this_one = select(TaskInstance).where(TaskInstance.task_id == "extract")
                instance = session.scalars(this_one).unique().one()
                if version() < (3, 4):
                    from airflow.models.taskinstancehistory import TaskInstanceHistory

                    TaskInstanceHistory.record_ti(instance, session=session)
                else:
                    instance.prepare_db_for_next_try(session)
        at(2, "running", hostname="second-host")
        store("first\n", 1)
        response = log(try_number=1)
        assert (response["content"], response["end_of_log"], response["state"]) == ("first\n", True, "running")
        assert "second-host" not in str(response["sources"])
        assert native_api.call("task_state", **NAMED)["state"] == "running"
        assert native_api.call("task_state", **NAMED)["try_number"] == 2

    @pytest.mark.parametrize("latest", [0, 1, 2])
    def test_an_unknown_try_is_not_found(self, run: Any, latest: int) -> None:
        at(latest, "failed")
        with pytest.raises(errors.TryNotFound, match=f"has no try 3 in the run '.*'; its latest is {latest}"):
            log(try_number=3)

    @pytest.mark.parametrize(
        "state, over", [(None, False), ("scheduled", False), ("skipped", True), ("upstream_failed", True)]
    )
    def test_a_task_that_has_not_run_has_an_empty_log(self, run: Any, state: Any, over: bool) -> None:
        """end_of_log is true only if the task will not run."""
        at(0, state)
        response = log()
        assert (response["try_number"], response["state"]) == (0, state)
        assert (response["content"], response["lines"], response["sources"]) == ("", [], [])
        assert (response["end_of_log"], response["continuation_token"] is None) == (over, over)

    @pytest.mark.skipif(KEEPS_TRIES, reason="a try keeps its number since Airflow 2.10")
    @pytest.mark.parametrize("state", ["deferred", "up_for_reschedule"])
    def test_a_waiting_task_has_the_log_of_its_current_try(self, run: Any, state: str) -> None:
        at(0, state)
        store("waiting\n")
        response = log()
        assert (response["try_number"], response["content"], response["end_of_log"]) == (1, "waiting\n", False)

    @pytest.mark.parametrize("try_number", [0, -1, "x", 1.5, 2**31])
    def test_an_invalid_try_number_is_an_error(self, run: Any, try_number: Any) -> None:
        with pytest.raises(errors.Invalid):
            log(try_number=try_number)


def test_a_missing_file_is_an_empty_log(run: Any) -> None:
    """The sources have the message of the handler."""
    at(1, "success")
    response = log()
    assert (response["content"], response["end_of_log"]) == ("", True)


@pytest.mark.skipif(not OLD, reason="Airflow 3 makes the name of the instance alone")
def test_a_log_template_can_use_the_task(run: Any, monkeypatch: Any) -> None:
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
def test_an_unknown_dag_task_or_run_is_not_found(run: Any, arguments: Any, error: Any) -> None:
    with pytest.raises(error):
        log(**arguments)
