"""backfill_dag: the plan, the created runs and the errors are the same on every Airflow; no task runs here."""

from __future__ import annotations

from typing import Any, Dict, Iterator, List

import pytest

import native_api
from native_api import errors
from tests.support import airflow_under_test
from tests.support.backfills import DATES, ON_2, backfill, finish, runs, set_state, trigger
from tests.support.dag_files import dag_file
from tests.support.deployments_under_test import deploy, forget


def tasks(**which: Any) -> Dict[str, Any]:
    """Return the states of a run's tasks."""
    listed = native_api.call("list_task_instances", dag_id="daily", **which)["task_instances"]
    return {instance["task_id"]: instance["state"] for instance in listed}


def moment(text: str) -> Any:
    import pendulum

    return pendulum.parse(text)


@pytest.fixture(scope="module")
def six_hours(airflow: Any) -> Iterator[str]:
    """A DAG that runs every six hours."""
    text = (
        "import pendulum\nfrom airflow import DAG\nfrom airflow.timetables.interval import CronDataIntervalTimetable\n"
        "TABLE = CronDataIntervalTimetable('0 */6 * * *', timezone='UTC')\n"
        "with DAG('six_hours', start_date=pendulum.datetime(2020, 1, 1), schedule=TABLE, catchup=False):\n    pass\n"
    )
    with dag_file("six_hours", text):
        yield "six_hours"


@pytest.fixture
def hourly(fresh: Any, six_hours: str) -> str:
    return six_hours


