"""One task instance is run for real, and no other with it."""

from __future__ import annotations

import threading
import time
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from pathlib import Path
from typing import Any, Callable, Dict, Iterator, List

import pendulum
import pytest

import native_api
from native_api import operations
from native_api.adapters.seam import airflow as seam
from native_api.adapters.work import running as work
from native_api.errors import (
    DagPaused,
    DagRunNotFound,
    DependenciesUnmet,
    Invalid,
    OthersWouldStart,
    PoolNotFound,
    Refused,
    TaskInstanceBusy,
    TaskInstanceNotFound,
)
from tests import airflow_under_test, jobs_under_test

DATE = "2026-03-01T00:00:00+00:00"
RUN = f"manual__{DATE}"
ONLY_2 = pytest.mark.skipif(airflow_under_test.version() >= (3, 0), reason="Airflow 3 has no such executors")
ONLY_3 = pytest.mark.skipif(airflow_under_test.version() < (3, 0), reason="Airflow 2 goes by its executor")


def run(task_id: str, **how: Any) -> Dict[str, Any]:
    """Run a task of the tests' DAG in a process of its own."""
    which = {} if "run_id" in how else {"logical_date": DATE}
    return native_api.call("run_task", **{"dag_id": "alone", "task_id": task_id, "local": True, **which, **how})


def states(run_id: str = RUN) -> Dict[str, Any]:
    """Return the state of the run, and of all instances by task."""
    listed = native_api.call("list_task_instances", dag_id="alone", run_id=run_id)["task_instances"]
    run = native_api.call("dag_state", dag_id="alone", run_id=run_id)
    found = {f"{row['task_id']}[{row['map_index']}]".replace("[-1]", ""): row["state"] for row in listed}
    return {"the run": run["state"], **found}


def task_state(task_id: str) -> Any:
    """Return the state of a task in the new run, or None while there is no such run."""
    listed = native_api.call("list_task_instances", dag_id="alone", task_id=task_id)["task_instances"]
    return listed[0]["state"] if listed else None


def rows(run_id: str, but: str) -> List[Any]:
    """Return all there is of the run and of its instances but for one task's."""
    from airflow.models.dagrun import DagRun
    from airflow.models.taskinstance import TaskInstance

    ti, dr = TaskInstance.__table__, DagRun.__table__
    with airflow_under_test.session() as session:
        runs = session.execute(dr.select().where(dr.c.run_id == run_id)).all()
        others = (ti.c.run_id == run_id) & (ti.c.task_id != but)
        # What Airflow notes on every change of a row, and where it last looked for work, says nothing.
        columns = [column for column in ti.c if column.name != "updated_at"]
        found = session.execute(ti.select().with_only_columns(*columns).where(others).order_by(ti.c.task_id)).all()
    return [*map(repr, found), repr({**runs[0]._mapping, "updated_at": None})]


def finished_run(run_id: str = "r", state: str = "success", of_tasks: str = "success", began: bool = True) -> None:
    """Have a run that has ended, all of its instances at their first try."""
    from airflow.models.dagrun import DagRun
    from airflow.models.taskinstance import TaskInstance

    native_api.call("trigger_dag", dag_id="alone", run_id=run_id)
    ti, dr = TaskInstance.__table__, DagRun.__table__
    moment = pendulum.datetime(2026, 4, 1) if began else None
    with airflow_under_test.session() as session:
        session.execute(ti.update().where(ti.c.run_id == run_id).values(state=of_tasks, try_number=1))
        session.execute(dr.update().where(dr.c.run_id == run_id).values(state=state, start_date=moment))


def log(task_id: str, try_number: int, run_id: str = RUN) -> str:
    """Return the log of a try as the operation for logs has it."""
    asked = {"dag_id": "alone", "task_id": task_id, "run_id": run_id, "try_number": try_number}
    return str(native_api.call("task_log", **asked)["content"])


