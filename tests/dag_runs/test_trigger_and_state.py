"""trigger_dag, dag_state."""

from __future__ import annotations

from typing import Any

import pytest

import native_api
from native_api import errors


def trigger(**arguments: Any) -> Any:
    return native_api.call("trigger_dag", **{"dag_id": "wire_dag", **arguments})


def run_ids() -> Any:
    """Return the ids of all runs."""
    from airflow.models.dagrun import DagRun
    from sqlalchemy import select

    from tests.support import airflow_under_test

    with airflow_under_test.session() as session:
        return list(session.scalars(select(DagRun.run_id)))


class TestTrigger:
    def test_it_creates_a_queued_manual_run_with_task_instances(self, fresh: Any) -> None:
        run = trigger(run_id="r", conf={"k": [1]}, logical_date="2026-11-01T00:00:00", note="why")
        assert {name: run[name] for name in ("dag_id", "run_id", "state", "run_type", "conf", "note")} == {
            "dag_id": "wire_dag",
            "run_id": "r",
            "state": "queued",
            "run_type": "manual",
            "conf": {"k": [1]},
            "note": "why",
        }
        assert run["logical_date"] == run["execution_date"] == "2026-11-01T00:00:00+00:00"
        assert native_api.call("dag_state", dag_id="wire_dag", run_id="r")["note"] == "why"
        for task_id in ("extract", "transform", "load"):
            assert native_api.call("task_state", dag_id="wire_dag", run_id="r", task_id=task_id)["state"] is None

    def test_the_data_interval_follows_the_logical_date(self, fresh: Any) -> None:
        """On every Airflow, and not the present time."""
        run = trigger(logical_date="2024-05-06T07:08:09")
        assert run["data_interval_start"][:10] in ("2024-05-05", "2024-05-06")
        assert run["data_interval_end"][:10] == "2024-05-06"

    def test_a_run_without_a_given_date_has_one(self, fresh: Any) -> None:
        """Also on Airflow 3, so that templates have ds."""
        assert trigger()["logical_date"] is not None

    def test_two_calls_at_once_create_two_runs(self, fresh: Any) -> None:
        """Their dates differ by microseconds."""
        assert trigger()["run_id"] != trigger()["run_id"]

    def test_the_default_run_id_has_the_logical_date(self, fresh: Any) -> None:
        assert trigger(logical_date="2026-11-01")["run_id"].startswith("manual__2026-11-01T00:00:00+00:00")

    @pytest.mark.parametrize(
        "again",
        [
            pytest.param({"run_id": "r"}, id="same id"),
            pytest.param({"logical_date": "2026-11-01"}, id="same date"),
            pytest.param({"execution_date": "2026-11-01T00:00:00Z"}, id="same date by its older name"),
            pytest.param({"run_id": "r2", "logical_date": "2026-11-01"}, id="another id, same date"),
        ],
    )
    def test_an_existing_run_is_409(self, fresh: Any, again: Any) -> None:
        """The error names the run, and no run is created."""
        trigger(run_id="r", logical_date="2026-11-01")
        with pytest.raises(errors.DagRunExists) as caught:
            trigger(**again)
        assert caught.value.problem()["run_id"] == "r"
        assert caught.value.problem()["logical_date"] == "2026-11-01T00:00:00+00:00"
        assert run_ids() == ["r"]

    def test_another_dag_can_have_the_same_run_id(self, fresh: Any) -> None:
        trigger(run_id="r")
        assert trigger(run_id="r", dag_id="failing")["dag_id"] == "failing"

    @pytest.mark.parametrize("conf", [None, {}, "{}", "", '{"a": {"b": null}}', {"ü": "世"}])
    def test_conf_can_be_an_object_or_text(self, fresh: Any, conf: Any) -> None:
        import json

        expected = (json.loads(conf) if conf else {}) if isinstance(conf, str) else conf or {}
        assert (trigger(conf=conf)["conf"] or {}) == expected

    @pytest.mark.parametrize("conf", ["notjson", "[1]", "1", '"x"', [1], 1, True])
    def test_conf_must_be_an_object(self, fresh: Any, conf: Any) -> None:
        with pytest.raises(errors.Invalid) as caught:
            trigger(conf=conf)
        assert list(caught.value.errors) == ["conf"]
        assert run_ids() == []

    @pytest.mark.parametrize("date", ["0001-01-01", "9999-12-31T23:59:59.999999+00:00"])
    def test_an_extreme_date_is_accepted_or_invalid(self, fresh: Any, date: str) -> None:
        """Not every timetable has a data interval for it."""
        try:
            assert trigger(dag_id="daily", logical_date=date)["logical_date"].startswith(date[:10])
        except errors.Invalid:
            assert run_ids() == []

    @pytest.mark.parametrize("date", ["0001-01-01", "9999-12-31T23:59:59.999999+00:00"])
    def test_the_dependencies_for_an_extreme_date_are_invalid(self, fresh: Any, date: str) -> None:
        (task, *_) = native_api.call("list_tasks", dag_id="daily")["tasks"]
        with pytest.raises(errors.Invalid, match="timetable"):
            native_api.call("task_failed_deps", dag_id="daily", task_id=task["task_id"], logical_date=date)

    def test_conf_is_validated_by_the_params(self, fresh: Any) -> None:
        """As in Airflow; no run is created."""
        with pytest.raises(errors.Invalid) as caught:
            trigger(dag_id="needs_params", conf={"count": "many"})
        assert list(caught.value.errors) == ["conf"]
        assert run_ids() == []
        assert trigger(dag_id="needs_params", conf={"count": 3})["conf"] == {"count": 3}

    @pytest.mark.parametrize("run_id", ["scheduled__x", "backfill__x", "a..b", "a/b", "a%", "ü"])
    def test_an_invalid_run_id_is_an_error(self, fresh: Any, run_id: str) -> None:
        """The same ids on every Airflow."""
        with pytest.raises(errors.Invalid) as caught:
            trigger(run_id=run_id)
        assert list(caught.value.errors) == ["run_id"]
        assert run_ids() == []

    def test_a_date_before_the_start_date_is_invalid(self, fresh: Any) -> None:
        """Airflow refuses it for a start_date in default_args."""
        with pytest.raises(errors.Invalid, match="start_date"):
            trigger(dag_id="late_start", logical_date="2026-11-01")
        assert run_ids() == []

    def test_an_unknown_dag_is_not_found(self, fresh: Any) -> None:
        with pytest.raises(errors.DagNotFound):
            trigger(dag_id="nope")

    def test_logical_date_and_execution_date_exclude_each_other(self, fresh: Any) -> None:
        with pytest.raises(errors.Invalid, match="execution_date"):
            trigger(logical_date="2026-11-01", execution_date="2026-11-01")

    def test_a_paused_dag_is_triggered_with_a_warning(self, fresh: Any) -> None:
        """As in Airflow; the run waits."""
        run = trigger()
        assert run["is_paused"] is True
        assert "paused" in run["warnings"][0]
        native_api.call("unpause_dag", dag_id="wire_dag")
        run = trigger()
        assert run["is_paused"] is False
        assert "warnings" not in run

    def test_a_dag_with_import_errors_is_refused(self, fresh: Any) -> None:
        from tests.support.dag_files import set_import_error

        set_import_error("failing")
        try:
            with pytest.raises(errors.DagHasImportErrors):
                trigger(dag_id="failing")
        finally:
            set_import_error("")

    def test_secrets_in_conf_are_masked_in_responses_only(self, fresh: Any) -> None:
        run = trigger(run_id="r", conf={"password": "hunter2", "k": {"api_key": "x", "n": 1}})
        assert run["conf"] == {"password": "***", "k": {"api_key": "***", "n": 1}}
        with fresh.session() as session:
            from airflow.models.dagrun import DagRun
            from sqlalchemy import select

            assert session.scalars(select(DagRun.conf)).first()["password"] == "hunter2"
        assert "hunter2" not in str([row.extra for row in fresh.audit_rows()])

    def test_a_created_run_is_201(self, web: Any) -> None:
        response = web.typed("trigger_dag", dag_id="unicodé_dåg", login="admin", note="ü")
        assert response.status == 201, response.text
        assert response.json["dag_id"] == "unicodé_dåg"

    def test_the_audit_log_names_the_run(self, web: Any) -> None:
        web.typed("trigger_dag", login="admin", dag_id="wire_dag", run_id="r", logical_date="2026-11-01")
        (row,) = web_rows()
        assert (row.event, row.owner, row.dag_id) == ("native_api.trigger_dag", "admin", "wire_dag")
        assert getattr(row, "run_id", "r") == "r"
        date = row.logical_date if "logical_date" in row.__table__.columns else row.execution_date
        assert date.isoformat() == "2026-11-01T00:00:00+00:00"