class TestDryRun:
    def test_it_returns_runs_and_tasks_and_creates_none(self, fresh: Any) -> None:
        result = backfill(dry_run=True)
        assert [run["logical_date"] for run in result["runs"]] == DATES
        assert [run["execution_date"] for run in result["runs"]] == DATES
        assert result["runs"][0]["data_interval_start"] == DATES[0]
        assert result["runs"][0]["data_interval_end"] == DATES[1]
        assert {run["action"] for run in result["runs"]} == {"create"}
        assert result["total_entries"] == 3
        assert (result["from_date"], result["to_date"]) == (DATES[0], DATES[2])
        assert sorted(result["tasks"]) == sorted(
            f"{what}_{side}" for what in ("get", "sum", "put") for side in ("left", "right")
        )
        assert "backfill_id" not in result
        assert runs() == []
        assert native_api.call("list_backfills")["backfills"] == []

    def test_tasks_are_in_topological_order(self, fresh: Any) -> None:
        assert backfill("wire_dag", dry_run=True)["tasks"] == ["extract", "transform", "load"]

    def test_run_backwards_reverses_the_runs(self, fresh: Any) -> None:
        result = backfill(dry_run=True, run_backwards=True)
        assert [run["logical_date"] for run in result["runs"]] == DATES[::-1]

    @pytest.mark.parametrize("behavior", ["none", "completed"])
    def test_an_existing_run_keeps_its_data_interval(self, fresh: Any, behavior: str) -> None:
        """The interval of a manual run differs from that of the schedule."""
        from airflow.models.dagrun import DagRun
        from sqlalchemy import update

        trigger(DATES[0])
        set_state("success")
        with airflow_under_test.session() as session:
            its_own = {"data_interval_start": moment("2023-12-30"), "data_interval_end": moment("2023-12-31")}
            session.execute(update(DagRun).where(DagRun.dag_id == "daily").values(**its_own))
        result = backfill(reprocess_behavior=behavior, dry_run=True)["runs"]
        planned = [(run["data_interval_start"], run["data_interval_end"]) for run in result]
        assert planned[0] == ("2023-12-30T00:00:00+00:00", "2023-12-31T00:00:00+00:00")
        assert planned[1] == (DATES[1], DATES[2])
        backfill(reprocess_behavior=behavior)
        assert [(run["data_interval_start"], run["data_interval_end"]) for run in runs()] == planned

    @pytest.mark.parametrize(
        "dates, named",
        [
            ({"to_date": "2024-01-02"}, "to_date"),
            ({"from_date": "2024-01-02"}, "from_date"),
            ({"start_date": "2024-01-01", "end_date": "2024-01-02"}, "end_date"),
            ({"from_date": "2024-01-01", "to_date": "20240102"}, "to_date"),
        ],
    )
    def test_a_warning_names_runs_later_on_the_day_of_to_date(self, hourly: str, dates: Any, named: str) -> None:
        """A date without a time is midnight, as in Airflow."""
        result = native_api.call("backfill_dag", dag_id=hourly, dry_run=True, **dates)
        assert result["runs"][-1]["logical_date"] == DATES[1]
        (warning,) = result["warnings"]
        assert f"'{named}' has no time" in warning
        assert "2024-01-02T06:00:00+00:00" in warning

    def test_the_warning_names_the_argument_of_the_old_protocol(self, web: Any, hourly: str) -> None:
        how = {"start_date": "2024-01-01", "end_date": "2024-01-02", "dryrun": "on"}
        assert "'end_date' has no time" in web.legacy("backfill", dag_id=hourly, **how).json["warning"]

    @pytest.mark.parametrize("last", ["2024-01-02T00:00:00", "2024-01-02 12:00", "2024-01-02T23:59:59+00:00"])
    def test_a_to_date_with_a_time_gets_no_warning(self, hourly: str, last: str) -> None:
        assert "warnings" not in native_api.call(
            "backfill_dag", dag_id=hourly, dry_run=True, from_date="2024-01-01", to_date=last
        )

    def test_a_last_day_without_later_runs_gets_no_warning(self, fresh: Any) -> None:
        assert "warnings" not in backfill(dry_run=True)
        assert "warnings" not in backfill(dry_run=True, to_date="9999-12-31", from_date="2026-11-01")

    @pytest.mark.parametrize("names", [("from_date", "to_date"), ("start_date", "end_date")])
    @pytest.mark.parametrize("given", [0, 1])
    def test_one_date_alone_is_a_backfill_of_that_date(self, fresh: Any, names: Any, given: int) -> None:
        result = native_api.call("backfill_dag", dag_id="daily", dry_run=True, **{names[given]: "2024-01-02"})
        assert [run["logical_date"] for run in result["runs"]] == [DATES[1]]

    def test_a_data_interval_that_has_not_ended_is_omitted(self, fresh: Any) -> None:
        import pendulum

        today = pendulum.today("UTC")
        result = backfill(dry_run=True, from_date=today.subtract(days=2).isoformat(), to_date="9999-12-31")
        assert [run["logical_date"] for run in result["runs"]] == [
            today.subtract(days=days).isoformat() for days in (2, 1)
        ]

    @pytest.mark.parametrize(
        "behavior, actions",
        [
            ("none", ["skip", "skip", "skip"]),
            ("failed", ["skip", "reprocess", "skip"]),
            ("completed", ["reprocess", "reprocess", "skip"]),
        ],
    )
    def test_reprocess_behavior_decides_about_existing_runs(
        self, fresh: Any, behavior: str, actions: List[str]
    ) -> None:
        ids = [trigger(date) for date in DATES]
        set_state("success", DATES[0])
        set_state("failed", DATES[1])
        result = backfill(dry_run=True, reprocess_behavior=behavior)
        assert [run["action"] for run in result["runs"]] == actions
        assert [run["run_id"] for run in result["runs"]] == ids
        assert [run["state"] for run in result["runs"]] == ["success", "failed", "queued"]

    @pytest.mark.parametrize(
        "arguments, chosen",
        [
            ({"task_regex": "left"}, ["get_left", "sum_left", "put_left"]),
            ({"task_regex": "^sum_left"}, ["get_left", "sum_left"]),
            ({"task_regex": "^sum_left", "ignore_dependencies": True}, ["sum_left"]),
        ],
    )
    def test_task_regex_selects_tasks(self, fresh: Any, arguments: Any, chosen: List[str]) -> None:
        assert backfill(dry_run=True, **arguments)["tasks"] == chosen


