"""``--durations`` also prints the CPU seconds of the most expensive tests, with those of the processes they start."""

from __future__ import annotations

import os
from contextlib import suppress
from typing import Any, Dict, Iterator, List

import pytest

from tests.support.orphans import VARIABLE

_TICKS = os.sysconf("SC_CLK_TCK")
_of_tests: Dict[str, float] = {}
#: What had been used when the last test ended.
_before: List[float] = []


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_protocol(item: Any) -> Iterator[None]:
    """Count what the test, its set-up and its teardown use."""
    before = _before.pop() if _before else _used()
    yield
    _before.append(_used())
    _of_tests[item.nodeid] = _before[0] - before


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Print the tests in the form of the durations."""
    count = terminalreporter.config.option.durations
    if count:
        terminalreporter.write_sep("=", f"most expensive {count} tests")
        terminalreporter.write_line(f"{_used():.2f}s CPU      everything, with the processes that still run")
        for name in sorted(_of_tests, key=lambda name: _of_tests[name], reverse=True)[:count]:
            terminalreporter.write_line(f"{_of_tests[name]:.2f}s CPU      {name}")


def _used() -> float:
    """
    Return the CPU seconds of this process and of its descendants, those that have ended and those that run.

    With ``orphans.py`` as an ancestor these are also the descendants whose parents have ended.
    """
    return _used_by(int(os.environ.get(VARIABLE, os.getpid()))) or sum(os.times()[:4])


def _used_by(pid: int) -> float:
    """Return the CPU seconds of a process, of its children and of those that they have waited for; 0 without /proc."""
    # user, system, and the same of the processes that it has waited for
    ticks = _text(f"/proc/{pid}/stat").rpartition(b")")[2].split()[11:15]
    used = sum(map(int, ticks)) / _TICKS
    with suppress(OSError):
        for thread in os.listdir(f"/proc/{pid}/task"):
            used += sum(_used_by(int(child)) for child in _text(f"/proc/{pid}/task/{thread}/children").split())
    return used


def _text(path: str) -> bytes:
    """Return a file of /proc, which is empty if the process has ended."""
    try:
        file = os.open(path, os.O_RDONLY)
    except OSError:
        return b""
    try:
        return os.read(file, 10_000)
    except OSError:
        return b""
    finally:
        os.close(file)
