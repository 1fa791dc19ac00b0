"""Local backfills of Airflow 2: what a cancelled or lost one, or one of another host, leaves for the next."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any, Dict, Iterator, List, Optional

import pytest

import native_api
from native_api import errors
from native_api.adapters import sandbox
from native_api.adapters.backfills import job as work
from native_api.adapters.compat import airflow
from native_api.adapters.sandbox.job_store import Record
from tests.support import airflow_under_test, jobs_under_test
from tests.support.backfills import DATES, ON_2, backfill, finish, runs, set_state, state_of

pytestmark = pytest.mark.skipif(not ON_2, reason="Airflow 3 runs backfills by its scheduler only")
#: Enough for tasks that each start an Airflow.
SECONDS = 240
#: The records that this process has locked; a test starts when there is none.
_RECORDS: List[Record] = []


class StartedJob:
    """The channel to a job that is queued."""

    def next(self) -> Dict[str, Any]:
        return {"state": "queued"}

    def close(self) -> None:
        pass


@pytest.fixture
def unbegun(fresh: Any, mocker: Any) -> Iterator[None]:
    """Start no job; the test does what the job would do."""
    from airflow.jobs.job import Job
    from sqlalchemy import delete

    mocker.patch("native_api.adapters.sandbox.client.begin", return_value=StartedJob())
    yield
    while _RECORDS:
        _RECORDS.pop().release()
    with airflow_under_test.session() as session:
        session.execute(delete(Job))


def begun(**arguments: Any) -> int:
    made: int = backfill(local=True, **arguments)["backfill_id"]
    return made


def record_of(backfill_id: int) -> Record:
    """Create the record of the backfill's job, locked until it is released."""
    facts = {"operation": "backfill_dag", "owner": "this process", "arguments": {}, "created_at": 0, "cleanup": None}
    _RECORDS.append(Record.create(sandbox.jobs_folder(), {"job_id": state_of(backfill_id)["job_id"], **facts}))
    return _RECORDS[-1]


def make_run(date: str, job_id: Optional[int] = None) -> None:
    """Set the run of a date to running, as Airflow's own job does."""
    import pendulum
    from airflow.utils.state import DagRunState
    from airflow.utils.types import DagRunType

    day = pendulum.parse(date)
    with airflow_under_test.session() as session:
        airflow().stored_dag("daily", session).create_dagrun(
            run_type=DagRunType.BACKFILL_JOB,
            execution_date=day,
            data_interval=(day, day.add(days=1)),  # type: ignore[union-attr, call-arg]
            state=DagRunState.RUNNING,
            external_trigger=False,
            creating_job_id=job_id,
            session=session,
        )


def states() -> List[str]:
    return [run["state"] for run in runs()]


def set_row(backfill_id: int, **values: Any) -> None:
    from airflow.models.log import Log

    with airflow_under_test.session() as session:
        row = session.get(Log, backfill_id)
        row.extra = json.dumps({**json.loads(row.extra), **values})


def make_older(backfill_id: int) -> None:
    """Make the backfill old enough that its job must have started."""
    from datetime import timedelta

    from airflow.models.log import Log

    with airflow_under_test.session() as session:
        row = session.get(Log, backfill_id)
        row.dttm = row.dttm - timedelta(hours=1)


def end_run(date: str, state: str, dag_id: str = "daily", **arguments: Any) -> str:
    """Create a run of that date in a final state, and return its id."""
    run_id: str = native_api.call("trigger_dag", dag_id=dag_id, logical_date=date, **arguments)["run_id"]
    set_state(state, date, dag_id)
    return run_id


