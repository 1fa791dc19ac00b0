"""list_xcoms and get_xcom."""

from __future__ import annotations

import pickle
from typing import Any, Dict

import pytest

import native_api
from native_api import errors
from native_api.adapters.compat import airflow as seam
from native_api.adapters.xcoms import operations as xcoms
from tests.support.airflow_under_test import session, store_xcom, version
from tests.support.auth_managers import USER
from tests.support.problems import assert_problem
from tests.support.queries import statements

RUN = {"dag_id": "wire_dag", "run_id": "r1"}
BOMB = b"\x80\x04cos\nsystem\nX\x04\x00\x00\x00true\x85R."


@pytest.fixture(autouse=True)
def run(web: Any) -> None:
    """A run whose tasks have stored no XComs."""
    native_api.call("trigger_dag", **RUN, logical_date="2026-11-01")


def store(value: Any, task_id: str = "extract", key: str = "return_value", map_index: int = -1, **run: str) -> None:
    """Store an XCom as a task does: JSON, as bytes on Airflow 2; bytes are stored verbatim there."""
    import json

    if version() < (3, 0) and not isinstance(value, bytes):
        value = json.dumps(value).encode()
    with session() as opened:
        store_xcom(opened, {**RUN, **run}, task_id, key, value, map_index)


def get(**arguments: Any) -> Any:
    return native_api.call("get_xcom", **{**RUN, "task_id": "extract", **arguments})


def listed(**arguments: Any) -> Any:
    return native_api.call("list_xcoms", **arguments)["xcom_entries"]


