"""
The hosts: two web servers without DAG files, two Celery workers, the scheduler, PostgreSQL, Redis and HAProxy.

All are on this machine. Each host has an AIRFLOW_HOME and a hostname of its own; workers and web servers share a folder
of logs.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from http import HTTPStatus
from pathlib import Path
from typing import Dict, Iterator, List, Optional, Sequence

from tests.cluster.load_balancer import load_balancer
from tests.daemons.services import need, program, redis
from tests.servers import deployment
from tests.servers.client import Client
from tests.servers.deployment import JWT_SECRET, TOKEN, Deployment, Server, users_of_simple
from tests.servers.processes import Process, eventually, free_port
from tests.support.on_postgres import postgres
from tests.support.versions import AIRFLOW, HAS_FAB

HERE = Path(__file__).parent
WEB_SERVERS = ("web-1", "web-2")
#: The queues of each worker.
WORKERS = {"worker-1": "default,special", "worker-2": "default,jobs"}
SCHEDULER = "scheduler"
#: A request that takes longer becomes a job, and a job that takes longer ends.
JOB_SECONDS, JOB_SECONDS_MAX = 10, 40
#: The time after which Airflow gives up a task instance whose worker is silent.
HEARTBEAT_TIMEOUT = 8

_OPTIONS = {
    "AIRFLOW__CORE__EXECUTOR": "CeleryExecutor",
    "AIRFLOW__CELERY__SYNC_PARALLELISM": "1",
    "AIRFLOW__CELERY__WORKER_PREFETCH_MULTIPLIER": "1",
    "AIRFLOW__REST_API_PLUGIN__REST_API_PLUGIN_EXPECTED_HTTP_TOKEN": TOKEN,
    "AIRFLOW__NATIVE_API__TOKEN_EFFECTS": "read,write,execute,deploy,daemon",
    "AIRFLOW__NATIVE_API__ALLOW_DEPLOY": "True",
    "AIRFLOW__NATIVE_API__EXECUTE_ON": "executor",
    "AIRFLOW__NATIVE_API__JOB_SECONDS": str(JOB_SECONDS),
    "AIRFLOW__NATIVE_API__JOB_SECONDS_MAX": str(JOB_SECONDS_MAX),
    "AIRFLOW__NATIVE_API__JOB_GRACE_SECONDS": "1",
    "AIRFLOW__NATIVE_API__JOB_POOL": "jobs",
    "AIRFLOW__SCHEDULER__SCHEDULER_IDLE_SLEEP_TIME": "0.3",
    "AIRFLOW__SCHEDULER__JOB_HEARTBEAT_SEC": "2",
    # A worker that is lost: the names on Airflow 3, and on 2.
    "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_SEC": "2",
    "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT": str(HEARTBEAT_TIMEOUT),
    "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT_DETECTION_INTERVAL": "2",
    "AIRFLOW__SCHEDULER__LOCAL_TASK_JOB_HEARTBEAT_SEC": "2",
    "AIRFLOW__SCHEDULER__SCHEDULER_ZOMBIE_TASK_THRESHOLD": str(HEARTBEAT_TIMEOUT),
    "AIRFLOW__SCHEDULER__ZOMBIE_DETECTION_INTERVAL": "2",
    # A changed file is parsed when it is asked for, and not before: also the names of both.
    "AIRFLOW__SCHEDULER__MIN_FILE_PROCESS_INTERVAL": "3600",
    "AIRFLOW__SCHEDULER__FILE_PARSING_SORT_MODE": "alphabetical",
    "AIRFLOW__SCHEDULER__PARSING_PROCESSES": "1",
    "AIRFLOW__DAG_PROCESSOR__MIN_FILE_PROCESS_INTERVAL": "3600",
    "AIRFLOW__DAG_PROCESSOR__FILE_PARSING_SORT_MODE": "alphabetical",
    "AIRFLOW__DAG_PROCESSOR__PARSING_PROCESSES": "1",
    "AIRFLOW__CORE__MIN_SERIALIZED_DAG_UPDATE_INTERVAL": "0",
    "AIRFLOW__CORE__MIN_SERIALIZED_DAG_FETCH_INTERVAL": "0",
    "AIRFLOW__WEBSERVER__SECRET_KEY": JWT_SECRET,
    "AIRFLOW__API__SECRET_KEY": JWT_SECRET,
    "AIRFLOW__API_AUTH__JWT_SECRET": JWT_SECRET,
    "AIRFLOW__API__AUTH_BACKENDS": "airflow.api.auth.backend.basic_auth,airflow.api.auth.backend.session",
    # Requests that wait for a job occupy half of them, on Airflow 2.
    "AIRFLOW__WEBSERVER__WORKERS": "2",
    "AIRFLOW__API__WORKERS": "1",
}


@dataclass
class Cluster:
    """The running hosts, by name, and the load balancer."""

    folder: Path
    options: Dict[str, str]
    ports: Dict[str, int]
    balancer: Server
    processes: Dict[str, List[Process]] = field(default_factory=dict)

    @property
    def client(self) -> Client:
        """A client of the load balancer, which sends the static token."""
        return self.balancer.holder()

    @property
    def dags(self) -> Path:
        """The DAG files, which the workers and the scheduler have."""
        return self.folder / "dags"

    def start(self, host: str) -> None:
        """Start the processes of a host, without waiting for them."""
        on_host = self._deployment(host)
        on_host.home.mkdir(exist_ok=True)
        hidden = hiding(self.dags) if host in WEB_SERVERS else []
        self.processes[host] = [on_host.start(words[0], *hidden, "airflow", *words) for words in self._commands(host)]

    def restore(self) -> None:
        """Start the hosts that do not run, and wait until the cluster can test a task."""
        for host in (*WEB_SERVERS, SCHEDULER, *WORKERS):
            if host not in self.processes:
                self.start(host)
        try:
            _wait(self)
        except AssertionError as exc:
            raise AssertionError(f"{exc}\n{self.tails()}") from exc

    def kill(self, host: str) -> None:
        """Kill the processes of a host, and all that they have started, as if it were switched off."""
        self.stop(host, signal.SIGKILL)

    def stop(self, host: str, number: signal.Signals = signal.SIGTERM) -> None:
        """Stop the processes of a host, with that signal first."""
        for process in self.processes.pop(host):
            process.stop(number)

    def serves(self, host: str) -> bool:
        """Return whether a web server responds."""
        for process in self.processes[host]:
            process.require_running()
        try:
            return Client(self.ports[host]).get("/native_api/health").status == 200
        except OSError:
            return False

    def tails(self) -> str:
        """Return the end of the output of every process."""
        processes = [process for of_host in self.processes.values() for process in of_host]
        return "\n".join(f"{process.log}:\n{process.tail(3000)}" for process in processes)

    def _deployment(self, host: str) -> Deployment:
        is_web_server = host in WEB_SERVERS
        options = {
            **self.options,
            **_named(self.folder, host),
            **({"NATIVE_API_TESTS_NO_DAG_CODE": "True"} if is_web_server else {}),
        }
        return Deployment(self.folder / host, self.folder / "no_dags" if is_web_server else self.dags, options)

    def _commands(self, host: str) -> Sequence[Sequence[str]]:
        if host in WEB_SERVERS:
            command = "api-server" if AIRFLOW >= (3, 0) else "webserver"
            return [(command, "-H", "127.0.0.1", "-p", str(self.ports[host]))]
        if host in WORKERS:
            words = ("--queues", WORKERS[host], "--concurrency", "2", "--skip-serve-logs", "--celery-hostname", host)
            return [("celery", "worker", *words)]
        return [("scheduler",), ("dag-processor",)] if AIRFLOW >= (3, 0) else [("scheduler",)]


def hiding(folder: Path) -> List[str]:
    """Return the beginning of a command that sees nothing in the folder; empty if this machine does not allow it."""
    command = ["unshare", "--mount", "sh", "-c", 'mount -t tmpfs none "$0" && exec "$@"', str(folder)]
    is_allowed = shutil.which("unshare") and subprocess.run([*command, "true"], capture_output=True).returncode == 0
    return command if is_allowed else []


def _named(folder: Path, host: str) -> Dict[str, str]:
    """Return the options that set the hostname."""
    modules = folder / f"modules-{host}"
    modules.mkdir(exist_ok=True)
    (modules / "name_of_host.py").write_text(f"def name():\n    return {host!r}\n")
    path = os.pathsep.join(filter(None, [str(modules), os.environ.get("PYTHONPATH")]))
    return {"AIRFLOW__CORE__HOSTNAME_CALLABLE": "name_of_host.name", "PYTHONPATH": path}


@contextmanager
def running(folder: Path) -> Iterator[Cluster]:
    """Run a cluster whose files are in that folder, and return it when it can test a task."""
    need("redis-server", "initdb", "haproxy")
    for name in ("dags", "no_dags", "logs", "services"):
        (folder / name).mkdir()
    for source in (HERE / "dags", deployment.HERE / "worker_dags"):
        shutil.copytree(source, folder / "dags", dirs_exist_ok=True)
    with ExitStack() as stack:
        ports = {host: free_port() for host in WEB_SERVERS}
        port, haproxy = stack.enter_context(load_balancer(folder / "services", [*ports.values()]))
        broker = stack.enter_context(redis(folder / "services"))
        database = stack.enter_context(postgres(program("initdb"), program("pg_ctl")))
        options = {**_OPTIONS, **_addresses(folder, port, broker, database)}
        general = Deployment(folder / "general", folder / "dags", options)
        general.home.mkdir()
        if AIRFLOW >= (3, 0) and not HAS_FAB:
            options.update(users_of_simple(general.home))
        cluster = Cluster(folder, options, ports, Server(general, haproxy, port, ""))
        stack.callback(_stop_all, cluster)
        fill = ["python", str(deployment.HERE / "fill.py"), "--no-dags", *(["--users"] if HAS_FAB else [])]
        general.start("fill", *fill).finish()
        cluster.restore()
        yield cluster


def _addresses(folder: Path, port: int, broker: str, database: str) -> Dict[str, str]:
    url = f"http://127.0.0.1:{port}"
    return {
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": database,
        "AIRFLOW__DATABASE__SQL_ALCHEMY_POOL_ENABLED": "True",
        "AIRFLOW__CELERY__BROKER_URL": broker,
        "AIRFLOW__CELERY__RESULT_BACKEND": broker,
        "AIRFLOW__LOGGING__BASE_LOG_FOLDER": str(folder / "logs"),
        # The tasks of Airflow 3 use the load balancer, too.
        "AIRFLOW__API__BASE_URL": url,
        "AIRFLOW__WEBSERVER__BASE_URL": url,
        "AIRFLOW__CORE__EXECUTION_API_SERVER_URL": f"{url}/execution/",
    }


def _wait(cluster: Cluster) -> None:
    """Wait until the load balancer uses every web server, and the DAGs are there."""
    client = cluster.client
    for host in WEB_SERVERS:
        eventually(lambda host=host: cluster.serves(host), f"{host} responds")
        eventually(lambda host=host: _responds(client) == host, f"the load balancer uses {host}")
    client.write("set_pool", name="jobs", slots=16).result()
    client.write("set_variable", key="a_variable", value="a value").result()
    client.write("set_variable", key="the_password", value="hunter2-and-more").result()
    eventually(lambda: client.read("health").result()["jobs_dag"] == "available", "jobs can run")
    wanted = {"user_code", "queues", "daily"}
    eventually(lambda: wanted <= {dag["dag_id"] for dag in client.read("list_dags").result()["dags"]}, "the DAGs")


def _responds(client: Client) -> Optional[str]:
    """Return the web server that the load balancer chooses next, None if there is none yet."""
    response = client.read("health")
    return response.json()["hostname"] if response.status == HTTPStatus.OK else None


def _stop_all(cluster: Cluster) -> None:
    hosts = [*cluster.processes]
    with ThreadPoolExecutor(len(hosts) or 1) as threads:
        # There is nothing that they would have to end well.
        list(threads.map(cluster.kill, hosts))
