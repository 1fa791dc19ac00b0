"""The distributions are complete and use no name of another project."""

from __future__ import annotations

import json
import tarfile
import zipfile
from pathlib import Path
from typing import Dict, List

import pytest

from .conftest import ROOT, Environment

#: Prints the files of the package, and what Airflow finds by the entry point.
ASK = """
import json
from importlib.metadata import distribution, version
from importlib.resources import files

def walk(folder, path=""):
    for entry in folder.iterdir():
        name = f"{path}{entry.name}"
        if entry.is_dir():
            yield from walk(entry, f"{name}/")
        elif "__pycache__" not in name:
            yield name, len(entry.read_bytes())

import native_api, native_api.adapters.compat
from airflow import plugins_manager
found = [point for point in distribution("airflow-native-api").entry_points if point.group == "airflow.plugins"]
print("ANSWER" + json.dumps({
    "files": dict(walk(files("native_api"))),
    "versions": [native_api.__version__, version("airflow-native-api")],
    "plugins": [point.load().name for point in found],
    "operations": [operation["name"] for operation in native_api.operations()],
}))
"""


@pytest.mark.parametrize("kind", ["wheel", "sdist", "editable"])
def test_an_installation_is_complete(kind: str, environment: Environment, request: pytest.FixtureRequest) -> None:
    """It has every module and every data file of the checkout, and the entry point."""
    what = (
        ("--editable", request.getfixturevalue("checkout")) if kind == "editable" else [request.getfixturevalue(kind)]
    )
    environment.uv("install", "--quiet", *what)
    response = json.loads(environment.run("python", "-c", ASK).rpartition("ANSWER")[2])
    assert response["files"] == _files_of_the_checkout()
    assert len(set(response["versions"])) == 1
    assert response["plugins"] == ["native_api"]
    assert "trigger_dag" in response["operations"]


@pytest.mark.parametrize("kind", ["wheel", "sdist"])
def test_an_installation_has_one_top_level_name(
    kind: str, environment: Environment, request: pytest.FixtureRequest
) -> None:
    """Another distribution is named 'adapters'."""
    environment.uv("install", "--quiet", "--no-deps", request.getfixturevalue(kind))
    site_packages = next((environment.path / "lib").glob("python*")) / "site-packages"
    names = {entry.name for entry in site_packages.iterdir() if not entry.name.startswith("_")}
    ours = {name for name in names if not name.endswith(".dist-info")}
    assert ours == {"native_api"}
    licences = list(site_packages.glob("airflow_native_api-*.dist-info/**/LICENSE"))
    assert [licence.read_text() for licence in licences] == [(ROOT / "LICENSE").read_text()]


def test_the_sdist_has_the_documents(sdist: Path) -> None:
    """The changelog, the documentation and the security policy."""
    with tarfile.open(sdist) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    assert {"README.rst", "SECURITY.rst", "CHANGELOG.rst", "LICENSE"} <= names
    assert {"docs/conf.py", "docs/index.rst", "docs/openapi.json"} <= names


def test_the_description_is_valid(wheel: Path, sdist: Path, environment: Environment) -> None:
    """As the package index renders it."""
    environment.uv("install", "--quiet", "twine")
    checked = environment.run("twine", "check", "--strict", wheel, sdist)
    assert checked.count("PASSED") == 2


def test_the_links_of_the_metadata_follow_from_the_name(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        (name,) = [name for name in archive.namelist() if name.endswith(".dist-info/METADATA")]
        metadata = archive.read(name).decode()
    page = "https://pypi.org/project/airflow-native-api/"
    assert {line for line in metadata.splitlines() if line.startswith("Project-URL:")} == {
        f"Project-URL: Homepage, {page}",
        f"Project-URL: Changelog, {page}#history",
    }


def _files_of_the_checkout() -> Dict[str, int]:
    folder = ROOT / "native_api"
    names = [path for path in _below(folder) if "__pycache__" not in path.parts]
    return {path.relative_to(folder).as_posix(): path.stat().st_size for path in names}


def _below(folder: Path) -> List[Path]:
    # Path.rglob does not follow the link to adapters/.
    found = []
    for path in folder.iterdir():
        found += _below(path) if path.is_dir() else [path]
    return found