def until(condition: Callable[[], bool], seconds: float = 60) -> None:
    """Wait for a condition to hold."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not come to hold"
        time.sleep(0.1)


@pytest.fixture
def notes(fresh: Any) -> Iterator[Path]:
    """Return the file that tasks write down in what they do, and read in what they may."""
    written = fresh.HOME / "notes"
    written.write_text("")
    yield written
    written.unlink()


@pytest.mark.usefixtures("fresh")
class TestInANewRun:
    """There is no run for the date."""

    def test_the_task_runs_and_the_others_do_not(self) -> None:
        answer = run("first")
        assert (answer["how"], answer["state"], answer["previous_state"]) == ("sandbox", "success", None)
        assert (answer["run_id"], answer["try_number"], answer["run_is_new"]) == (RUN, 1, True)
        assert answer["logical_date"] == answer["execution_date"] == DATE
        found = states()
        assert (found.pop("the run"), found.pop("first")) == ("success", "success")
        assert set(found.values()) == {"skipped"}

    def test_a_task_that_fails_is_an_answer(self) -> None:
        """There is one try: nobody takes up another in a run that has ended."""
        answer = run("fails")
        assert (answer["how"], answer["state"], answer["try_number"]) == ("sandbox", "failed", 1)
        assert "ValueError: no luck" in answer["log"]
        assert "ValueError: no luck" in log("fails", 1)
        assert states()["the run"] == "failed"

    def test_a_task_whose_process_is_killed_has_failed(self) -> None:
        assert run("is_killed")["state"] == "failed"
        assert (states()["the run"], states()["is_killed"]) == ("failed", "failed")

    def test_an_instance_of_a_mapped_task(self) -> None:
        assert run("doubles", map_index=1)["state"] == "success"
        assert (states()["doubles[0]"], states()["doubles[1]"]) == ("skipped", "success")

    def test_what_waits_for_a_triggerer_is_left_to_the_scheduler(self) -> None:
        answer = run("defers")
        found = states()
        assert (answer["state"], found.pop("defers"), found.pop("the run")) == ("deferred", "deferred", "running")
        assert set(found.values()) == {"skipped"}
        assert answer["warnings"] == ["The DAG 'alone' is paused: the run ends when it is unpaused."]

    def test_unmet_dependencies_leave_nothing(self) -> None:
        with pytest.raises(DependenciesUnmet) as caught:
            run("second")
        assert [dependency["name"] for dependency in caught.value.dependencies] == ["Trigger Rule"]
        assert native_api.call("list_dag_runs", dag_id="alone")["total_entries"] == 0

    def test_dependencies_are_ignored_on_request(self) -> None:
        assert run("second", ignore_dependencies=True)["state"] == "success"

    @pytest.mark.parametrize(
        "wrong, error",
        [
            pytest.param({"task_id": "doubles"}, Invalid, id="no instance of a mapped task is named"),
            pytest.param({"task_id": "doubles", "map_index": 2}, Invalid, id="a mapped task has no such instance"),
            pytest.param({"task_id": "first", "pool": "nowhere"}, PoolNotFound, id="no such pool"),
            pytest.param({"task_id": "first", "run_id": "nothing"}, DagRunNotFound, id="no such run"),
        ],
    )
    def test_what_cannot_be_leaves_nothing(self, wrong: Dict[str, Any], error: Any) -> None:
        with pytest.raises(error):
            run(**wrong)
        assert native_api.call("list_dag_runs", dag_id="alone")["total_entries"] == 0

    def test_one_after_the_other(self) -> None:
        """What was left alone for the first can run in its turn, once the first has."""
        run("first", mark_success=True)
        with pytest.raises(DependenciesUnmet):
            run("third")
        answer = run("second")
        assert (answer["state"], answer["previous_state"], answer["run_is_new"]) == ("success", None, False)
        assert (states()["second"], states()["third"], states()["the run"]) == ("success", "skipped", "success")

    def test_marking(self) -> None:
        """No user code runs."""
        answer = run("fails", mark_success=True)
        assert (answer["how"], answer["state"], answer["run_is_new"]) == ("marked", "success", True)
        found = states()
        assert (found.pop("the run"), found.pop("fails"), set(found.values())) == ("success", "success", {"skipped"})


@pytest.mark.usefixtures("fresh")
class TestInARunThatHasEnded:
    """The run is there, and all of its tasks have run."""

    def test_a_task_is_run_again_alone(self) -> None:
        """It is its second try; everything else is as it was."""
        finished_run()
        before = rows("r", but="first")
        answer = run("first", run_id="r", force=True)
        assert (answer["state"], answer["previous_state"], answer["try_number"]) == ("success", "success", 2)
        assert answer["run_is_new"] is False
        assert rows("r", but="first") == before
        assert log("first", 2, "r") == answer["log"]

    def test_a_failure_is_not_tried_again(self) -> None:
        finished_run()
        answer = run("fails", run_id="r", force=True)
        assert (answer["state"], answer["try_number"], states("r")["the run"]) == ("failed", 2, "success")

    def test_nothing_after_it_is_scheduled(self) -> None:
        finished_run(of_tasks="failed", state="failed")
        airflow_under_test.set_try("alone", "r", "second", 0, None)
        run("first", run_id="r", force=True)
        assert (states("r")["first"], states("r")["second"]) == ("success", None)

    def test_without_force_its_state_forbids_it(self) -> None:
        finished_run()
        with pytest.raises(DependenciesUnmet) as caught:
            run("first", run_id="r")
        assert [dependency["name"] for dependency in caught.value.dependencies] == ["Task Instance State"]
        assert states("r")["first"] == "success"

    @pytest.mark.parametrize("state", ["running", "queued", "deferred", "restarting"])
    def test_not_twice_at_once(self, state: str) -> None:
        finished_run()
        airflow_under_test.set_try("alone", "r", "first", 1, state)
        for how in ({"force": True}, {"ignore_all_dependencies": True}, {"mark_success": True}):
            with pytest.raises(TaskInstanceBusy) as caught:
                run("first", run_id="r", **how)
            assert caught.value.state == state

    def test_marking_changes_nothing_else(self) -> None:
        """What failed after it is not cleared, as it is by set_task_state."""
        finished_run(state="failed", of_tasks="failed")
        before = rows("r", but="first")
        assert run("first", run_id="r", mark_success=True)["previous_state"] == "failed"
        assert rows("r", but="first") == before
        assert states("r")["first"] == "success"

    def test_an_instance_that_is_not_there(self) -> None:
        finished_run()
        with pytest.raises(TaskInstanceNotFound):
            run("doubles", run_id="r", map_index=7)

    def test_the_pool(self) -> None:
        """In a run, besides, that was given its state by hand."""
        native_api.call("set_pool", name="narrow", slots=1)
        finished_run(began=False)
        run("first", run_id="r", force=True, pool="narrow")
        from airflow.models.taskinstance import TaskInstance
        from sqlalchemy import select

        with airflow_under_test.session() as session:
            pool = session.scalar(select(TaskInstance.pool).filter_by(run_id="r", task_id="first"))
        assert pool == "narrow"


@pytest.mark.usefixtures("fresh")
class TestInTheBackground:
    """It takes longer than a request, or is not to be waited for."""

    def test_a_run_outlives_the_request(self, monkeypatch: Any) -> None:
        monkeypatch.setenv("AIRFLOW__NATIVE_API__JOB_SECONDS", "1")
        job_id = run("sleeps_shortly")["job_id"]
        ended = jobs_under_test.wait(job_id)
        assert (ended["state"], ended["result"]["state"]) == ("success", "success")
        assert "slept well" in log("sleeps_shortly", 1)

    def test_a_run_that_is_cancelled_has_failed(self) -> None:
        job_id = run("sleeps_long", **{"async": True})["job_id"]
        until(lambda: task_state("sleeps_long") == "running")
        native_api.call("cancel_job", job_id=job_id)
        jobs_under_test.wait(job_id)
        until(lambda: states()["sleeps_long"] == "failed")
        assert states()["the run"] == "failed"

    def test_what_a_job_left_open_is_failed_and_nobody_elses(self) -> None:
        """As after its process, and all that it started, were killed at once."""
        finished_run()
        key = {"dag_id": "alone", "run_id": "r", "task_id": "first", "map_index": -1}
        airflow_under_test.set_try("alone", "r", "first", 2, "running", external_executor_id="native_api:mine")
        work.give_up(key, False, "another")
        assert states("r")["first"] == "running"
        work.give_up(key, False, "mine")
        assert states("r")["first"] == "failed"

    def test_what_is_cancelled_is_told(self, notes: Path) -> None:
        """The operator's on_kill runs, which ends what the task has begun elsewhere."""
        job_id = run("is_told", **{"async": True})["job_id"]
        until(lambda: "begins" in notes.read_text())
        native_api.call("cancel_job", job_id=job_id)
        jobs_under_test.wait(job_id)
        assert notes.read_text().splitlines() == ["begins", "is told"]
        assert (states()["is_told"], states()["the run"]) == ("failed", "failed")


