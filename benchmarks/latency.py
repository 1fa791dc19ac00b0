"""
Compare the latency of this API and of Airflow's own REST API, on one running server with one user.

    python benchmarks/latency.py http://127.0.0.1:8080 --user admin --password admin --dag-id example --calls 200

The calls alternate, so that other load on the host affects both. Prints the median and the 95th percentile in
milliseconds. It sets a variable and triggers a run of the DAG, which should be paused.
"""

from __future__ import annotations

import argparse
import base64
import http.client
import json
import statistics
import time
from typing import Any, Dict, List, Optional, Tuple
from urllib.parse import quote, urlsplit

Question = Tuple[str, str]


class Server:
    """A running web server, with one persistent connection."""

    def __init__(self, url: str, user: str, password: str) -> None:
        parts = urlsplit(url)
        self.base = parts.path.rstrip("/")
        self.connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=60)
        self.headers = {"Accept": "application/json"}
        status, body = self.send("POST", "/auth/token", {"username": user, "password": password})
        self.generation = 3 if status in (200, 201) else 2
        if self.generation == 3:
            self.headers["Authorization"] = f"Bearer {json.loads(body)['access_token']}"
        else:
            login = base64.b64encode(f"{user}:{password}".encode()).decode()
            self.headers["Authorization"] = f"Basic {login}"

    def send(self, method: str, path: str, body: Optional[Dict[str, Any]] = None) -> Tuple[int, bytes]:
        """Send a request and return status and body."""
        headers = dict(self.headers)
        text = None
        if body is not None:
            text, headers["Content-Type"] = json.dumps(body), "application/json"
        self.connection.request(method, self.base + path, text, headers)
        response = self.connection.getresponse()
        return response.status, response.read()

    def milliseconds(self, path: str) -> float:
        """Return the duration of a GET, which must succeed."""
        start = time.perf_counter()
        status, body = self.send("GET", path)
        spent = 1000 * (time.perf_counter() - start)
        if status != 200:
            raise SystemExit(f"{path} answered {status}: {body.decode()[:200]}")
        return spent


def questions(server: Server, dag_id: str) -> Dict[str, Tuple[str, str]]:
    """Create the data, and return the paths of the compared calls: ours and Airflow's."""
    server.send("POST", "/native_api/v1/set_variable", {"key": "latency", "value": "v"})
    status, body = server.send("POST", "/native_api/v1/trigger_dag", {"dag_id": dag_id})
    if status != 201:
        raise SystemExit(f"trigger_dag answered {status}: {body.decode()[:200]}")
    run_id = quote(json.loads(body)["run_id"], safe="")
    own = f"/api/v{server.generation - 1}"
    return {
        "get_variable": ("/native_api/v1/get_variable?key=latency", f"{own}/variables/latency"),
        "dag_state": (
            f"/native_api/v1/dag_state?dag_id={dag_id}&run_id={run_id}",
            f"{own}/dags/{dag_id}/dagRuns/{run_id}",
        ),
    }


def percentile(values: List[float], share: float) -> float:
    """Return the value that *share* of the values do not exceed."""
    return sorted(values)[min(len(values) - 1, round(share * (len(values) - 1)))]


def main() -> None:
    """Measure and print the latency of the operations and of the CLI."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("url")
    parser.add_argument("--user", required=True)
    parser.add_argument("--password", required=True)
    parser.add_argument("--dag-id", required=True)
    parser.add_argument("--calls", type=int, default=200)
    options = parser.parse_args()
    server = Server(options.url, options.user, options.password)
    print(f"{'question':14} {'asked of':16} {'median ms':>10} {'95th ms':>10}  ({options.calls} calls each)")
    for name, paths in questions(server, options.dag_id).items():
        spent: Tuple[List[float], List[float]] = ([], [])
        for path in paths:
            server.milliseconds(path)
        for _ in range(options.calls):
            for place, path in enumerate(paths):
                spent[place].append(server.milliseconds(path))
        for asked_of, values in zip(("native_api", "Airflow's REST"), spent):
            print(f"{name:14} {asked_of:16} {statistics.median(values):10.1f} {percentile(values, 0.95):10.1f}")


if __name__ == "__main__":
    main()