class TestCreatedRuns:
    def test_the_runs_are_queued_for_the_scheduler(self, fresh: Any) -> None:
        made = backfill()
        assert [run["state"] for run in runs()] == ["queued"] * 3
        assert [run["logical_date"] for run in runs()] == DATES
        assert [run["data_interval_end"] for run in runs()][:2] == DATES[1:]
        kind = "manual" if ON_2 else "backfill"
        assert {run["run_type"] for run in runs()} == {kind}
        if ON_2:
            assert runs()[0]["run_id"] == f"native_api_backfill__{made['backfill_id']}__{DATES[0]}"

    def test_the_runs_have_the_conf(self, fresh: Any) -> None:
        backfill("daily_with_params", conf={"count": 3})
        assert [run["conf"] for run in runs("daily_with_params")] == [{"count": 3}] * 3

    def test_a_conf_that_the_params_refuse_is_invalid(self, fresh: Any) -> None:
        with pytest.raises(errors.Invalid) as caught:
            backfill("daily_with_params", conf={"count": 0})
        assert list(caught.value.errors) == ["conf"]
        assert runs("daily_with_params") == []

    def test_existing_runs_are_unchanged_by_default(self, fresh: Any) -> None:
        run_id = trigger(DATES[1])
        set_state("failed", DATES[1])
        made = backfill()
        assert [run["action"] for run in made["runs"]] == ["create", "skip", "create"]
        kept = next(run for run in runs() if run["run_id"] == run_id)
        assert (kept["state"], kept["run_type"]) == ("failed", "manual")
        assert native_api.call("backfill_state", backfill_id=made["backfill_id"])["total_runs"] == 2

    def test_existing_runs_are_reprocessed_with_reprocess_behavior(self, fresh: Any) -> None:
        run_id = trigger(DATES[1])
        set_state("failed", DATES[1])
        made = backfill(reprocess_behavior="failed", conf={"why": "again"})
        again = next(run for run in runs() if run["run_id"] == run_id)
        assert (again["state"], again["conf"]) == ("queued", {"why": "again"})
        assert set(tasks(run_id=run_id).values()) == {None}
        result = native_api.call("backfill_state", backfill_id=made["backfill_id"])
        assert (result["total_runs"], result["runs"]) == (3, {"queued": 3})

    def test_a_backfill_without_runs_succeeds_with_a_warning(self, fresh: Any) -> None:
        for date in DATES:
            trigger(date)
            set_state("success", date)
        made = backfill()
        assert "reprocess_behavior" in made["warnings"][0]
        result = native_api.call("backfill_state", backfill_id=made["backfill_id"])
        assert (result["state"], result["total_runs"], result["fraction_done"]) == ("success", 0, 1.0)

    def test_a_paused_dag_gets_queued_runs_and_a_warning(self, fresh: Any) -> None:
        made = backfill()
        assert made["warnings"] == ["The DAG 'daily' is paused: the runs wait until it is unpaused."]
        result = native_api.call("backfill_state", backfill_id=made["backfill_id"])
        assert (result["state"], result["warnings"]) == ("running", made["warnings"])
        native_api.call("unpause_dag", dag_id="daily")
        assert "warnings" not in native_api.call("backfill_state", backfill_id=made["backfill_id"])

    def test_the_scheduler_starts_the_runs_in_order(self, fresh: Any) -> None:
        """Other runs of the DAG come first."""
        native_api.call("unpause_dag", dag_id="daily")
        backfill(run_backwards=True)
        other = trigger("2024-03-01")
        dates = {run["run_id"]: run["logical_date"] for run in runs()}
        order = [run.run_id for run in queued_for_the_scheduler()]
        assert order[0] == other
        assert [dates[run_id] for run_id in order[1:]] == DATES[::-1]

    def test_next_dagrun_is_unchanged(self, fresh: Any) -> None:
        before = next_dagrun()
        backfill()
        assert next_dagrun() == before


def queued_for_the_scheduler() -> List[Any]:
    """Return the queued runs in the order in which the scheduler selects them."""
    from airflow.models.dagrun import DagRun
    from airflow.utils.state import DagRunState

    with airflow_under_test.session() as session:
        if ON_2:
            found = DagRun.next_dagruns_to_examine(DagRunState.QUEUED, session).all()
        else:
            found = list(DagRun.get_queued_dag_runs_to_set_running(session))
        session.expunge_all()
    return list(found)


def next_dagrun() -> Any:
    from airflow.models.dag import DagModel
    from sqlalchemy import select

    columns = (DagModel.next_dagrun, DagModel.next_dagrun_create_after)
    with airflow_under_test.session() as session:
        return session.execute(select(*columns).where(DagModel.dag_id == "daily")).one()


