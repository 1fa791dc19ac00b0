"""Builds of the project, and clean environments to install them in."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Dict, Iterator, Optional

import pytest

ROOT = Path(__file__).resolve().parents[2]
#: What a checkout may have besides the project.
LEFT_OVER = shutil.ignore_patterns(".git", ".tox", ".venv*", ".*_cache", "__pycache__", "*.egg-info", "build", "dist")


def run(*words: object, env: Optional[Dict[str, str]] = None, cwd: Path = ROOT) -> str:
    """Run a command and return its output; fail with all that it printed."""
    done = subprocess.run(
        [str(word) for word in words],
        env={**os.environ, **(env or {})},
        cwd=cwd,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    if done.returncode:
        pytest.fail(f"{' '.join(map(str, words))} ended with {done.returncode}:\n{done.stdout}")
    return done.stdout


@dataclass(frozen=True)
class Environment:
    """A virtual environment with an AIRFLOW_HOME."""

    path: Path

    @property
    def python(self) -> Path:
        return self.path / "bin" / "python"

    def uv(self, *words: object, as_of: Optional[str] = None) -> str:
        """Run ``uv pip`` on it, with the packages that there were on the day *as_of*."""
        env = {"UV_EXCLUDE_NEWER": as_of} if as_of else {}
        return run("uv", "pip", words[0], "--python", self.python, *words[1:], env=env)

    def pip(self, *words: object) -> str:
        """Run pip on it, as users do."""
        return run(sys.executable, "-m", "pip", "--python", self.python, *words)

    def run(self, program: str, *words: object) -> str:
        """Run one of its programs, away from the checkout, whose modules it would find first."""
        env = {"AIRFLOW_HOME": str(self.path / "airflow_home")}
        return run(self.path / "bin" / program, *words, env=env, cwd=self.path)


@pytest.fixture
def environment(tmp_path: Path) -> Iterator[Environment]:
    """A clean environment."""
    path = tmp_path / "environment"
    run("uv", "venv", "--quiet", "--python", sys.executable, path)
    yield Environment(path)
    shutil.rmtree(path)


@pytest.fixture(scope="session")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the project, so that building neither changes the original nor uses its untracked files."""
    copy = tmp_path_factory.mktemp("checkout") / "project"
    shutil.copytree(ROOT, copy, symlinks=True, ignore=LEFT_OVER)
    return copy


@pytest.fixture(scope="session")
def wheel(checkout: Path) -> Path:
    """The wheel, built from the checkout."""
    run("uv", "build", "--quiet", "--wheel", "--out-dir", checkout / "dist", checkout)
    return next((checkout / "dist").glob("*.whl"))


@pytest.fixture(scope="session")
def sdist(checkout: Path) -> Path:
    """The source distribution."""
    run("uv", "build", "--quiet", "--sdist", "--out-dir", checkout / "dist", checkout)
    return next((checkout / "dist").glob("*.tar.gz"))
