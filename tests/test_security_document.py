"""SECURITY.rst names all effects, and only existing options."""

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


def test_it_names_every_effect_and_its_option(words: Set[str]) -> None:
    assert {effect.value for effect in Effect} <= words
    assert {effect.option for effect in Effect if effect.option} <= words


def test_it_names_existing_options_only(words: Set[str]) -> None:
    named = {word for word in words if re.fullmatch(r"[a-z_]+", word)}
    assert named - {effect.value for effect in Effect} - OTHERS <= set(settings.OPTIONS)


def test_the_documentation_includes_it() -> None:
    assert "SECURITY.rst" in (ROOT / "docs" / "security.rst").read_text(encoding="utf-8")
