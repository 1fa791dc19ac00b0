"""The Airflow that the tests run against: its home, its database, its users. It is set up once per session."""

from __future__ import annotations

import atexit
import contextlib
import datetime
import functools
import io
import os
import shutil
import sqlite3
import tempfile
import time
from pathlib import Path
from typing import Any, Dict, List, Optional

from native_api.host import hostname

HERE = Path(__file__).parent
MEMORY, ROOM = "/dev/shm", 2**31


def _use_memory() -> None:
    """Put temporary files into memory if there is room: SQLite waits for the disk at each commit."""
    with contextlib.suppress(OSError):
        if "TMPDIR" not in os.environ and shutil.disk_usage(MEMORY).free > ROOM and os.access(MEMORY, os.W_OK):
            os.environ["TMPDIR"] = tempfile.tempdir = MEMORY


_use_memory()
HOME = Path(tempfile.mkdtemp(prefix="native-api-tests-"))
#: A copy of our own, since tests deploy to it.
DAGS = HOME / "dags"
TOKEN = "a-static-token"
#: Where tests/support/on_postgres.py says which database to use.
DATABASE = "NATIVE_API_TESTS_DATABASE"
COPY = "a_copy"
#: What is in the names of files whose import errors tests store.
BROKEN = "broken_by_a_test"


def configure() -> None:
    """Create an AIRFLOW_HOME for this process; call it before Airflow is imported."""
    atexit.register(_remove_home, os.getpid())
    shutil.copytree(HERE / "dags", DAGS, ignore=shutil.ignore_patterns("__pycache__"))
    settings = {
        "AIRFLOW_HOME": str(HOME),
        "AIRFLOW__CORE__DAGS_FOLDER": str(DAGS),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "True",
        "AIRFLOW__CORE__UNIT_TEST_MODE": "False",
        "AIRFLOW__CORE__FERNET_KEY": "ZmDfcTF7_60GrrY167zsiPd67pEvs0aGOv2oasOM1Pg=",
        "AIRFLOW__CORE__DAG_IGNORE_FILE_SYNTAX": "glob",
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_USERS": "admin:admin,op:op,user:user,viewer:viewer",
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": os.environ.get(DATABASE, f"sqlite:///{HOME}/airflow.db"),
        "AIRFLOW__LOGGING__LOGGING_LEVEL": "WARNING",
        "AIRFLOW__API__AUTH_BACKENDS": ",".join(
            f"airflow.api.auth.backend.{backend}" for backend in ("basic_auth", "session")
        ),
        "AIRFLOW__API_AUTH__JWT_SECRET": "a-secret-of-the-tests-that-is-long-enough-for-all-algorithms-of-jwt",
        "AIRFLOW__WEBSERVER__SECRET_KEY": "another-secret-of-the-tests",
        "AIRFLOW__REST_API_PLUGIN__REST_API_PLUGIN_EXPECTED_HTTP_TOKEN": TOKEN,
        "AIRFLOW__NATIVE_API__TOKEN_EFFECTS": "read,write,execute,deploy,daemon",
        # A job that does not stop by itself is killed this soon.
        "AIRFLOW__NATIVE_API__JOB_GRACE_SECONDS": "0.3",
        "AIRFLOW__NATIVE_API__ALLOW_DEPLOY": "True",
        "AIRFLOW__NATIVE_API__ALLOW_DAEMONS": "True",
    }
    os.environ.update(settings)


def _remove_home(owner: int) -> None:
    if os.getpid() == owner:
        shutil.rmtree(HOME, ignore_errors=True)


def version() -> tuple[int, int]:
    """Return the minor version of the Airflow under test."""
    from airflow import __version__

    major, minor = __version__.split(".")[:2]
    return int(major), int(minor)


def has_fab() -> bool:
    """Return whether FAB is the auth manager."""
    return version() < (3, 0) or "fab" in os.environ.get("AIRFLOW__CORE__AUTH_MANAGER", "")