def web_rows() -> Any:
    from tests.support import airflow_under_test

    return airflow_under_test.audit_rows()


class TestState:
    @pytest.mark.parametrize("name", ["logical_date", "execution_date"])
    def test_a_run_is_found_by_its_date(self, fresh: Any, name: str) -> None:
        trigger(run_id="r", logical_date="2026-11-01T00:00:00+00:00")
        assert native_api.call("dag_state", dag_id="wire_dag", **{name: "2026-11-01"})["run_id"] == "r"

    def test_a_run_is_found_by_its_run_id(self, fresh: Any) -> None:
        trigger(run_id="r")
        assert native_api.call("dag_state", dag_id="wire_dag", run_id="r")["state"] == "queued"

    @pytest.mark.parametrize("named", [{"run_id": "nope"}, {"logical_date": "2020-01-01"}])
    def test_an_unknown_run_is_404(self, fresh: Any, named: Any) -> None:
        with pytest.raises(errors.DagRunNotFound) as caught:
            native_api.call("dag_state", dag_id="wire_dag", **named)
        assert caught.value.problem()["status"] == 404

    def test_a_run_of_another_dag_is_not_found(self, fresh: Any) -> None:
        trigger(run_id="r")
        with pytest.raises(errors.DagRunNotFound):
            native_api.call("dag_state", dag_id="failing", run_id="r")

    @pytest.mark.parametrize(
        "named", [{}, {"run_id": "r", "logical_date": "2020-01-01"}, {"logical_date": "not a date"}, {"run_id": 3}]
    )
    def test_an_invalid_argument_is_an_error(self, fresh: Any, named: Any) -> None:
        with pytest.raises(errors.Invalid):
            native_api.call("dag_state", dag_id="wire_dag", **named)
