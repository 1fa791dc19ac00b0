"""HAProxy in front of the web servers, configured as docs/deployment.rst has it."""

from __future__ import annotations

import os
from contextlib import contextmanager
from pathlib import Path
from typing import Iterator, Sequence, Tuple

from tests.daemons.services import listens, need, program
from tests.servers.processes import Process, eventually, free_port

DOCUMENTATION = Path(__file__).resolve().parents[2] / "docs" / "deployment.rst"
BEGIN, END = ".. begin haproxy\n\n.. code-block:: none\n\n", "\n\n.. end haproxy"
#: The addresses in the documentation.
FRONTEND, SERVERS = "*:8080", ("airflow-web-1:8080", "airflow-web-2:8080")


def documented(port: int, web_servers: Sequence[int]) -> str:
    """Return the documented configuration, with addresses of this host."""
    text = DOCUMENTATION.read_text().split(BEGIN)[1].split(END)[0]
    lines = "\n".join(line[3:] for line in text.splitlines())
    for address, own in zip((FRONTEND, *SERVERS), (port, *web_servers)):
        assert lines.count(address) == 1, address
        lines = lines.replace(address, f"127.0.0.1:{own}")
    return f"{lines}\n"


@contextmanager
def load_balancer(folder: Path, web_servers: Sequence[int]) -> Iterator[Tuple[int, Process]]:
    """Run HAProxy in front of the web servers at those ports, and return its port and process."""
    need("haproxy")
    port, configuration = free_port(), folder / "haproxy.cfg"
    configuration.write_text(documented(port, web_servers))
    process = Process([program("haproxy"), "-db", "-f", str(configuration)], os.environ, folder / "haproxy.log")
    try:
        eventually(lambda: _listens(process, port), f"{process} listens")
        yield port, process
    finally:
        process.stop()


def _listens(process: Process, port: int) -> bool:
    process.require_running()
    return listens(port)