class TestTaskRegex:
    def test_downstream_tasks_are_skipped(self, fresh: Any) -> None:
        backfill(task_regex="^sum_left")
        assert tasks(logical_date_gte=DATES[0], logical_date_lte=DATES[0]) == {
            "get_left": None,
            "sum_left": None,
            "put_left": "skipped",
            **{f"{what}_right": "skipped" for what in ("get", "sum", "put")},
        }

    def test_upstream_tasks_are_success_with_ignore_dependencies(self, fresh: Any) -> None:
        backfill(task_regex="^sum_left", ignore_dependencies=True)
        states = tasks(logical_date_gte=DATES[0], logical_date_lte=DATES[0])
        assert (states["get_left"], states["sum_left"], states["put_left"]) == ("success", None, "skipped")

    def test_reprocessing_with_a_task_regex_is_refused(self, fresh: Any) -> None:
        trigger(DATES[0])
        set_state("failed")
        with pytest.raises(errors.ArgumentNotSupported, match="clear_tasks") as caught:
            backfill(task_regex="left", reprocess_behavior="failed")
        assert caught.value.argument == "task_regex"
        assert len(runs()) == 1

    def test_the_backfill_fails_if_a_selected_task_fails(self, fresh: Any) -> None:
        """In Airflow the run has succeeded, since its last tasks are excluded."""
        made = backfill(task_regex="^sum_left", from_date=DATES[0], to_date=DATES[0])
        finish("daily", "success", failed="sum_left")
        result = native_api.call("backfill_state", backfill_id=made["backfill_id"])
        assert (result["state"], result["runs"]) == ("failed", {"failed": 1})
        assert [(task["task_id"], task["logical_date"]) for task in result["failed_tasks"]] == [("sum_left", DATES[0])]

    def test_a_task_that_airflow_skipped_does_not_count_as_excluded(self, fresh: Any) -> None:
        """A task mapped over nothing is skipped without a start date."""
        from airflow.models.taskinstance import TaskInstance

        made = backfill(from_date=DATES[0], to_date=DATES[0])
        ti = TaskInstance.__table__
        with airflow_under_test.session() as session:
            session.execute(ti.update().where(ti.c.task_id == "put_left").values(state="skipped"))
        finish("daily", "success", failed="sum_left")
        result = native_api.call("backfill_state", backfill_id=made["backfill_id"])
        assert (result["state"], result["runs"]) == ("success", {"success": 1})
        assert result["tasks"] == {"failed": 1, "skipped": 1, "success": 4}

    def test_mark_success_marks_the_runs_and_the_selected_tasks_as_success(self, fresh: Any) -> None:
        made = backfill(mark_success=True, task_regex="^sum_left")
        assert {run["state"] for run in runs()} == {"success"}
        assert all(run["start_date"] and run["end_date"] for run in runs())
        states = tasks(logical_date_gte=DATES[0], logical_date_lte=DATES[0])
        assert (states["sum_left"], states["put_left"]) == ("success", "skipped")
        result = native_api.call("backfill_state", backfill_id=made["backfill_id"])
        assert (result["state"], result["fraction_done"], result["runs"]) == ("success", 1.0, {"success": 3})


@pytest.mark.skipif(ON_2, reason="Airflow 2 resets the pool of a task when it starts")
def test_pool_overrides_the_pool_of_the_tasks(fresh: Any) -> None:
    from airflow.models.taskinstance import TaskInstance
    from sqlalchemy import select

    native_api.call("set_pool", name="narrow", slots=1)
    backfill(pool="narrow", task_regex="left")
    with airflow_under_test.session() as session:
        pools = dict(session.execute(select(TaskInstance.task_id, TaskInstance.pool)).all())
    assert (pools["put_left"], pools["put_right"]) == ("narrow", "default_pool")


@pytest.mark.skipif(ON_2, reason="Airflow 2 loads no DAG without a start_date")
def test_a_dag_without_a_start_date_can_be_backfilled(fresh: Any) -> None:
    text = """
from airflow.sdk import DAG
from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.timetables.interval import CronDataIntervalTimetable

with DAG("deployed_without_start", schedule=CronDataIntervalTimetable("@daily", timezone="UTC")):
    EmptyOperator(task_id="only")
"""
    forget()
    try:
        deploy(text)
        result = backfill("deployed_without_start", dry_run=True)
        made = backfill("deployed_without_start")
        assert [run["logical_date"] for run in result["runs"]] == DATES
        assert native_api.call("backfill_state", backfill_id=made["backfill_id"])["runs"] == {"queued": 3}
        with pytest.raises(errors.Invalid, match="backfill_runs"):
            backfill("deployed_without_start", from_date="0001-01-01", dry_run=True)
    finally:
        fresh.clean()
        forget()


@pytest.mark.skipif(ON_2, reason="Airflow 2 has no backfills of its own")
def test_it_is_a_backfill_of_airflow(fresh: Any) -> None:
    from airflow.models.backfill import Backfill, BackfillDagRun
    from sqlalchemy import select

    made = backfill(max_active_runs=2, run_backwards=True)
    with airflow_under_test.session() as session:
        row = session.scalars(select(Backfill)).one()
        order = session.scalars(select(BackfillDagRun.logical_date).order_by(BackfillDagRun.sort_ordinal)).all()
        assert (row.id, row.dag_id, row.max_active_runs, row.completed_at) == (made["backfill_id"], "daily", 2, None)
        assert [date.isoformat() for date in order] == DATES[::-1]