def never_ran() -> Dict[str, Any]:
    """Have a run in which the task has not run, and return how it is run."""
    finished_run()
    airflow_under_test.set_try("alone", "r", "notes", 0, None)
    return {"run_id": "r", "try_number": 1}


def ran_before() -> Dict[str, Any]:
    """Have a run in which the task has run, and return how it is run again."""
    finished_run()
    return {"run_id": "r", "force": True, "try_number": 2}


@pytest.mark.usefixtures("fresh")
class TestTwoAtOnce:
    """Two calls want to run the same task instance at the same time."""

    @pytest.fixture(autouse=True)
    def two_places(self, monkeypatch: Any) -> None:
        monkeypatch.setenv("AIRFLOW__NATIVE_API__JOB_SLOTS", "2")

    @pytest.mark.parametrize("again", range(2))
    @pytest.mark.parametrize(
        "before, refusals",
        [
            pytest.param(never_ran, [TaskInstanceBusy], id="it never ran"),
            pytest.param(ran_before, [TaskInstanceBusy], id="it ran before"),
            # PostgreSQL has the second wait as it makes the run, and refuse that.
            pytest.param(lambda: {"try_number": 1}, [TaskInstanceBusy, Refused], id="there is no run"),
        ],
    )
    def test_one_runs(
        self, before: Callable[[], Dict[str, Any]], refusals: List[type], again: int, notes: Path
    ) -> None:
        """The other is refused while the one runs, and changes nothing of it."""
        how = before()
        try_number, run_id = how.pop("try_number"), how.get("run_id", RUN)
        hold = notes.with_name("hold")
        hold.touch()
        with ThreadPoolExecutor(2) as threads:
            calls = [threads.submit(run, "notes", **how) for _ in range(2)]
            # Both have found that it may run.
            until(lambda: notes.read_text().count("is held") == 2 or any(call.done() for call in calls))
            hold.unlink()
            (refused,), (runs,) = wait(calls, 120, FIRST_COMPLETED)
            until(lambda: "begins" in notes.read_text())
            with notes.open("a") as written:
                written.write("may end\n")
            answer = runs.result()
        assert type(refused.exception()) in refusals
        assert notes.read_text().splitlines() == ["is held", "is held", "begins", "may end"]
        assert (answer["state"], answer["try_number"], answer["run_id"]) == ("success", try_number, run_id)
        assert (states(run_id)["notes"], states(run_id)["the run"]) == ("success", "success")

    @ONLY_3
    @pytest.mark.parametrize("again", range(3))
    def test_one_is_handed_to_the_scheduler(self, again: int) -> None:
        native_api.call("unpause_dag", dag_id="alone")
        finished_run()
        begin = threading.Barrier(2)

        def call() -> Any:
            begin.wait()
            return run("first", run_id="r", force=True, local=False)

        with ThreadPoolExecutor(2) as threads:
            calls = [threads.submit(call) for _ in range(2)]
            wait(calls, 120)
        errors = [ended.exception() for ended in calls]
        assert sorted(map(type, errors), key=str) == [type(None), TaskInstanceBusy]
        assert calls[errors.index(None)].result()["try_number"] == 2


