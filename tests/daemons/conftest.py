"""Programs in place of daemons."""

from __future__ import annotations

import sys
from typing import Any, Callable, Dict

import pytest

from native_api.adapters.daemons import commands
from native_api.adapters.sandbox import process_tree
from tests.daemons.stand_ins import eventually, read_log, start


@pytest.fixture(autouse=True)
def no_orphans_come_here() -> None:
    """
    Do not adopt orphans, as a web worker does not; a job of the sandbox that runs in this process would make it do so.
    """
    process_tree._prctl(process_tree._PR_SET_CHILD_SUBREAPER, 0)


@pytest.fixture
def stand_in(fresh: Any, mocker: Any) -> Callable[..., Dict[str, Any]]:
    """Return a function that starts another program in place of a daemon."""

    def begin(program: str, *words: str, daemon: str = "kerberos", **arguments: Any) -> Dict[str, Any]:
        command = [sys.executable, "-c", program, *words]
        mocker.patch.object(commands, "command_of", return_value=command)
        started = start(daemon, **arguments)
        eventually(lambda: "begun" in read_log(started["name"]))
        return started

    return begin
