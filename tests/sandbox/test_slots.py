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
    """Return what gives the slots as a caller sees them, each time as another job."""
    return lambda caller, bounds=TWO_SLOTS: Slots(tmp_path, bounds, caller)


@pytest.mark.parametrize(
    ("running", "waiting", "of_caller", "bounds"),
    [
        pytest.param(4, 8, 0, (6, 3), id="half of all, and all slots but one"),
        pytest.param(1, 8, 0, (5, 1), id="the only slot"),
        pytest.param(1, 0, 0, (1, 1), id="nobody may wait"),
        pytest.param(4, 8, 12, (12, 4), id="all of it, where one caller stands for all clients"),
        pytest.param(4, 8, 2, (2, 2), id="little"),
    ],
)
def test_the_share_of_a_caller(running: int, waiting: int, of_caller: int, bounds: Any) -> None:
    found = Bounds.shared(running, waiting, of_caller)
    assert (found.of_caller, found.running_of_caller) == bounds


def test_one_caller_leaves_a_slot_and_half_of_the_queue_to_others(ask: Any) -> None:
    """However often it asks; the others get a slot at once."""
    mine = [ask("ada").enter() for _ in range(9)]
    assert [entered.slot is not None for entered in mine] == [True] + [False] * 8
    assert [entered.turn is not None for entered in mine] == [False] + [True] * 4 + [False] * 4
    assert [entered.caller_is_full for entered in mine] == [False] * 5 + [True] * 4
    assert ask("bob").enter().slot is not None


def test_a_slot_that_comes_free_goes_to_whoever_has_fewer_jobs_that_run(ask: Any) -> None:
    """Not to whoever has asked most often; among equals to who has waited longest."""
    bounds = Bounds.shared(2, 8, 10)
    running = [ask("ada", bounds).enter().slot for _ in range(2)]
    waiting = [ask(caller, bounds) for caller in ("ada", "ada", "bob", "bob")]
    assert [slot.enter().turn is not None for slot in waiting] == [True] * 4
    os.close(running[0])
    assert turns(waiting) == [False, False, True, False]
    os.close(running[1])
    assert turns(waiting)[:3] == [True, False, False]


def turns(waiting: List[Slots]) -> List[bool]:
    """Have each look for a slot once; return who got one."""
    return [one.slot() is not None for one in waiting]


def test_who_comes_later_does_not_overtake(ask: Any) -> None:
    """A slot that is free is not for a new job where another waits for it."""
    running = [ask(caller).enter().slot for caller in ("ada", "bob")]
    waits = ask("cid")
    assert waits.enter().turn is not None
    os.close(running[0])
    assert ask("dan").enter().slot is None
    assert waits.slot() is not None


def test_who_may_not_have_a_slot_keeps_nobody_from_it(ask: Any) -> None:
    """A caller whose jobs run already waits for their end, also where it came first."""
    assert ask("ada").enter().slot is not None
    assert ask("ada").enter().turn is not None
    assert ask("bob").enter().slot is not None


def test_a_caller_whose_jobs_keep_it_from_a_free_slot(ask: Any) -> None:
    """It is told of its own bound, not of the machine's."""
    assert ask("ada").enter().slot is not None
    assert (ask("ada").is_reserved_for_others(), ask("bob").is_reserved_for_others()) == (True, False)
    assert ask("bob").enter().slot is not None
    assert (ask("ada").is_reserved_for_others(), ask("bob").is_reserved_for_others()) == (False, False)


def test_what_is_reserved_is_part_of_the_share(ask: Any) -> None:
    """A job that would go on in the background is refused where its caller has as many as it may."""
    reserved = [ask("ada").reserve() for _ in range(5)]
    assert None not in reserved
    assert (ask("ada").reserve(), ask("ada").enter().caller_is_full) == (None, True)
    assert ask("bob").enter().slot is not None
    os.close(reserved[0])
    assert ask("ada").enter().slot is not None


def test_one_that_runs_already_takes_a_slot_before_those_that_wait(ask: Any) -> None:
    """It has begun in a request, and goes on where none is free."""
    running = [ask(caller).enter().slot for caller in ("ada", "bob")]
    assert ask("cid").enter().turn is not None
    assert ask("ada").slot_out_of_turn() is None
    os.close(running[0])
    assert ask("ada").slot_out_of_turn() is not None


def test_what_was_left_of_a_job_that_was_killed_counts_for_nothing(ask: Any, tmp_path: Path) -> None:
    """Its files are there and nobody holds them."""
    for folder in ("running", "waiting", "beyond"):
        (tmp_path / folder).mkdir()
        for number in range(10):
            (tmp_path / folder / str(number)).write_text("")
    assert ask("ada").enter().slot is not None


@pytest.mark.parametrize(("workers", "both"), [("1", (1, 2)), ("4", (2, 2)), ("6", (3, 3)), ("32", (4, 4))])
def test_slots_by_default(workers: str, both: Any, airflow: Any, monkeypatch: Any) -> None:
    """Half of the web workers; two where nobody waits for one, so that nobody has all of them."""
    monkeypatch.setenv("AIRFLOW__WEBSERVER__WORKERS", workers)
    monkeypatch.setenv("AIRFLOW__API__WORKERS", workers)
    requests, background = both
    assert seam().user_code.slots() == (requests if airflow.version() < (3, 0) else background, background)
    assert settings.get("jobs_per_caller") == 0
