"""An Airflow that runs tasks, and an environment with the generators, separate from Airflow's."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any, Dict, Iterator

import pytest

from tests.servers.deployment import Server, prepared, running, serving
from tests.support.versions import AIRFLOW

#: The newest that there are, whatever the day by which this environment's own packages are resolved.
GENERATORS = ("openapi-python-client", "datamodel-code-generator", "httpx", "openapi-spec-validator")


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    deployment = prepared(tmp_path_factory.mktemp("airflow") / "prepared")
    deployment.options["AIRFLOW__NATIVE_API__ALLOW_DEPLOY"] = "True"
    if AIRFLOW < (3, 0):
        deployment.options["AIRFLOW__API__AUTH_BACKENDS"] = "airflow.api.auth.backend.basic_auth"
    commands = ("scheduler", "dag-processor") if AIRFLOW >= (3, 0) else ("scheduler",)
    with serving(deployment) as served, running(deployment, *commands):
        yield served


@pytest.fixture(scope="session")
def clients(tmp_path_factory: pytest.TempPathFactory, server: Server) -> Path:
    """A folder with both generated clients: ``airflow_native_api_client`` and ``models.py``."""
    folder = tmp_path_factory.mktemp("clients")
    run(folder, "uv", "venv", "--quiet", "--python", sys.executable, "environment")
    run(folder, "uv", "pip", "install", "--quiet", "--python", "environment", *GENERATORS)
    document = server.user("admin").get("/native_api/openapi.json").result()
    (folder / "openapi.json").write_text(json.dumps(document))
    scripts = folder / "environment" / "bin"
    run(folder, scripts / "openapi-spec-validator", "openapi.json")
    run(folder, scripts / "openapi-python-client", "generate", "--path", "openapi.json", "--output-path", "client")
    (folder / "client" / "airflow_native_api_client").rename(folder / "airflow_native_api_client")
    kind = ("--input-file-type", "openapi", "--output-model-type", "pydantic_v2.BaseModel")
    run(folder, scripts / "datamodel-codegen", "--input", "openapi.json", "--output", "models.py", *kind)
    return folder


def run(folder: Path, *words: object, **variables: str) -> str:
    """Run a command in the folder and return its output; fail with all of its output."""
    inherited = {name: value for name, value in os.environ.items() if name != "UV_EXCLUDE_NEWER"}
    done = subprocess.run(
        [str(word) for word in words],
        env={**inherited, **variables},
        cwd=folder,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
    )
    if done.returncode:
        pytest.fail(f"{' '.join(map(str, words))} ended with {done.returncode}:\n{done.stdout}{done.stderr}")
    return done.stdout


@pytest.fixture(scope="session")
def play(server: Server, clients: Path) -> Any:
    """Return a function that runs a script of this folder with the clients, and returns its JSON output."""

    def played(script: str) -> Dict[str, Any]:
        url = f"http://127.0.0.1:{server.port}/native_api/v1"
        authorization = server.authorization("admin")
        environment = {"URL": url, "AUTHORIZATION": authorization, "PYTHONPATH": str(clients)}
        python = clients / "environment" / "bin" / "python"
        printed = run(clients, python, Path(__file__).with_name(script), **environment)
        result: Dict[str, Any] = json.loads(printed.splitlines()[-1])
        return result

    return played
