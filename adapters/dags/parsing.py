"""In the sandbox: parse DAG files, each in a fork of its own."""

from __future__ import annotations

import os
import signal
import sys
import time
from typing import TYPE_CHECKING, Callable, Iterator, List, Mapping, Optional, Sequence, Tuple, TypedDict

from native_api.adapters.compat import airflow
from native_api.adapters.compat.interface.dag_files import Bundle, Loaded
from native_api.adapters.dags.file_reports import FileReport, ParsedFile, Report
from native_api.adapters.dags.readable_files import Rules, lies_in, readable_files
from native_api.adapters.executor.functions import runs_on_executor
from native_api.adapters.sandbox.errors import raised
from native_api.adapters.sandbox.fork_pool import ForkResult, Item, run_in_forks
from native_api.adapters.sandbox.messages import ErrorData
from native_api.adapters.sandbox.redaction import redacted
from native_api.adapters.sandbox.worker import ends_at, outcome_of_call
from native_api.errors import DagFilesMissing, Invalid
from native_api.host import hostname

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

#: A file, and the bundle that it is in.
File = Tuple[str, Bundle]

#: The exit code of a process that its supervisor has terminated.
_TERMINATED = 128 + signal.SIGTERM


@runs_on_executor
def report(
    bundles: List[Optional[str]],
    subdir: Optional[str],
    file_seconds: Optional[float],
    asked_of: List[AskedBundle],
    rules: Optional[Rules] = None,
) -> Report:
    """
    Parse the files of DAG bundles; nothing is written.

    :param subdir: the real path of a folder or file; only files below it are parsed.
    :param file_seconds: timeout of one file; None for Airflow's dagbag_import_timeout.
    :param asked_of: the bundles as the web server has them, which can be on another host.
    :param rules: the files that the caller can have parsed; None for all.
    :raises Invalid: this host does not have the folder or file *subdir*.
    """
    begun = time.monotonic()
    some = [*opened(bundles)]
    moved = Moved({asked["bundle"]: asked["folder"] for asked in asked_of}, some)
    subdir = None if subdir is None else moved.path(subdir)
    if subdir is not None and not os.path.exists(subdir):
        raise Invalid({"subdir": [f"There is no such file or folder on the host '{hostname()}'."]})
    active = {asked["bundle"]: asked["active_dags"] for asked in asked_of}
    files = readable_files(files_here(some, subdir, lambda bundle: active[bundle.name]), moved.rules(rules))
    entries = [entry_of(*file, fork_result) for file, fork_result in in_forks(_parsed, files, file_seconds)]
    return {
        "files": slowest_first(entries),
        "total_entries": len(entries),
        "dag_count": sum(len(entry["dag_ids"]) for entry in entries),
        "task_count": sum(entry["task_count"] for entry in entries),
        "import_error_count": sum(len(entry["import_errors"]) for entry in entries),
        "hostname": hostname(),
        "seconds": round(time.monotonic() - begun, 3),
    }


def opened(names: List[Optional[str]], *, refresh: bool = False) -> Iterator[Bundle]:
    """Yield the bundles with those names, initialized so that their files can be read."""
    for bundle in airflow().dag_files.bundles():
        if bundle.name in names:
            yield airflow().dag_files.opened(bundle, refresh=refresh)


def files_of(bundle: Bundle, subdir: Optional[str] = None) -> List[File]:
    """Return the files of a bundle, or of its folder *subdir*, that Airflow would read."""
    folder = bundle.path if subdir is None else _within(bundle, subdir)
    return [] if folder is None else [(path, bundle) for path in airflow().dag_files.files(folder)]


class AskedBundle(TypedDict):
    """A bundle as the web server has it."""

    bundle: Optional[str]
    #: Its real path.
    folder: str
    #: The number of active DAGs in the database.
    active_dags: int


class Moved:
    """
    Paths on the web server in terms of this host, which can have a bundle at another path.

    :param folders: the real paths of bundles on the web server.
    :param bundles: the bundles on this host.
    """

    def __init__(self, folders: Mapping[Optional[str], str], bundles: Sequence[Bundle]) -> None:
        self._folders = [(folders[one.name], os.path.realpath(one.path)) for one in bundles if one.name in folders]

    def path(self, path: str) -> str:
        """Return a real path on this host."""
        for there, here in self._folders:
            if lies_in(path, there):
                return os.path.normpath(os.path.join(here, os.path.relpath(path, there)))
        return path

    def rules(self, rules: Optional[Rules]) -> Optional[Rules]:
        """Return the rules for files on this host."""
        return rules and {name: [self.path(path) for path in paths] for name, paths in rules.items()}


def files_here(
    bundles: List[Bundle],
    subdir: Optional[str],
    count_dags: Callable[[Bundle], int],
    *,
    may_be_gone: bool = False,
) -> List[File]:
    """
    Return the files of bundles, or of the folder *subdir* in them, that Airflow would read.

    :param count_dags: returns the number of active DAGs of a bundle, or of *subdir* in it.
    :param may_be_gone: a folder in a bundle can be empty; the bundle itself cannot.
    :raises DagFilesMissing: there are active DAGs but no files, so that this host lacks them.
    """
    found = []
    for bundle in bundles:
        files = files_of(bundle, subdir)
        if not files and not (may_be_gone and files_of(bundle)):
            count = count_dags(bundle)
            if count:
                raise DagFilesMissing(subdir or bundle.path, bundle.name, hostname(), count)
        found += files
    return found


