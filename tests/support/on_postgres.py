"""
Run a command with a PostgreSQL of its own: ``python tests/support/on_postgres.py pytest tests/sandbox``.

The command finds the address in NATIVE_API_TESTS_DATABASE. The server listens on a socket in a temporary folder, is
started as the user postgres where this is root, and ends with the command. Where PostgreSQL is not installed, that is
said and nothing is run; with CI in the environment it is a failure.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import Iterator, List, Optional

#: Debian keeps the programs of each version to itself.
PLACES = sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)


def program(name: str) -> Optional[str]:
    """Return the path of a program of PostgreSQL, or None where it is not installed."""
    return shutil.which(name, path=os.pathsep.join([*map(str, PLACES), os.environ["PATH"]]))


def as_postgres(*command: str) -> List[str]:
    """Return the command as the user postgres runs it: PostgreSQL refuses root."""
    if os.geteuid() != 0:
        return [*command]
    return ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups", *command]


@contextmanager
def postgres(initdb: str, pg_ctl: str) -> Iterator[str]:
    """Start a server, and give the address of its database."""
    with tempfile.TemporaryDirectory(prefix="pg-") as folder:
        if os.geteuid() == 0:
            shutil.chown(folder, "postgres", "postgres")
            # A job that a test runs as another user connects to the socket in it.
            os.chmod(folder, 0o711)
        data, log = f"{folder}/data", f"{folder}/log"
        subprocess.run(as_postgres(initdb, "-D", data, "-A", "trust", "-U", "airflow", "-N"), check=True, cwd=folder)
        options = f"-c listen_addresses='' -c unix_socket_directories='{folder}' -c fsync=off -c max_connections=200"
        start = as_postgres(pg_ctl, "-D", data, "-l", log, "-w", "-o", options, "start")
        subprocess.run(start, check=True, cwd=folder, stdout=subprocess.DEVNULL)
        try:
            yield f"postgresql+psycopg2://airflow@/postgres?host={folder}"
        finally:
            stop = as_postgres(pg_ctl, "-D", data, "-m", "immediate", "-w", "stop")
            subprocess.run(stop, check=True, cwd=folder, stdout=subprocess.DEVNULL)


def main(command: List[str]) -> int:
    """Run the command, and return its exit code."""
    initdb, pg_ctl = program("initdb"), program("pg_ctl")
    if initdb is None or pg_ctl is None:
        sys.stderr.write("PostgreSQL is not installed: SKIPPED\n")
        return 1 if os.environ.get("CI") else 0
    with postgres(initdb, pg_ctl) as address:
        return subprocess.run(command, env={**os.environ, "NATIVE_API_TESTS_DATABASE": address}).returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