class TestCancelled:
    def test_it_blocks_other_backfills_until_its_job_has_ended(self, unbegun: None) -> None:
        first = begun()
        record = record_of(first)
        make_run(DATES[0])
        assert native_api.call("cancel_backfill", backfill_id=first)["state"] == "cancelled"
        assert record.is_cancel_requested()
        with pytest.raises(errors.BackfillIsActive) as caught:
            begun(reprocess_behavior="failed")
        assert caught.value.backfill_id == first
        with pytest.raises(errors.BackfillHasEnded, match="cancelled"):
            native_api.call("cancel_backfill", backfill_id=first)
        work.give_up(first)
        record.release()
        assert (states(), state_of(first)["state"]) == (["failed"], "cancelled")
        assert begun(reprocess_behavior="failed") != first

    def test_a_late_cleanup_does_not_change_the_runs_of_the_next_backfill(self, unbegun: None) -> None:
        first = begun()
        native_api.call("cancel_backfill", backfill_id=first)
        second = begun()
        make_run(DATES[0])
        work.give_up(first)
        assert states() == ["running"]
        assert (state_of(first)["total_runs"], state_of(second)["runs"]) == (0, {"running": 1})

    def test_a_job_that_starts_after_cancellation_runs_nothing(self, unbegun: None, mocker: Any) -> None:
        begins = mocker.patch("native_api.adapters.compat.airflow2.backfills.Backfills2.run")
        first = begun()
        native_api.call("cancel_backfill", backfill_id=first)
        work.run(first, None, [], conf=None, ignore_first_depends_on_past=False)
        assert begins.call_args_list == []
        assert state_of(first)["state"] == "cancelled"

    def test_no_date_range_starts_after_cancellation(self, unbegun: None, mocker: Any) -> None:
        """The job reads the cancellation from the database."""
        end_run(DATES[1], "success")
        first = begun()

        def run(self: Any, dag: Any, *dates: Any, **how: Any) -> None:
            with airflow_under_test.session() as session:
                airflow().backfills.cancel(session, airflow().backfills.by_id(session, [first])[0])

        begins = mocker.patch(
            "native_api.adapters.compat.airflow2.backfills.Backfills2.run", autospec=True, side_effect=run
        )
        work.run(first, None, [], conf=None, ignore_first_depends_on_past=True)
        assert len(begins.call_args_list) == 1


class TestLost:
    def test_its_running_runs_are_reprocessed_by_the_next_backfill(self, unbegun: None) -> None:
        first = begun()
        record_of(first).release()
        make_run(DATES[0])
        second = backfill(local=True, reprocess_behavior="failed")
        assert [run["action"] for run in second["runs"]] == ["reprocess", "create", "create"]
        assert (state_of(first)["state"], states()) == ("failed", ["failed"])
        with airflow_under_test.session() as session:
            dag = airflow().stored_dag("daily", session)
            airflow().backfills.take_over(session, dag, [runs()[0]["run_id"]])
        work.give_up(first)
        assert states() == ["queued"]

    def test_a_backfill_whose_job_never_started_fails_after_a_while(self, unbegun: None) -> None:
        first = begun()
        assert state_of(first)["state"] == "running"
        with pytest.raises(errors.BackfillIsActive):
            begun()
        make_older(first)
        assert state_of(first)["state"] == "failed"
        assert begun() != first

    def test_its_runs_are_unchanged_if_the_next_backfill_is_invalid(self, unbegun: None) -> None:
        first = begun()
        record_of(first).release()
        make_run(DATES[0])
        with pytest.raises(errors.Invalid):
            begun(task_regex="nope")
        assert states() == ["running"]


class TestOnAnotherHost:
    @pytest.fixture
    def elsewhere(self, unbegun: None) -> int:
        """Return a backfill of another host, whose job sends heartbeats to Airflow."""
        import pendulum
        from airflow.jobs.job import Job

        made = begun()
        set_row(made, hostname="other.example")
        with airflow_under_test.session() as session:
            job = Job(job_type="BackfillJob", state="running", latest_heartbeat=pendulum.now("UTC"))
            session.add(job)
            session.flush()
            job_id = int(job.id)
        make_run(DATES[0], job_id)
        return made

    def test_cancel_backfill_is_409_with_the_hostname(self, elsewhere: int) -> None:
        with pytest.raises(errors.Conflict, match=r"'other\.example'") as caught:
            native_api.call("cancel_backfill", backfill_id=elsewhere)
        assert (caught.value.status, vars(caught.value)) == (
            409,
            {"backfill_id": elsewhere, "hostname": "other.example"},
        )
        assert (state_of(elsewhere)["state"], states()) == ("running", ["running"])
        make_older(elsewhere)
        assert state_of(elsewhere)["state"] == "running"

    def test_it_can_be_cancelled_if_its_job_sends_no_heartbeats(self, elsewhere: int) -> None:
        import pendulum
        from airflow.jobs.job import Job
        from sqlalchemy import update

        with airflow_under_test.session() as session:
            session.execute(update(Job).values(latest_heartbeat=pendulum.now("UTC").subtract(hours=1)))
        with pytest.raises(errors.BackfillIsActive):
            begun()
        assert native_api.call("cancel_backfill", backfill_id=elsewhere)["state"] == "cancelled"
        assert (state_of(elsewhere)["state"], states()) == ("cancelled", ["failed"])
        assert begun() != elsewhere


