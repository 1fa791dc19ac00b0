"""Installing the plugin does not change an existing Airflow installation."""

from __future__ import annotations

import json
import re
from configparser import ConfigParser
from pathlib import Path
from typing import Dict, List, Optional, Tuple

import pytest

from .conftest import ROOT, Environment

#: Loads the plugins as every process of Airflow does, and prints what is mounted of ours.
LOAD = """
from airflow import plugins_manager
plugins_manager.initialize_web_ui_plugins()
print([found for found in plugins_manager.flask_blueprints if found["name"] == "native_api"])
"""


def supported() -> List[Tuple[List[str], Optional[str]]]:
    """Return the requirements in tox.ini for each Airflow, and the date by which they are resolved."""
    config = ConfigParser(interpolation=None)
    config.read(ROOT / "tox.ini")
    pins: Dict[str, List[str]] = {}
    for factor, pin in re.findall(
        r"^(?:!py39-)?airflow(\d+): (apache-airflow\S*==\S+)", config["testenv"]["deps"], re.M
    ):
        pins.setdefault(factor, []).append(pin)
    days = dict(re.findall(r"^(?:!py39-)?airflow(\d+): UV_EXCLUDE_NEWER = (\S+)", config["testenv"]["set_env"], re.M))
    return [(pins_of, days.get(factor)) for factor, pins_of in pins.items()]


def test_ten_minors_are_supported() -> None:
    minors = [airflow[0].rpartition("==")[2].rpartition(".")[0] for airflow, _ in supported()]
    assert minors == ["2.7", "2.8", "2.9", "2.10", "2.11", "3.0", "3.1", "3.2", "3.3", "3.4"]


@pytest.mark.parametrize(("airflow", "day"), supported(), ids=[airflow[0] for airflow, _ in supported()])
def test_no_installed_package_is_changed(
    airflow: List[str], day: Optional[str], environment: Environment, wheel: Path
) -> None:
    """pip adds what is missing."""
    environment.uv("install", "--quiet", "--prerelease", "if-necessary-or-explicit", *airflow, as_of=day)
    assert _moved(environment, wheel) == {}


def test_an_airflow_that_is_too_old_runs_without_the_plugin(environment: Environment, wheel: Path) -> None:
    """Airflow 2.6: no package is changed, and the plugin logs one sentence and mounts nothing."""
    environment.uv("install", "--quiet", "apache-airflow==2.6.3", as_of="2023-08-01")
    assert _moved(environment, wheel) == {}
    environment.pip("install", "--quiet", wheel)
    assert environment.run("airflow", "version").split()[-1] == "2.6.3"
    assert "native_api" in environment.run("airflow", "plugins", "--output", "json")
    said = environment.run("python", "-c", LOAD)
    assert said.count("airflow-native-api needs Apache Airflow 2.7 or newer and found 2.6; it is disabled.") == 1
    assert "Traceback" not in said
    assert said.splitlines()[-1] == "[]"


def _moved(environment: Environment, wheel: Path) -> Dict[str, str]:
    """Return the installed packages that installing *wheel* would replace, with both versions."""
    before = {
        _name(entry["name"]): entry["version"] for entry in json.loads(environment.pip("list", "--format", "json"))
    }
    report = environment.path / "report.json"
    environment.pip("install", "--quiet", "--dry-run", "--report", report, wheel)
    after = {
        _name(entry["metadata"]["name"]): entry["metadata"]["version"]
        for entry in json.loads(report.read_text())["install"]
    }
    assert "airflow-native-api" in after
    return {name: f"{before[name]} -> {after[name]}" for name in after if name in before}


def _name(text: str) -> str:
    return re.sub(r"[-_.]+", "-", text).lower()