@ONLY_3
@pytest.mark.usefixtures("fresh")
class TestByTheScheduler:
    """Without local, Airflow 3 hands the task to the scheduler."""

    def test_in_a_new_run(self) -> None:
        native_api.call("unpause_dag", dag_id="alone")
        answer = run("first", local=False)
        assert (answer["how"], answer["state"], answer["try_number"]) == ("scheduler", "scheduled", 1)
        found = states()
        assert (found.pop("the run"), found.pop("first"), set(found.values())) == ("running", "scheduled", {"skipped"})

    def test_in_a_run_that_has_ended(self) -> None:
        native_api.call("unpause_dag", dag_id="alone")
        finished_run()
        answer = run("second", run_id="r", force=True, local=False)
        assert (answer["state"], answer["previous_state"], answer["try_number"]) == ("scheduled", "success", 2)
        found = states("r")
        assert (found.pop("the run"), found.pop("second"), set(found.values())) == ("running", "scheduled", {"success"})

    def test_not_where_others_would_start(self) -> None:
        native_api.call("unpause_dag", dag_id="alone")
        finished_run()
        airflow_under_test.set_try("alone", "r", "third", 0, None)
        with pytest.raises(OthersWouldStart) as caught:
            run("first", run_id="r", force=True, local=False)
        assert caught.value.tasks == ["third"]
        assert (states("r")["the run"], states("r")["first"]) == ("success", "success")

    def test_not_in_a_paused_dag(self) -> None:
        with pytest.raises(DagPaused):
            run("first", local=False)
        assert native_api.call("list_dag_runs", dag_id="alone")["total_entries"] == 0


