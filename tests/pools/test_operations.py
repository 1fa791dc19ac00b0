"""set_pool, get_pool, list_pools, delete_pool."""

from __future__ import annotations

from typing import Any, Dict

import pytest

import native_api
from native_api import errors
from tests.support.airflow_under_test import version
from tests.support.auth_managers import USER
from tests.support.problems import assert_problem


def put(name: str = "p", slots: Any = 4, **said: Any) -> Any:
    return native_api.call("set_pool", name=name, slots=slots, **said)


def get(name: str = "p") -> Any:
    return native_api.call("get_pool", name=name)


class TestSet:
    def test_a_new_pool_is_returned_with_its_slots(self, fresh: Any) -> None:
        assert put(description="d") == {
            "name": "p",
            "slots": 4,
            "description": "d",
            "include_deferred": False,
            "occupied_slots": 0,
            "running_slots": 0,
            "queued_slots": 0,
            "scheduled_slots": 0,
            "deferred_slots": 0,
            "open_slots": 4,
        }
        assert get() == put(description="d")

    def test_a_new_pool_is_201_and_an_existing_one_200(self, web: Any) -> None:
        assert web.typed("set_pool", name="p", slots=1).status == 201
        assert web.typed("set_pool", name="p", slots=2).status == 200
        assert native_api.call("list_pools", name_pattern="p")["total_entries"] == 2

    def test_omitted_fields_are_unchanged(self, fresh: Any) -> None:
        put(description="d", include_deferred=True)
        assert (put(slots=5)["description"], get()["include_deferred"], get()["slots"]) == ("d", True, 5)
        assert put(description=None)["description"] is None
        assert put(include_deferred=False)["include_deferred"] is False

    @pytest.mark.parametrize("slots", [-1, 0, 1, "7", 2**31 - 1])
    def test_slots_is_an_integer_from_minus_1(self, fresh: Any, slots: Any) -> None:
        assert put(slots=slots)["slots"] == int(slots)

    @pytest.mark.parametrize("slots", [-2, 1.5, "x", "", None, True, 2**31])
    def test_invalid_slots_are_an_error(self, fresh: Any, slots: Any) -> None:
        with pytest.raises(errors.Invalid) as caught:
            put(slots=slots)
        assert list(caught.value.errors) == ["slots"]

    @pytest.mark.parametrize("name", ["a", "with space", "a/b", "ключ", "x" * 256])
    def test_a_valid_name_is_accepted(self, web: Any, name: str) -> None:
        assert web.typed("set_pool", name=name, slots=1).status == 201
        assert web.typed("get_pool", name=name).json["name"] == name
        assert web.typed("delete_pool", name=name).status == 200

    @pytest.mark.parametrize("name", ["", "x" * 257, None, 3])
    def test_an_invalid_name_is_an_error(self, fresh: Any, name: Any) -> None:
        with pytest.raises(errors.Invalid) as caught:
            put(name)
        assert list(caught.value.errors) == ["name"]

    def test_the_default_pool_can_be_set(self, web: Any) -> None:
        assert web.typed("set_pool", name="default_pool", slots=3, include_deferred=True).status == 200
        assert get("default_pool")["slots"] == 3

    def test_a_write_is_rolled_back_if_the_audit_log_fails(self, fresh: Any, mocker: Any) -> None:
        """Airflow's own function would have committed."""
        mocker.patch("native_api.audit.record", side_effect=RuntimeError("no audit"))
        with pytest.raises(RuntimeError):
            put()
        with pytest.raises(errors.PoolNotFound):
            get()

    def test_a_new_pool_requires_permission_to_create(self, web: Any, mocker: Any) -> None:
        put("old")
        mocker.patch(
            f"{USER}.may",
            lambda self, access, identifier=None: access.method == "PUT",
        )
        assert web.typed("set_pool", login="user", name="old", slots=1).status == 200
        response = web.typed("set_pool", login="user", name="new", slots=1)
        assert_problem(response, 403)
        assert response.json["permission"] == "create the pool 'new'"

    @pytest.mark.skipif(version() < (3, 2), reason="Teams came with Airflow 3.2.")
    def test_it_keeps_its_team(self, fresh: Any) -> None:
        """Airflow 3.3's own function would remove the team."""
        from airflow.models.pool import Pool
        from airflow.models.team import Team
        from sqlalchemy import delete, select, update

        put()
        with fresh.session() as session:
            session.add(Team(name="blue"))
            session.flush()
            session.execute(update(Pool).where(Pool.pool == "p").values(team_name="blue"))
        put(slots=5)
        with fresh.session() as session:
            assert session.scalar(select(Pool.team_name).where(Pool.pool == "p")) == "blue"
            session.execute(delete(Pool).where(Pool.pool == "p"))
            session.execute(delete(Team))