def command(*words: str) -> str:
    """Run a command of Airflow's command line in this process and return what it prints."""
    from airflow.cli.cli_parser import get_parser

    arguments = get_parser().parse_args([*words])
    with contextlib.redirect_stdout(io.StringIO()) as printed:
        arguments.func(arguments)
    return printed.getvalue()


def create_database() -> None:
    """Create the tables and fill them with all DAGs."""
    command("db", "migrate")
    command("dags", "reserialize")


def session() -> Any:
    """Return a context with a session on Airflow's database."""
    from airflow.utils.session import create_session

    return create_session()


def clean() -> None:
    """Delete what a test has created: runs, audit log rows, variables, connections, pools, pause states, daemons."""
    end_daemons()
    end_jobs()
    forget_deployments()
    if _CHANGES.since_the_last_look():
        _clean_tables()
        _CHANGES.since_the_last_look()


class _Changes:
    """Whether the database has been written to; always true for other databases than SQLite."""

    def __init__(self) -> None:
        self._watch: Optional[sqlite3.Connection] = None
        self._seen: Any = None

    def since_the_last_look(self) -> bool:
        if DATABASE in os.environ:
            return True
        if self._watch is None:
            self._watch = sqlite3.connect(f"file:{HOME}/airflow.db?mode=ro", uri=True, check_same_thread=False)
        # It counts the commits of all other connections.
        (now,) = self._watch.execute("PRAGMA data_version").fetchone()
        before, self._seen = self._seen, now
        return bool(before != now)


_CHANGES = _Changes()


def _clean_tables() -> None:
    with session() as opened:
        connection = opened.connection()
        for statement in _cleaning():
            connection.execute(statement)


@functools.lru_cache(maxsize=None)
def _cleaning() -> List[Any]:
    """Return the statements of :func:`clean`, on tables: classes would omit former tries, and take longer."""
    from airflow.models.connection import Connection
    from airflow.models.dag import DagModel
    from airflow.models.dagrun import DagRun, DagRunNote
    from airflow.models.log import Log
    from airflow.models.pool import Pool
    from airflow.models.renderedtifields import RenderedTaskInstanceFields
    from airflow.models.taskinstance import TaskInstance
    from airflow.models.variable import Variable

    from native_api.adapters.compat import airflow

    error, dag, pool = airflow().import_error_model().__table__, DagModel.__table__, Pool.__table__
    models = (
        RenderedTaskInstanceFields,
        TaskInstance,
        DagRunNote,
        DagRun,
        *backfill_tables(),
        Log,
        Variable,
        Connection,
    )
    return [
        *(table.delete() for table in xcom_tables()),
        error.delete().where(error.c.filename.like(f"%{BROKEN}%")),
        *(model.__table__.delete() for model in models),
        dag.delete().where(dag.c.dag_id == COPY),
        pool.delete().where(pool.c.pool != Pool.DEFAULT_POOL_NAME),
        pool.update().values(slots=128, description="Default pool", include_deferred=False),
        dag.update().values(is_paused=True).where(dag.c.is_paused.is_(False)),
    ]


def xcom_tables() -> List[Any]:
    """Return the tables of XComs."""
    if version() >= (3, 4):
        from airflow.models.xcom import XComModelV1, XComModelV2

        return [XComModelV1.__table__, XComModelV2.__table__]
    from native_api.adapters.compat import airflow

    return [airflow().xcom_table()]