class TestGet:
    VALUES = [None, True, 3, 2.5, "text", "größe", "3", '{"a": 1}', [1, [2]], {"a": {"b": None}}, {}, ""]

    @pytest.mark.parametrize("value", VALUES)
    def test_any_json_value_is_returned(self, value: Any) -> None:
        store(value)
        response = get()
        assert (response["value"], response["is_json"], response["truncated"]) == (value, True, False)

    def test_it_has_all_fields(self) -> None:
        store([1, 2], key="a key")
        response = get(key="a key")
        assert response.pop("size") in (len("[1, 2]"), len("[1,2]"))
        assert response == {
            **RUN,
            "task_id": "extract",
            "map_index": -1,
            "key": "a key",
            "timestamp": "2026-11-01T00:00:00+00:00",
            "logical_date": "2026-11-01T00:00:00+00:00",
            "execution_date": "2026-11-01T00:00:00+00:00",
            "value": [1, 2],
            "is_json": True,
            "truncated": False,
        }

    def test_a_run_is_found_by_its_date(self, web: Any) -> None:
        store(1)
        response = web.typed("get_xcom", dag_id="wire_dag", task_id="extract", execution_date="2026-11-01")
        assert (response.json["run_id"], response.json["value"]) == ("r1", 1)

    @pytest.mark.parametrize(
        "key, value, shown",
        [
            ("return_value", {"password": "hunter2", "a": 1}, {"password": "***", "a": 1}),
            ("return_value", [{"deep": {"api_key": "x"}}], [{"deep": {"api_key": "***"}}]),
            ("return_value", '{"password": "hunter2"}', '{"password": "***"}'),
            ("db_password", "hunter2", "***"),
            ("secret", {"a": 1}, "***"),
        ],
    )
    def test_sensitive_values_are_masked(self, web: Any, key: str, value: Any, shown: Any) -> None:
        """For all callers, like the conf of a run."""
        store(value, key=key)
        for login in ("admin", "token"):
            response = web.typed("get_xcom", login=login, **RUN, task_id="extract", key=key)
            assert response.json["value"] == shown
        assert listed(key=key, values=True)[0]["value"] == shown

    @pytest.mark.skipif(version() >= (3, 0), reason="Airflow 3 stores JSON.")
    @pytest.mark.parametrize(
        "stored", [pickle.dumps({1, 2}), BOMB, b"\xff\xfe", b"", b"[" * 100000, b"{'a': 1}"], ids=range(6)
    )
    @pytest.mark.parametrize("pickling", ["True", "False"])
    def test_a_value_that_is_not_json_is_never_deserialized(
        self, web: Any, monkeypatch: Any, stored: bytes, pickling: str
    ) -> None:
        """Unpickling would execute code, whether or not Airflow would do it."""
        monkeypatch.setenv("AIRFLOW__CORE__ENABLE_XCOM_PICKLING", pickling)
        monkeypatch.setattr("pickle.loads", None)
        store(stored)
        response = web.typed("get_xcom", **RUN, task_id="extract")
        assert response.status == 200, response.text
        assert (response.json["value"], response.json["is_json"], response.json["size"]) == (None, False, len(stored))
        (entry,) = web.typed("list_xcoms", **RUN, values="true").json["xcom_entries"]
        assert entry == response.json or (entry["truncated"], entry["is_json"], entry["value"]) == (True, None, None)

    @pytest.mark.parametrize("number", [float("nan"), float("inf"), float("-inf")])
    def test_nan_and_infinity_are_text(self, web: Any, number: float) -> None:
        """So that the response is JSON."""
        if version() >= (3, 0) and "postgres" in _dialect():
            pytest.skip("PostgreSQL stores none")
        store({"n": [number]})
        assert web.typed("get_xcom", **RUN, task_id="extract").json["value"] == {"n": [str(number)]}

    def test_a_deeply_nested_value_is_masked_below_some_depth(self, web: Any) -> None:
        """A list with it works."""
        value: Any = 1
        for _ in range(560):
            value = [value]
        store(value)
        response = web.typed("get_xcom", **RUN, task_id="extract")
        assert response.status == 200, response.text
        assert "***" in response.text
        assert web.typed("list_xcoms", **RUN, values="true").json["xcom_entries"] == [response.json]

    def test_a_value_that_is_too_large_is_not_read(self, web: Any) -> None:
        store("x" * xcoms.VALUE_SIZE)
        response = web.typed("get_xcom", **RUN, task_id="extract").json
        assert (response["value"], response["truncated"], response["size"]) == (None, True, xcoms.VALUE_SIZE + 2)
        assert response["is_json"] is None
        store("x" * (xcoms.VALUE_SIZE - 2), key="at_most")
        assert len(get(key="at_most")["value"]) == xcoms.VALUE_SIZE - 2

    def test_map_index_selects_an_instance_of_a_mapped_task(self, web: Any) -> None:
        native_api.call("trigger_dag", dag_id="mapped", run_id="m")
        _expand("mapped", "m", "double", 2)
        for index in (0, 1):
            store(10 * index, "double", map_index=index, dag_id="mapped", run_id="m")
        names = {"dag_id": "mapped", "run_id": "m", "task_id": "double"}
        assert [get(**names, map_index=index)["value"] for index in (0, 1)] == [0, 10]
        assert [entry["map_index"] for entry in listed(dag_id="mapped")] == [0, 1]
        assert [entry["map_index"] for entry in listed(dag_id="mapped", map_index=1)] == [1]
        response = web.typed("get_xcom", **names)
        assert_problem(response, 404)

    @pytest.mark.parametrize(
        "arguments, error",
        [
            ({"key": "nope"}, errors.XComNotFound),
            ({"task_id": "nope"}, errors.TaskNotFound),
            ({"run_id": "nope"}, errors.DagRunNotFound),
            ({"dag_id": "nope"}, errors.DagNotFound),
            ({"map_index": 3}, errors.TaskInstanceNotFound),
            ({"key": ""}, errors.Invalid),
            ({"key": "x" * 513}, errors.Invalid),
        ],
    )
    def test_an_unknown_dag_task_or_run_is_not_found(self, arguments: Any, error: Any) -> None:
        store(1)
        with pytest.raises(error):
            get(**arguments)

    def test_the_error_names_the_key(self, web: Any) -> None:
        response = web.typed("get_xcom", **RUN, task_id="extract", key="nope")
        assert_problem(response, 404)
        assert response.json["detail"] == "The task 'extract' has stored no XCom 'nope' in the run 'r1'."


def test_they_require_airflows_permission_on_xcoms(web: Any, mocker: Any) -> None:
    """Permission on the DAG, its runs and task instances is not enough."""
    store(1)
    if version() < (2, 8):
        _without_fabs_right(web, mocker, "XComs")
    else:
        manager = type(seam().rights._auth_manager())
        real = manager.is_authorized_dag

        def without_xcoms(self: Any, **about: Any) -> bool:
            entity = about.get("access_entity")
            return getattr(entity, "name", None) != "XCOM" and bool(real(self, **about))

        mocker.patch.object(manager, "is_authorized_dag", without_xcoms)
    assert web.typed("task_state", login="viewer", **RUN, task_id="extract").status == 200
    assert_problem(web.typed("get_xcom", login="viewer", **RUN, task_id="extract"), 403)
    assert_problem(web.typed("list_xcoms", login="viewer", **RUN), 403)
    assert_problem(web.typed("list_xcoms", login="viewer"), 403)


