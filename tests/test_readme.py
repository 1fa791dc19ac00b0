"""README.rst and docs/ agree with the code."""

from __future__ import annotations

import re
import sys
from configparser import ConfigParser
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture
def tables(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(str(ROOT / "docs"))
    import tables

    yield tables
    del sys.modules["tables"]


@pytest.fixture
def readme() -> str:
    return (ROOT / "README.rst").read_text(encoding="utf-8")


FILES = ["configuration.rst", "deployment.rst", "errors.rst", "migrating-from-airflow-rest-api-plugin.rst"]


@pytest.mark.parametrize("file", FILES)
def test_the_tables_equal_those_of_the_code(tables: Any, file: str) -> None:
    """``python docs/tables.py`` writes them."""
    assert (ROOT / "docs" / file).read_text(encoding="utf-8") == tables.with_tables(ROOT / "docs" / file)


def test_every_table_is_compared(tables: Any) -> None:
    assert sorted(path.name for path in tables.TABLES) == FILES


def test_the_readme_links_every_page(readme: str) -> None:
    """Except for those that include a file beside the README, and those that ``docs/reference.py`` writes."""
    pages = {path.name for path in (ROOT / "docs").glob("*.rst")} - {"index.rst", "contributing.rst", "changelog.rst"}
    linked = set(re.findall(r"<docs/([\w-]+\.rst)>", readme))
    assert pages - linked == {"differences.rst"}
    assert linked <= pages


def test_the_readme_names_the_tested_versions_of_airflow(readme: str) -> None:
    config = ConfigParser(interpolation=None)
    config.read(ROOT / "tox.ini")
    pins = re.findall(r"^(?:!py39-)?airflow\d+: apache-airflow==(\S+)", config["testenv"]["deps"], re.M)
    assert pins and [pin for pin in pins if pin not in readme] == []