def store_xcom(opened: Any, run: Dict[str, str], task_id: str, key: str, value: Any, map_index: int = -1) -> None:
    """Store an XCom verbatim; *run* has the dag_id and the run_id."""
    from airflow.models.dagrun import DagRun
    from sqlalchemy import select

    row: Dict[str, Any] = {"key": key, "value": value}
    row["timestamp"] = datetime.datetime(2026, 11, 1, tzinfo=datetime.timezone.utc)
    if version() >= (3, 4):
        # They belong to a try of a task instance.
        from airflow.models.taskinstance import TaskInstance

        opened.flush()
        named = {**run, "task_id": task_id, "map_index": map_index}
        row["task_instance_id"] = opened.scalars(select(TaskInstance.id).filter_by(**named)).one()
    else:
        this_run = select(DagRun.id).where(DagRun.dag_id == run["dag_id"], DagRun.run_id == run["run_id"])
        row.update(run, dag_run_id=opened.scalar(this_run), task_id=task_id, map_index=map_index)
    opened.execute(xcom_tables()[-1].insert().values(**row))


def end_jobs() -> None:
    """Cancel the running jobs of a test, and delete their records."""
    from native_api.adapters import sandbox
    from native_api.adapters.sandbox import job_store

    for record in job_store.every(sandbox.jobs_folder()):
        record.request_cancel()
        while record.is_locked():
            time.sleep(0.01)
    shutil.rmtree(sandbox.jobs_folder(), ignore_errors=True)


def forget_deployments() -> None:
    """Delete the deployments of a test, and the file of :func:`store_deployments`."""
    from native_api.adapters.deployments import history

    shutil.rmtree(history.root(), ignore_errors=True)
    (DAGS / "rates.py").unlink(missing_ok=True)


def store_deployments(path: str) -> None:
    """Store two deployments of a module, and the module."""
    from native_api.adapters.deployments import history, targets

    forget_deployments()
    target = targets.target(path)
    versions = history.of(target)
    versions.folder.mkdir(parents=True)
    for number, text in enumerate(("RATE = 1\n", "RATE = 2\n"), 1):
        facts = {"number": number, "checksum": history.checksum(text.encode()), "undo": {"old": None, "found": None}}
        record = {**history.new_record(target, f"{number:032x}", "deploy", "ada", len(text)), **facts}
        versions.keep(record["deployment_id"], text.encode())
        versions.begin(record)
        versions.commit(record, kept=5)
        (DAGS / path).write_text(text, encoding="utf-8")


def end_daemons() -> None:
    """Kill the daemons of a test, and delete their files."""
    from native_api import settings
    from native_api.adapters.daemons import folder, processes

    for record in filter(None, map(folder.read_record, folder.names())):
        process = processes.find(record)
        if process:
            processes.stop(process, 0)
    shutil.rmtree(settings.get("daemons_dir"), ignore_errors=True)


def store_daemon(name: str) -> None:
    """Store the record of a scheduler with that name, which has ended."""
    from native_api import settings
    from native_api.adapters.daemons import folder, processes

    folder.create()
    files = {file: f"{settings.get('daemons_dir')}/{name}.log" for file in ("log_file", "stdout", "stderr")}
    Path(files["log_file"]).write_text("first\nlast\n", encoding="utf-8")
    record = {
        "name": name,
        "daemon": "scheduler",
        "hostname": hostname(),
        "command": ["airflow", "scheduler"],
        "started_at": processes.now(),
        "stopped_at": None,
        "pid": os.getpid(),
        "identity": "of a process that had this pid before",
        "pid_file": f"{settings.get('daemons_dir')}/{name}.pid",
        "errors_begin": 0,
        **files,
    }
    folder.write_record(record)


def backfill_tables() -> List[Any]:
    """Return Airflow's tables of backfills, which exist since 3.0."""
    if version() < (3, 0):
        return []
    from airflow.models.backfill import Backfill, BackfillDagRun

    return [BackfillDagRun, Backfill]


def copy_dag(dag_id: str) -> None:
    """Add a copy of a DAG's row with another dag_id."""
    from airflow.models.dag import DagModel
    from sqlalchemy import insert, select

    table = DagModel.__table__
    with session() as opened:
        row = opened.execute(select(table).where(table.c.dag_id == "wire_dag")).one()
        opened.execute(insert(table).values({**row._mapping, "dag_id": dag_id}))