class TestSlots:
    @pytest.fixture
    def busy(self, fresh: Any) -> Any:
        """
        Return the Airflow under test with a task instance in each state in the pool ``p``, and one in the default pool.
        """
        from airflow.models.taskinstance import TaskInstance
        from sqlalchemy import select

        put(slots=20)
        states = ["running", "queued", "scheduled", "deferred", "success", None, "up_for_retry"]
        for number, state in enumerate(states):
            native_api.call("trigger_dag", dag_id="wire_dag", run_id=f"r{number}")
            with fresh.session() as session:
                instances = session.scalars(select(TaskInstance).where(TaskInstance.run_id == f"r{number}"))
                for place, instance in enumerate(instances):
                    instance.pool, instance.pool_slots, instance.state = ("p", 2 + number, state) if not place else (
                        "default_pool", 1, "running"
                    )  # fmt: skip
        return fresh

    EXPECTED: Dict[bool, Dict[str, int]] = {
        False: {"occupied_slots": 5, "open_slots": 15},
        True: {"occupied_slots": 10, "open_slots": 10},
    }

    @pytest.mark.parametrize("include_deferred", [False, True])
    def test_they_are_counted_as_by_airflow(self, busy: Any, include_deferred: bool) -> None:
        from airflow.models.pool import Pool
        from sqlalchemy import select

        shown = put(slots=20, include_deferred=include_deferred)
        counted = {name: value for name, value in shown.items() if name.endswith("_slots")}
        assert counted == {
            "running_slots": 2,
            "queued_slots": 3,
            "scheduled_slots": 4,
            "deferred_slots": 5,
            **self.EXPECTED[include_deferred],
        }
        with busy.session() as session:
            row = session.scalars(select(Pool).where(Pool.pool == "p")).one()
            assert counted == {name: int(getattr(row, name)(session=session)) for name in counted}

    def test_an_unlimited_pool_has_minus_1_open_slots(self, busy: Any) -> None:
        shown = put(slots=-1)
        assert (shown["occupied_slots"], shown["open_slots"]) == (5, -1)

    def test_open_slots_are_negative_if_more_are_occupied(self, busy: Any) -> None:
        """After the slots were reduced."""
        assert put(slots=1)["open_slots"] == -4

    def test_the_list_has_the_slots_of_each_pool(self, busy: Any) -> None:
        pools = {pool["name"]: pool for pool in native_api.call("list_pools")["pools"]}
        assert set(pools) == {"default_pool", "p"}
        assert pools["p"] == get()
        assert pools["default_pool"] == get("default_pool")
        assert pools["default_pool"]["running_slots"] > 0

    def test_the_number_of_queries_is_fixed(self, busy: Any) -> None:
        from tests.support.queries import statements

        for number in range(10):
            put(f"p{number}")
        with statements() as seen:
            assert len(native_api.call("list_pools")["pools"]) == 12
        assert len(seen) == 2


class TestList:
    def test_it_has_pages_an_order_and_a_pattern(self, fresh: Any) -> None:
        for name, slots in (("b", 1), ("a", 2), ("c_1", 3)):
            put(name, slots)

        def names(**arguments: Any) -> Any:
            return [pool["name"] for pool in native_api.call("list_pools", **arguments)["pools"]]

        assert names() == ["a", "b", "c_1", "default_pool"]
        assert names(order_by="-slots", limit=2) == ["default_pool", "c_1"]
        assert names(order_by="id", offset=1) == ["b", "a", "c_1"]
        assert names(name_pattern="c_1") == ["c_1"]


class TestDelete:
    def test_a_deleted_pool_is_not_found(self, web: Any) -> None:
        put(description="d")
        assert native_api.call("delete_pool", name="p") == {"name": "p", "slots": 4, "description": "d"}
        assert_problem(web.typed("delete_pool", name="p"), 404)
        assert_problem(web.typed("get_pool", name="p"), 404)

    def test_the_default_pool_cannot_be_deleted(self, web: Any) -> None:
        assert_problem(web.typed("delete_pool", name="default_pool"), 409)
        response = web.legacy("pool", delete="default_pool")
        assert (response.status, response.json["status"]) == (409, "ERROR")
        assert get("default_pool")["slots"] == 128


class TestLegacy:
    @pytest.mark.parametrize(
        "arguments, description",
        [
            ({"cmd": "set", "pool_name": "p", "slot_count": "4", "description": "some words"}, "some words"),
            ({"cmd": "set", "pool_name": "p", "slot_count": "4", "pool_description": "some words"}, "some words"),
            ({"cmd": "set", "pool_name": "p", "slot_count": "4"}, None),
            ({"set": "p 4 some words"}, "some words"),
            ({"set": "p 4"}, None),
        ],
    )
    def test_every_way_to_set_a_pool_is_accepted(self, web: Any, arguments: Any, description: Any) -> None:
        response = web.legacy("pool", **arguments)
        assert response.status == 200, response.text
        assert (get()["slots"], get()["description"]) == (4, description)
        assert f"│ p      │       4 │ {description or ''}" in response.json["output"]["stdout"]

    @pytest.mark.parametrize(
        "arguments", [{"cmd": "set"}, {"cmd": "set", "pool_name": "p"}, {"cmd": "set", "slot_count": "4"}, {"set": "p"}]
    )
    def test_set_requires_a_name_and_slots(self, web: Any, arguments: Any) -> None:
        response = web.legacy("pool", **arguments)
        assert (response.status, response.json["output"]) == (
            400,
            "The argument(s) ['pool_name', 'slot_count'] are required",
        )

    @pytest.mark.parametrize("slots", ["x", "-2", "1.5"])
    def test_invalid_slots_are_400(self, web: Any, slots: str) -> None:
        assert web.legacy("pool", cmd="set", pool_name="p", slot_count=slots).status == 400

    def test_the_command_has_the_arguments(self, web: Any) -> None:
        response = web.legacy("pool", cmd="set", pool_name="p", slot_count="-1", description="some words")
        assert response.json["airflow_cmd"] == "airflow pools set p -1 'some words'"

    def test_deleting_a_missing_pool_prints_the_old_message(self, web: Any) -> None:
        assert web.legacy("pool", delete="p").json["output"]["stdout"] == "Pool 'p' doesn't exist\n"