@ONLY_2
@pytest.mark.usefixtures("fresh")
class TestByTheExecutor:
    """Without local, Airflow 2 sends the task to an executor that is none of this machine."""

    @pytest.mark.parametrize(
        "executor, way",
        [
            ("SequentialExecutor", "sandbox"),
            ("LocalExecutor", "sandbox"),
            ("CeleryExecutor", "executor"),
            ("KubernetesExecutor", "executor"),
            ("CeleryKubernetesExecutor", "executor"),
            ("tests.recording_executor.RecordingExecutor", "executor"),
        ],
    )
    def test_which_executors(self, executor: str, way: str, monkeypatch: Any) -> None:
        monkeypatch.setenv("AIRFLOW__CORE__EXECUTOR", executor)
        assert seam().running.way(None) == way

    def test_what_the_executor_is_given(self, airflow: Any, monkeypatch: Any) -> None:
        """The command with all it is to ignore; the instance is queued, and cannot be run twice."""
        from tests import recording_executor

        recording_executor.use(monkeypatch)
        options = dict.fromkeys(("force", "ignore_all_dependencies", "ignore_depends_on_past"), False)
        options.update({"ignore_dependencies": True, "pool": None})
        key = {"dag_id": "alone", "run_id": RUN, "task_id": "second", "map_index": -1}
        answer = work.send(key, DATE, options, "a job")
        assert (answer["how"], answer["state"]) == ("executor", "queued")
        (command,) = recording_executor.commands
        assert command[:6] == ["airflow", "tasks", "run", "alone", "second", RUN]
        assert {"--local", "--ignore-dependencies"} <= set(command)
        with pytest.raises(TaskInstanceBusy):
            run("second", ignore_dependencies=True)

    def test_what_cannot_be_sent_has_failed(self, airflow: Any, monkeypatch: Any) -> None:
        from tests import recording_executor

        recording_executor.use(monkeypatch, broken=True)
        options = dict.fromkeys(operations.get("run_task").request.fields, False)
        options["pool"] = None
        key = {"dag_id": "alone", "run_id": RUN, "task_id": "first", "map_index": -1}
        with pytest.raises(ConnectionError):
            work.send(key, DATE, options, "a job")
        assert (states()["the run"], states()["first"]) == ("failed", "failed")