def active_dags(bundle: Bundle, subdir: Optional[str], session: Session) -> int:
    """Return the number of active DAGs of a bundle, or of those below the real path *subdir*."""
    in_use = airflow().dag_files.dags_in_use(bundle, session)
    return sum(len(in_use[path]) for path in in_use if subdir is None or is_in((path, bundle), subdir))


def _within(bundle: Bundle, real_path: str) -> Optional[str]:
    """Return a real path in terms of the bundle's path, which can contain links; None if it is not in the bundle."""
    root = os.path.realpath(bundle.path)
    if not lies_in(real_path, root):
        return None
    return os.path.normpath(os.path.join(bundle.path, os.path.relpath(real_path, root)))


def is_in(file: File, real_path: str) -> bool:
    """Return whether a file is at, or below, a real path."""
    return lies_in(os.path.realpath(file[0]), real_path)


def in_forks(
    function: Callable[[Item], object], files: Sequence[Item], file_seconds: Optional[float]
) -> Iterator[Tuple[Item, ForkResult]]:
    """Run the function on each file, several in parallel, and yield its result before the timeout of this job."""
    seconds = file_seconds or airflow().dag_files.file_limit() or sys.maxsize
    return run_in_forks(function, files, seconds=seconds, parallel=min(os.cpu_count() or 1, 4), until=ends_at())


def load(path: str, bundle: Bundle) -> Loaded:
    """Return what a file defines; whatever it raises, SystemExit included, is an import error."""
    begun = time.monotonic()
    loaded = Loaded(path, bundle)
    outcome = outcome_of_call(lambda: airflow().user_code.dag_bag(path, bundle.path, bundle.name or ""))
    if "error" in outcome:
        loaded.import_errors[path] = _traceback(outcome["error"])
    else:
        bag = outcome["result"]
        loaded.dags = dict(bag.dags)
        loaded.import_errors = {os.path.join(bundle.path, name): text for name, text in bag.import_errors.items()}
    _store(loaded)
    loaded.seconds = round(time.monotonic() - begun, 3)
    return loaded


def _store(loaded: Loaded) -> None:
    """Serialize the DAGs."""
    for dag_id, dag in loaded.dags.items():
        outcome = outcome_of_call(lambda dag=dag: airflow().dag_files.stored_form(dag))  # type: ignore[misc]
        if "error" in outcome:
            loaded.import_errors[dag.fileloc] = _traceback(outcome["error"])
        else:
            loaded.stored_forms[dag_id] = outcome["result"]


def _traceback(error: ErrorData) -> str:
    if error.get("exit_code") == _TERMINATED:
        raise SystemExit(_TERMINATED)
    return error["traceback"]


def _parsed(file: File) -> ParsedFile:
    return summary(load(*file))


def summary(loaded: Loaded) -> ParsedFile:
    """Return what a DAG file defines in the format of a response, with secrets masked in its errors."""
    errors = [{"file": path, "stacktrace": redacted(text)} for path, text in sorted(loaded.import_errors.items())]
    return {
        "outcome": "import_error" if loaded.import_errors else "loaded",
        "seconds": loaded.seconds,
        "dag_ids": sorted(loaded.dags),
        "task_count": sum(len(dag.tasks) for dag in loaded.dags.values()),
        "import_errors": errors,
    }


def entry_of(path: str, bundle: Bundle, fork_result: ForkResult) -> FileReport:
    """Return the report of a file: the result of its fork, or how the fork ended."""
    parsed: ParsedFile = {
        "outcome": fork_result.state,
        "seconds": fork_result.seconds,
        "dag_ids": [],
        "task_count": 0,
        "import_errors": [],
    }
    if fork_result.state == "success":
        parsed = fork_result.result
    else:
        parsed["import_errors"] = [{"file": path, "stacktrace": _sentence(fork_result)}]
    return {"file": path, "bundle_name": bundle.name, "exit_code": fork_result.exit_code, **parsed}


def _sentence(fork_result: ForkResult) -> str:
    if fork_result.error is not None:
        return str(fork_result.error.get("traceback") or raised(fork_result.error))
    if fork_result.state == "timeout" and not fork_result.seconds:
        return "The file was not parsed: the other files took all the time of the request."
    if fork_result.state == "timeout":
        return f"The file did not load within its timeout of {round(fork_result.seconds) or fork_result.seconds} s."
    if (fork_result.exit_code or 0) < 0:
        return f"The file ended its process with the signal {-(fork_result.exit_code or 0)}."
    return f"The file ended its process with the exit code {fork_result.exit_code}."


def slowest_first(entries: List[FileReport]) -> List[FileReport]:
    """Return the reports of files in the order of Airflow's own report: the slowest first."""
    return sorted(entries, key=lambda entry: (-entry["seconds"], entry["file"]))
