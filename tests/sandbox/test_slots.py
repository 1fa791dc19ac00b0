"""Slots and the queue are shared between callers, whichever process asks."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, Callable, List

import pytest

from native_api import settings
from native_api.adapters.compat import airflow as seam
from native_api.adapters.sandbox.slots import Bounds, Slots
from tests.support.versions import by_default_on

pytestmark = by_default_on("2.7", "2.11", "3.0", "3.3")

TWO_SLOTS = Bounds.shared(2, 8, 0)


@pytest.fixture
def ask(tmp_path: Path) -> Callable[..., Slots]:
    """Return a function that returns the slots for a caller, each time for another job."""
    return lambda caller, bounds=TWO_SLOTS: Slots(tmp_path, bounds, caller)


@pytest.mark.parametrize(
    ("running", "waiting", "of_caller", "bounds"),
    [
        pytest.param(4, 8, 0, (6, 3), id="half of all, and all slots but one"),
        pytest.param(1, 8, 0, (5, 1), id="the only slot"),
        pytest.param(1, 0, 0, (1, 1), id="nobody may wait"),
        pytest.param(4, 8, 12, (12, 4), id="all of it, if all clients are one caller"),
        pytest.param(4, 8, 2, (2, 2), id="little"),
    ],
)
def test_the_share_of_a_caller_follows_from_the_options(
    running: int, waiting: int, of_caller: int, bounds: Any
) -> None:
    found = Bounds.shared(running, waiting, of_caller)
    assert (found.of_caller, found.running_of_caller) == bounds


def test_one_caller_leaves_a_slot_and_half_of_the_queue_to_others(ask: Any) -> None:
    mine = [ask("ada").enter() for _ in range(9)]
    assert [entered.slot is not None for entered in mine] == [True] + [False] * 8
    assert [entered.turn is not None for entered in mine] == [False] + [True] * 4 + [False] * 4
    assert [entered.caller_is_full for entered in mine] == [False] * 5 + [True] * 4
    assert ask("bob").enter().slot is not None


def test_a_free_slot_goes_to_the_caller_with_the_fewest_running_jobs(ask: Any) -> None:
    """Among equals to the job that has waited longest."""
    bounds = Bounds.shared(2, 8, 10)
    running = [ask("ada", bounds).enter().slot for _ in range(2)]
    waiting = [ask(caller, bounds) for caller in ("ada", "ada", "bob", "bob")]
    assert [slot.enter().turn is not None for slot in waiting] == [True] * 4
    os.close(running[0])
    assert turns(waiting) == [False, False, True, False]
    os.close(running[1])
    assert turns(waiting)[:3] == [True, False, False]


def turns(waiting: List[Slots]) -> List[bool]:
    """Let each try to take a slot once; return who got one."""
    return [one.slot() is not None for one in waiting]


def test_a_new_job_does_not_overtake_a_queued_one(ask: Any) -> None:
    running = [ask(caller).enter().slot for caller in ("ada", "bob")]
    waits = ask("cid")
    assert waits.enter().turn is not None
    os.close(running[0])
    assert ask("dan").enter().slot is None
    assert waits.slot() is not None


def test_a_queued_job_of_a_caller_at_its_limit_does_not_block_others(ask: Any) -> None:
    assert ask("ada").enter().slot is not None
    assert ask("ada").enter().turn is not None
    assert ask("bob").enter().slot is not None


def test_a_caller_at_its_limit_is_refused_for_its_own_share(ask: Any) -> None:
    assert ask("ada").enter().slot is not None
    assert (ask("ada").is_reserved_for_others(), ask("bob").is_reserved_for_others()) == (True, False)
    assert ask("bob").enter().slot is not None
    assert (ask("ada").is_reserved_for_others(), ask("bob").is_reserved_for_others()) == (False, False)


def test_a_reservation_counts_for_the_share_of_the_caller(ask: Any) -> None:
    reserved = [ask("ada").reserve() for _ in range(5)]
    assert None not in reserved
    assert (ask("ada").reserve(), ask("ada").enter().caller_is_full) == (None, True)
    assert ask("bob").enter().slot is not None
    os.close(reserved[0])
    assert ask("ada").enter().slot is not None


def test_a_running_job_takes_a_slot_before_queued_ones(ask: Any) -> None:
    """It started in a request, and continues even if no slot is free."""
    running = [ask(caller).enter().slot for caller in ("ada", "bob")]
    assert ask("cid").enter().turn is not None
    assert ask("ada").slot_out_of_turn() is None
    os.close(running[0])
    assert ask("ada").slot_out_of_turn() is not None


def test_files_of_killed_jobs_do_not_count(ask: Any, tmp_path: Path) -> None:
    """Their files exist, but are not locked."""
    for folder in ("running", "waiting", "beyond"):
        (tmp_path / folder).mkdir()
        for number in range(10):
            (tmp_path / folder / str(number)).write_text("")
    assert ask("ada").enter().slot is not None


@pytest.mark.parametrize(("workers", "both"), [("1", (1, 2)), ("4", (2, 2)), ("6", (3, 3)), ("32", (4, 4))])
def test_the_default_number_of_slots_is_half_of_the_web_workers(
    workers: str, both: Any, airflow: Any, monkeypatch: Any
) -> None:
    """For asynchronous jobs at least two, so that one caller cannot use all."""
    monkeypatch.setenv("AIRFLOW__WEBSERVER__WORKERS", workers)
    monkeypatch.setenv("AIRFLOW__API__WORKERS", workers)
    requests, background = both
    assert seam().user_code.slots() == (requests if airflow.version() < (3, 0) else background, background)
    assert settings.get("jobs_per_caller") == 0