def test_secrets_that_an_id_or_a_date_contains(fresh: Any) -> None:
    """What names the instance is never masked."""
    native_api.call("set_variable", key="password_of_alone", value="2026-03")
    answer = run("first")
    assert (answer["run_id"], answer["logical_date"], answer["execution_date"]) == (RUN, DATE, DATE)


@ONLY_3
def test_the_success_before_a_run_without_a_date(fresh: Any) -> None:
    """There is none: nothing is before it."""
    from airflow.models.dagrun import DagRun
    from sqlalchemy import update

    native_api.call("trigger_dag", dag_id="alone", run_id="before", logical_date=DATE)
    native_api.call("set_dag_run_state", dag_id="alone", run_id="before", state="success")
    native_api.call("trigger_dag", dag_id="alone", run_id="r")
    with airflow_under_test.session() as session:
        session.execute(update(DagRun).where(DagRun.run_id == "r").values(logical_date=None))
    answer = native_api.call("render_task", dag_id="alone", task_id="looks_back", run_id="r")
    assert [field["value"] for field in answer["template_fields"] if field["name"] == "bash_command"] == ["echo never"]


def test_options_without_effect_are_named(fresh: Any) -> None:
    answer = run("first", mark_success=True, pickle="7", ship_dag=True, cfg_path="/etc/airflow.cfg")
    assert answer["warnings"] == [f"'{name}' has no effect here." for name in ("pickle", "ship_dag", "cfg_path")]


def test_the_command_on_this_airflow(web: Any) -> None:
    """Airflow 3 has none."""
    asked = {"dag_id": "alone", "task_id": "first", "execution_date": DATE, "mark_success": "on", "force": "on"}
    command = web.legacy("run", **asked, pool="default_pool").json["airflow_cmd"]
    if airflow_under_test.version() >= (3, 0):
        assert command is None
    else:
        flags = "--mark-success --force --pool default_pool"
        assert command == f"airflow tasks run {flags} alone first {DATE}"


class TestTheLegacyName:
    """api=run."""

    def test_the_text(self, web: Any) -> None:
        """The recorded line, and then the task's log."""
        answer = web.legacy("run", dag_id="alone", task_id="first", execution_date=DATE, local="on")
        assert (answer.status, answer.json["status"]) == (200, "OK"), answer.text
        line, _, text = answer.json["output"]["stdout"].partition("\n")
        assert line == f"Running <TaskInstance: alone.first {DATE} [None]> on host {answer.json['result']['hostname']}"
        assert text == answer.json["result"]["log"]
        assert answer.json["output"]["stderr"] == ""

    def test_a_task_that_fails(self, web: Any) -> None:
        """No 200; one line says so, and the end of the log."""
        answer = web.legacy("run", dag_id="alone", task_id="fails", execution_date=DATE, local="on")
        assert (answer.status, answer.json["http_response_code"], answer.json["status"]) == (422, 422, "ERROR")
        first, *tail = answer.json["output"]["stderr"].splitlines()
        assert first == "The task fails of the DAG alone ended as failed"
        assert any("ValueError: no luck" in line for line in tail)
        assert answer.json["result"]["state"] == "failed"

    def test_unmet_dependencies(self, web: Any) -> None:
        answer = web.legacy("run", dag_id="alone", task_id="second", execution_date=DATE, local="on")
        assert (answer.status, answer.json["status"]) == (409, "ERROR")
        assert "Trigger Rule" in answer.json["output"]

    def test_what_it_needs(self, web: Any) -> None:
        assert web.legacy("run", dag_id="alone", task_id="first").status == 400
