"""README.rst and docs/errors.rst say what the code does."""

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


@pytest.mark.parametrize("file", ["README.rst", "docs/errors.rst"])
def test_its_tables_are_those_of_the_code(tables: Any, file: str) -> None:
    """Every operation, every option and every error is there; ``python docs/tables.py`` writes them."""
    assert (ROOT / file).read_text(encoding="utf-8") == tables.with_tables(ROOT / file)


def test_it_names_the_airflows_that_are_tested(readme: str) -> None:
    config = ConfigParser(interpolation=None)
    config.read(ROOT / "tox.ini")
    pins = re.findall(r"^(?:!py39-)?airflow\d+: apache-airflow==(\S+)", config["testenv"]["deps"], re.M)
    assert pins and [pin for pin in pins if pin not in readme] == []
