"""The CPU seconds of the tests are those of all processes that they start."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support import orphans
from tests.support.versions import by_default_on

pytestmark = by_default_on("2.8", "3.1")


ROOT = Path(__file__).parent.parent
#: The processor time that a program uses, in seconds.
SECONDS = 0.3
PROGRAM = f"""
import os, time
# A grandchild in a session of its own, whose parent ends.
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        while time.process_time() < {SECONDS}:
            pass
        open("burnt", "w").close()
    os._exit(0)
os.wait()
"""
TEST = f"""
def test_that_detaches() -> None:
    subprocess.run([sys.executable, "-c", {PROGRAM!r}], check=True)
    while not os.path.exists("burnt"):
        time.sleep(0.02)
"""


def run(folder: Path, *words: str) -> tuple[float, str]:
    """Run Python as the tests are run; return the CPU seconds and the output."""
    command = [sys.executable, orphans.__file__, sys.executable, *words]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    with subprocess.Popen(command, cwd=folder, env=environment, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        output = process.stdout.read()
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = status
    assert status == 0, output
    return used.ru_utime + used.ru_stime, output


def test_a_detached_process_that_outlives_the_command_counts(tmp_path: Path) -> None:
    used, _ = run(tmp_path, "-c", PROGRAM)
    assert used >= SECONDS


def test_a_detached_process_counts_for_its_test(tmp_path: Path) -> None:
    (tmp_path / "test_it.py").write_text(f"import os, subprocess, sys, time\n{TEST}")
    _, output = run(tmp_path, "-m", "pytest", "-q", "-p", "tests.support.cpu_times", "--durations=1", "test_it.py")
    (seconds,) = re.findall(r"^(\S+)s CPU +test_it.py::test_that_detaches$", output, re.MULTILINE)
    # /proc counts ticks.
    assert float(seconds) >= SECONDS - 0.05


@pytest.mark.parametrize(
    "program, code",
    [("import sys; sys.exit(3)", 3), ("import os; os.kill(os.getpid(), 15)", 128 + 15)],
    ids=["an error", "a signal"],
)
def test_the_exit_code_is_that_of_the_command(program: str, code: int) -> None:
    assert subprocess.run([sys.executable, orphans.__file__, sys.executable, "-c", program]).returncode == code
