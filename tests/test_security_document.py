"""SECURITY.rst speaks of all effects, and of options that there are."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Set

import pytest

from native_api import settings
from native_api.effects import Effect

ROOT = Path(__file__).resolve().parents[1]
#: What is no option of ours, and is written as they are.
OTHERS = {"flower_conf", "keytab", "task_params", "fernet_key", "conf", "log"}


@pytest.fixture(scope="module")
def words() -> Set[str]:
    text = (ROOT / "SECURITY.rst").read_text(encoding="utf-8")
    return set(re.findall(r"``([^`]+)``", text))


def test_every_effect_and_option(words: Set[str]) -> None:
    assert {effect.value for effect in Effect} <= words
    assert {effect.option for effect in Effect if effect.option} <= words


def test_no_option_that_is_none(words: Set[str]) -> None:
    named = {word for word in words if re.fullmatch(r"[a-z_]+", word)}
    assert named - {effect.value for effect in Effect} - OTHERS <= set(settings.OPTIONS)


def test_the_readme_links_it() -> None:
    assert "SECURITY.rst" in (ROOT / "docs" / "security.rst").read_text(encoding="utf-8")