class TestReprocessedRuns:
    def test_reprocessed_runs_keep_their_conf_if_the_backfill_has_none(self, fresh: Any) -> None:
        dag_id, confs = "daily_with_past", [{"n": 1}, {}, {"n": 1}]
        for date, conf in zip(DATES, confs):
            end_run(date, "success", dag_id, conf=conf)
        made = backfill(dag_id, local=True, reprocess_behavior="completed", to_date=DATES[1])
        job_id = state_of(made["backfill_id"])["job_id"]
        jobs_under_test.wait(job_id, "success", seconds=SECONDS)
        result = state_of(made["backfill_id"])
        assert (result["state"], result["runs"]) == ("success", {"success": 2}), native_api.call(
            "job_state", job_id=job_id
        )
        assert [run["conf"] for run in runs(dag_id)] == confs
        assert [run["run_type"] for run in runs(dag_id)] == ["backfill", "backfill", "manual"]

    @pytest.mark.parametrize("given, date_ranges", [(None, [DATES[:1], DATES[1:2], DATES[2:]]), ({"m": 2}, [DATES])])
    def test_each_date_range_has_one_conf(
        self, unbegun: None, mocker: Any, given: Any, date_ranges: List[List[str]]
    ) -> None:
        """A date range that fails does not prevent the others. Only the first date ignores depends_on_past."""
        from airflow.exceptions import BackfillUnfinished

        runs_before = [end_run(date, "failed", conf={"n": n}) for n, date in enumerate(DATES)]
        first = begun(reprocess_behavior="failed", conf=given)
        result = []

        def run(self: Any, dag: Any, first: Any, last: Any, **how: Any) -> Exception:
            result.append((first.isoformat(), last.isoformat(), how["conf"], how["ignore_first_depends_on_past"]))
            return BackfillUnfinished(f"the one of {first}", None)

        mocker.patch("native_api.adapters.compat.airflow2.backfills.Backfills2.run", run)
        with pytest.raises(BackfillUnfinished, match="2024-01-01"):
            work.run(first, None, runs_before, conf=given, ignore_first_depends_on_past=True)
        assert result == [
            (dates[0], dates[-1], given or {"n": number}, number == 0) for number, dates in enumerate(date_ranges)
        ]

    def test_a_local_backfill_takes_over_runs_of_the_scheduler(self, unbegun: None) -> None:
        first = backfill()["backfill_id"]
        finish("daily", "failed", failed="get_left")
        second = begun(reprocess_behavior="failed")
        with airflow_under_test.session() as session:
            dag = airflow().stored_dag("daily", session)
            airflow().backfills.take_over(session, dag, [run["run_id"] for run in runs()])
        assert state_of(second)["runs"] == {"queued": 3}
        assert (state_of(first)["state"], state_of(first)["total_runs"]) == ("failed", 0)
        with pytest.raises(errors.BackfillHasEnded):
            native_api.call("cancel_backfill", backfill_id=first)
        assert states() == ["queued"] * 3


def test_the_job_of_a_backfill_starts_processes_on_a_celery_worker(mocker: Any) -> None:
    """Whose processes are daemons, so that they could start none."""
    process = mocker.patch("multiprocessing.current_process").return_value
    process.daemon = True
    dag = mocker.Mock()
    assert airflow().backfills.run(dag, datetime(2024, 1, 1), datetime(2024, 1, 1)) is None
    dag.run.assert_called_once()
    assert process.daemon is False
