#!/usr/bin/env python3
"""
Run the demo or the tests. It needs Python 3.11 and git, and installs tox, which installs everything else.

    python3 run.py demo             until Ctrl-C; with --once, until its calls are made
    python3 run.py test             everything
    python3 run.py test NAME ...    some of the environments of tox.ini

A Python besides 3.11 that is missing is skipped; with --no-skips that is a failure.
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
import time
import venv
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent
TOOLS = ROOT / ".venv-tox"
TOX = TOOLS / "bin" / "tox"
LOGS = ROOT / ".tox" / "logs"
#: Runs a command and counts the CPU seconds of its detached processes, too.
COUNTED = [sys.executable, str(ROOT / "tests" / "support" / "orphans.py")]


@dataclass(frozen=True)
class Outcome:
    """The outcome of a tox environment; *cpu_seconds* are those of tox and of all its descendants, detached or not."""

    name: str
    status: str
    seconds: float
    cpu_seconds: float
    log: str

    @property
    def summary(self) -> str:
        """The last line of pytest."""
        lines = re.findall(r"^=+ (.*\b(?:passed|failed|skipped|errors?)\b.*) =+$", self.log, re.M)
        return lines[-1] if lines else ""

    @property
    def complaints(self) -> list[str]:
        """The lines in which pytest names failures."""
        return [line[:200] for line in re.findall(r"^(?:FAILED|ERROR) tests.*$", self.log, re.M)]

    @property
    def slowest(self) -> list[str]:
        """The slowest tests, and those that use the most CPU seconds, as pytest lists them."""
        lines = re.findall(r"^ *\d+\.\d+s (?:call|setup|teardown|CPU) .*$", self.log, re.M)
        return [" ".join(line.split()) for line in lines]

    def __str__(self) -> str:
        times = f"{self.seconds:>4.0f} s {self.cpu_seconds:>4.0f} s CPU"
        return f"{self.status:<7} {times}  {self.name:<24} {self.summary}".rstrip()


def bring_tox() -> None:
    """Install tox into a virtual environment, unless it is installed."""
    if not TOX.exists():
        venv.create(TOOLS, with_pip=True, clear=True)
        pip = [str(TOOLS / "bin" / "python"), "-m", "pip", "install", "-qq", "--disable-pip-version-check"]
        subprocess.run([*pip, "tox>=4.25", "tox-uv>=1.25"], check=True)


def demo(once: bool) -> None:
    """Let tox create the demo's environment, and execute the demo in place of this process, which gets Ctrl-C."""
    code = subprocess.run([TOX, "run", "-qq", "-e", "demo", "--notest"], cwd=ROOT).returncode
    if code:
        sys.exit(code)
    python = ROOT / ".tox" / "demo" / "bin" / "python"
    os.execv(python, [str(python), str(ROOT / "demo" / "run.py"), *(["--once"] if once else [])])


def every_name() -> list[str]:
    """Return the environments of tox.ini, and the demo."""
    command = [TOX, "list", "-d", "--no-desc", "-q"]
    listed = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True)
    return [*listed.stdout.split(), "demo"]


def run_one(name: str) -> Outcome:
    """Run an environment, with its output in a file."""
    log = LOGS / f"{name}.log"
    begun = time.monotonic()
    command = [*COUNTED, str(TOX), "run", "-e", name, *(["--", "--once"] if name == "demo" else [])]
    with log.open("wb") as output:
        process = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT)
        _, code, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(code)
    text = log.read_text(errors="replace")
    skipped = re.search(rf"^ +{re.escape(name)}: SKIP", text, re.M)
    status = "SKIPPED" if skipped else "FAILED" if code else "ok"
    return Outcome(name, status, time.monotonic() - begun, used.ru_utime + used.ru_stime, text)


def test(names: list[str], jobs: int, skips_allowed: bool) -> int:
    """Run the environments, a few at a time, and print their outcomes; return the exit code."""
    LOGS.mkdir(parents=True, exist_ok=True)
    begun = time.monotonic()
    outcomes = []
    pool = ThreadPoolExecutor(jobs)
    try:
        for future in as_completed([pool.submit(run_one, name) for name in names]):
            outcome = future.result()
            outcomes.append(outcome)
            if outcome.status != "ok":
                print(f"----- {outcome.name}\n{outcome.log}-----")
            print(outcome, *outcome.slowest, sep="\n            ", flush=True)
    finally:
        # Ctrl-C goes to tox too; nothing else is to begin then.
        pool.shutdown(cancel_futures=True)
    bad = [outcome for outcome in outcomes if not _is_good(outcome, skips_allowed)]
    cpu_seconds = sum(outcome.cpu_seconds for outcome in outcomes)
    print(
        f"\n{len(outcomes) - len(bad)} of {len(outcomes)} are as they should be; "
        f"{time.monotonic() - begun:.0f} s, {cpu_seconds:.0f} s CPU"
    )
    for outcome in bad:
        print(outcome, *outcome.complaints, sep="\n    ")
    return 1 if bad else 0


def _is_good(outcome: Outcome, skips_allowed: bool) -> bool:
    skip_is_fine = skips_allowed and re.match(r"py\d", outcome.name) is not None
    return outcome.status == "ok" or (outcome.status == "SKIPPED" and skip_is_fine)


def main() -> int:
    """Run the demo or the tests; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    of_demo = commands.add_parser("demo")
    of_demo.add_argument("--once", action="store_true", help="end after the calls")
    of_test = commands.add_parser("test")
    of_test.add_argument("names", nargs="*", metavar="NAME", help="environments of tox.ini; default: all, and the demo")
    of_test.add_argument("--jobs", type=int, default=(os.cpu_count() or 1) + 1, help="how many at a time")
    of_test.add_argument("--no-skips", action="store_true", help="fail where an interpreter is missing")
    chosen = parser.parse_args()
    os.chdir(ROOT)
    bring_tox()
    if chosen.command == "demo":
        demo(chosen.once)
    return test(chosen.names or every_name(), chosen.jobs, not chosen.no_skips)


if __name__ == "__main__":
    sys.exit(main())