class TestList:
    @pytest.fixture(autouse=True)
    def some(self) -> None:
        store({"rows": 3})
        store("x" * 5000, key="long")
        store(3, "transform")

    def test_values_are_omitted_by_default(self) -> None:
        entries = listed(**RUN)
        assert [(entry["task_id"], entry["key"]) for entry in entries] == [
            ("extract", "long"),
            ("extract", "return_value"),
            ("transform", "return_value"),
        ]
        assert not any("value" in entry for entry in entries)
        assert entries[0]["size"] == 5002

    def test_values_returns_those_of_get_xcom(self) -> None:
        """Without large ones."""
        entries = {(entry["task_id"], entry["key"]): entry for entry in listed(**RUN, values=True)}
        assert entries["extract", "return_value"] == get()
        assert entries["transform", "return_value"]["value"] == 3
        long = entries["extract", "long"]
        assert (long["value"], long["truncated"]) == (None, True)
        assert not get(key="long")["truncated"]

    @pytest.mark.parametrize(
        "arguments, count",
        [
            ({}, 3),
            ({"dag_id": "wire_dag"}, 3),
            ({"dag_id": "mapped"}, 0),
            ({"run_id": "r1"}, 3),
            ({"run_id": "nope"}, 0),
            ({"task_id": "transform"}, 1),
            ({"map_index": -1}, 3),
            ({"map_index": 0}, 0),
            ({"key": "return_value"}, 2),
            ({"key": "return"}, 0),
            ({"key_pattern": "return"}, 2),
            ({"key_pattern": "o_g"}, 1),
            ({"logical_date_gte": "2026-11-01"}, 3),
            ({"logical_date_lte": "2026-10-31"}, 0),
            ({"subdir": "DAGS_FOLDER/wire_dag.py"}, 3),
            ({"subdir": "DAGS_FOLDER/shapes.py"}, 0),
            ({"limit": 1}, 1),
            ({"offset": 2}, 1),
        ],
    )
    def test_a_filter_selects_xcoms(self, arguments: Dict[str, Any], count: int) -> None:
        assert len(listed(**arguments)) == count

    @pytest.mark.parametrize("order_by", ["task_id", "key", "timestamp", "dag_id", "run_id"])
    def test_every_order_can_be_descending(self, order_by: str) -> None:
        assert len(listed(order_by=order_by)) == len(listed(order_by=f"-{order_by}", values=True)) == 3

    def test_a_caller_sees_xcoms_of_readable_dags_only(self, web: Any, mocker: Any) -> None:
        native_api.call("trigger_dag", dag_id="failing", run_id="f")
        store(1, "fails", dag_id="failing", run_id="f")
        mocker.patch(
            f"{USER}.may",
            lambda self, access, dag_id=None: dag_id == "failing",
        )
        mocker.patch(f"{USER}.dag_ids", lambda self, access: {"failing"})
        response = web.typed("list_xcoms", login="viewer")
        assert [entry["dag_id"] for entry in response.json["xcom_entries"]] == ["failing"]
        assert response.json["total_entries"] == 1
        assert_problem(web.typed("list_xcoms", login="viewer", **RUN), 403)
        response = web.typed("get_xcom", login="viewer", **RUN, task_id="extract")
        assert_problem(response, 403)
        assert response.json["permission"] == "read the XCom of the DAG 'wire_dag'"

    @pytest.mark.parametrize("values", [False, True])
    def test_the_number_of_queries_is_fixed(self, values: bool) -> None:
        for number in range(20):
            store({"n": number}, key=f"k{number}")
        with statements() as seen:
            assert len(listed(run_id="r1", values=values)) == 23
        assert len(seen) == 1


def _without_fabs_right(web: Any, mocker: Any, resource: str) -> None:
    """Deny the permission to everybody, as Airflow 2.7 asks FAB for it."""
    manager = type(web.app.appbuilder.sm)
    real = manager.has_access

    def without(self: Any, action: str, name: str, user: Any = None) -> bool:
        return name != resource and bool(real(self, action, name, user))

    mocker.patch.object(manager, "has_access", without)


def _expand(dag_id: str, run_id: str, task_id: str, count: int) -> None:
    """Create that many instances of a mapped task, as its expansion does."""
    import uuid

    from airflow.models.taskinstance import TaskInstance

    table, column = TaskInstance.__table__, "map_index" if version() < (3, 4) else "region_index"
    with session() as opened:
        of_task = (table.c.dag_id == dag_id) & (table.c.run_id == run_id) & (table.c.task_id == task_id)
        row = dict(opened.execute(table.select().where(of_task)).first()._mapping)
        opened.execute(table.delete().where(of_task))
        for index in range(count):
            own = {"id": uuid.uuid4() if isinstance(row["id"], uuid.UUID) else str(uuid.uuid4())} if "id" in row else {}
            opened.execute(table.insert().values({**row, **own, column: index}))


def _dialect() -> str:
    from airflow import settings

    return str(settings.engine.dialect.name)
