"""
Start an Airflow, and run the browser tests in an environment of their own: ``python -m tests.browser.with_airflow``.

Playwright's dependencies are among those that Airflow pins, so uv makes an environment for it. The tests find the
server in CONSOLE_URL, and the version of its Airflow in CONSOLE_AIRFLOW. The browser is Debian's chromium. Where that
is not installed, that is said and nothing is run; with CI in the environment it is a failure.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import List

from tests.servers.deployment import Server, prepared, running, serving
from tests.support.versions import AIRFLOW

HERE = Path(__file__).parent
COMMANDS = ("scheduler", "dag-processor") if AIRFLOW >= (3, 0) else ("scheduler",)
OPTIONS = {
    "AIRFLOW__NATIVE_API__ALLOW_DEPLOY": "True",
    "AIRFLOW__NATIVE_API__BODY_BYTES": "10000000",
    # Airflow 2's scheduler looks for a DAG's new version every 10 seconds otherwise.
    "AIRFLOW__CORE__MIN_SERIALIZED_DAG_FETCH_INTERVAL": "0",
}


def tests(server: Server, chromium: str, words: List[str]) -> int:
    """Run the tests against the server, and return pytest's exit code."""
    environment = {
        **{name: value for name, value in os.environ.items() if name not in ("UV_EXCLUDE_NEWER", "VIRTUAL_ENV")},
        "CONSOLE_URL": f"{server.anonymous.origin}{server.base_path}",
        "CONSOLE_AIRFLOW": ".".join(map(str, AIRFLOW)),
        "CONSOLE_CHROMIUM": chromium,
    }
    needs = [word for need in ("pytest>=7.4,<9", "playwright", "axe-playwright-python") for word in ("--with", need)]
    uv = ["uv", "run", "--quiet", "--no-project", "--isolated", "--python", sys.executable, *needs]
    pytest = ["pytest", "--confcutdir", str(HERE), str(HERE), "--durations=5", *words]
    return subprocess.run([*uv, *pytest], env=environment, cwd=HERE.parents[1]).returncode


def main(words: List[str]) -> int:
    """Start the Airflow and run the tests."""
    chromium = shutil.which("chromium")
    if chromium is None:
        sys.stderr.write("Chromium is not installed: SKIPPED\n")
        return 1 if os.environ.get("CI") else 0
    with tempfile.TemporaryDirectory(prefix="console-") as folder:
        deployment = prepared(Path(folder) / "airflow")
        shutil.copy(HERE / "files/strange.py", deployment.dags)
        deployment.start("reserialize", "airflow", "dags", "reserialize").finish()
        deployment.options.update(OPTIONS)
        with serving(deployment) as server, running(deployment, *COMMANDS):
            return tests(server, chromium, words)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