def store_import_error(name: str, dag_id: Optional[str] = None) -> str:
    """Store an import error for a file name, of which the DAG is said to be; return the stored file name."""
    from airflow.models.dag import DagModel
    from sqlalchemy import select, update

    from native_api.adapters.compat import airflow

    error, three = airflow().import_error_model(), version() >= (3, 0)
    filename = f"{BROKEN}/{name}" if three else f"{DAGS}/{BROKEN}/{name}"
    with session() as opened:
        bundle = {"bundle_name": opened.scalar(select(DagModel.bundle_name).limit(1))} if three else {}
        when = datetime.datetime(2026, 11, 1, tzinfo=datetime.timezone.utc)
        opened.add(error(filename=filename, timestamp=when, stacktrace=f"Traceback of {name}", **bundle))
        if dag_id:
            place = {"relative_fileloc": filename, **bundle} if three else {"fileloc": filename}
            moved = update(DagModel).where(DagModel.dag_id == dag_id).values(**place)
            opened.execute(moved.execution_options(synchronize_session=False))
    return filename


def store_rendered_fields(dag_id: str, run_id: str, task_id: str, rendered: Any) -> None:
    """Store the rendered fields of a task instance, as its run does."""
    from airflow.models.renderedtifields import RenderedTaskInstanceFields
    from sqlalchemy import insert, select

    row: Dict[str, Any] = {"dag_id": dag_id, "run_id": run_id, "task_id": task_id, "map_index": -1}
    with session() as opened:
        if version() >= (3, 4):
            from airflow.models.taskinstance import TaskInstance

            row = {"task_instance_id": opened.scalars(select(TaskInstance.id).filter_by(**row)).one()}
        opened.execute(insert(RenderedTaskInstanceFields).values(**row, rendered_fields=rendered))


def set_try(dag_id: str, run_id: str, task_id: str, try_number: int, state: Optional[str], **columns: Any) -> None:
    """Set the try number and the state of a task instance."""
    from airflow.models.taskinstance import TaskInstance

    table = TaskInstance.__table__
    this_one = (table.c.dag_id == dag_id) & (table.c.run_id == run_id) & (table.c.task_id == task_id)
    if version() >= (3, 4):
        this_one &= table.c.working_set.is_(True)
    with session() as opened:
        opened.execute(table.update().where(this_one).values(try_number=try_number, state=state, **columns))


def log_file(dag_id: str, run_id: str, task_id: str, try_number: int) -> Path:
    """Return the path of a try's log, as Airflow's file task handler builds it."""
    from airflow.models.taskinstance import TaskInstance
    from airflow.utils.log.log_reader import TaskLogReader
    from sqlalchemy import select

    ti = TaskInstance
    with session() as opened:
        named = (ti.dag_id == dag_id, ti.run_id == run_id, ti.task_id == task_id)
        instance = opened.scalars(select(ti).where(*named)).unique().one()
        handler = TaskLogReader().log_handler
        return Path(handler.local_base) / handler._render_filename(instance, try_number)


def store_log(dag_id: str, run_id: str, task_id: str, text: str, try_number: int = 1) -> Path:
    """Write the log of a try to :func:`log_file`."""
    path = log_file(dag_id, run_id, task_id, try_number)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


def audit_rows() -> List[Any]:
    """Return the rows of the audit log that this plugin has written, the oldest first."""
    from airflow.models.log import Log
    from sqlalchemy import select

    with session() as opened:
        rows = opened.scalars(select(Log).where(Log.event.like("native_api.%")).order_by(Log.id)).all()
        opened.expunge_all()
    return list(rows)


def forget_bundles() -> None:
    """Let this process read the configuration of bundles again; Airflow 3.4 and later read it once."""
    if version() >= (3, 4):
        from airflow.dag_processing.bundles import manager

        manager._load_bundle_config_snapshot.cache_clear()


def later(seconds: float = 60.0) -> datetime.datetime:
    """Return a time in the future."""
    return datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(seconds=seconds)
