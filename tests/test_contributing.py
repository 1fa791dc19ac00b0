"""CONTRIBUTING.rst and the hooks are correct."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent


@pytest.mark.parametrize("tool", ["ruff", "mypy", "apache-airflow", "types-psutil"])
def test_the_hooks_have_the_versions_of_the_lint_environment(tool: str) -> None:
    """A commit that passes the hooks passes the lint environment."""
    lint = (ROOT / "tox.ini").read_text().split("[testenv:lint]")[1].split("commands =")[0]
    (wanted,) = re.findall(rf"^    ({tool}\S*)$", lint, re.MULTILINE)
    found = re.findall(rf'"({tool}[^"]*)"', (ROOT / ".pre-commit-config.yaml").read_text())
    assert found and set(found) == {wanted}


def test_every_path_in_it_exists() -> None:
    text = (ROOT / "CONTRIBUTING.rst").read_text()
    paths = {path for path in re.findall(r"``((?:native_api|adapters|tests|docs|benchmarks|\.ci)/[\w./]*)``", text)}
    assert len(paths) > 15
    assert [path for path in sorted(paths) if not (ROOT / path).exists()] == []


def test_it_names_every_package_of_operations() -> None:
    text = (ROOT / "CONTRIBUTING.rst").read_text()
    packages = [path.parent.name for path in (ROOT / "adapters").glob("*/__init__.py")]
    assert len(packages) > 15
    assert [
        name for name in sorted(packages) if f"``{name}``" not in text and f"``adapters/{name}/``" not in text
    ] == []
