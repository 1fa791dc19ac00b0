"""Report on DAG files: parse them and write nothing."""

from __future__ import annotations

import os
from typing import Any, Dict, List, Mapping, Optional, TypedDict

from marshmallow import Schema, fields, validate

from native_api.adapters import sandbox
from native_api.adapters.compat import airflow
from native_api.adapters.compat.interface.dag_files import Bundle
from native_api.adapters.dags import parsing
from native_api.adapters.dags.operations import checked_subdir
from native_api.adapters.dags.readable_files import READ_FILE, Rules, lies_in, readable_bundles, rules_for
from native_api.adapters.fields import texts
from native_api.adapters.fields.texts import Text
from native_api.adapters.fields.versions import limited
from native_api.adapters.jobs import operations as jobs
from native_api.adapters.jobs.operations import AcceptedJob, InBackground, OnExecutor
from native_api.effects import Effect
from native_api.errors import DagFilesMissing, Invalid, OutsideFolders
from native_api.errors.groups import OF_A_JOB
from native_api.host import hostname
from native_api.registry import Context, operation


class FilesToParse(InBackground):
    """The files to parse."""

    subdir = Text(
        texts.PATH,
        metadata={
            "description": "The file or folder, in the DAGs folder or in a bundle, to parse. A leading DAGS_FOLDER is "
            "replaced by the DAGs folder."
        },
    )
    bundle = Text(texts.ID, shortest=1, metadata=limited("Only files of this DAG bundle.", since=(3, 0)))
    file_seconds = fields.Float(
        validate=validate.Range(min=0.1, max=86400),
        metadata={"description": "Timeout of one file, in seconds. By default, Airflow's dagbag_import_timeout."},
    )


class ReportFiles(OnExecutor, FilesToParse):
    """The files to report on."""


class ParseArguments(TypedDict):
    """The arguments of the job that parses files."""

    bundles: List[Optional[str]]
    #: The real path of the folder or file.
    subdir: Optional[str]
    file_seconds: Optional[float]
    rules: Optional[Rules]


class FileError(Schema):
    """An import error of a file."""

    file = fields.String(required=True, metadata={"description": "The file, or the module in a zip archive."})
    stacktrace = fields.String(required=True)


class ParsedFile(Schema):
    """The report of a file."""

    file = fields.String(required=True)
    bundle_name = fields.String(
        required=True, allow_none=True, metadata=limited("The DAG bundle of the file.", since=(3, 0))
    )
    outcome = fields.String(
        required=True,
        metadata={
            "description": "loaded, import_error, failed (the file could not be processed), crashed (the file ended "
            "its process), timeout, missing (its DAGs were deactivated by remove_missing), outdated (Airflow has "
            "recorded other code of its DAGs since the file was last changed on this host) or elsewhere (Airflow reads "
            "one of its DAGs from another file, which is not on this host), or requested (the DAG processor has not "
            "parsed it yet). With outdated and elsewhere, nothing is written."
        },
    )
    exit_code = fields.Integer(
        required=True,
        allow_none=True,
        metadata={"description": "Exit code of the process; a negative number is a signal."},
    )
    seconds = fields.Float(required=True)
    dag_ids = fields.List(fields.String(), required=True)
    task_count = fields.Integer(required=True)
    import_errors = fields.List(fields.Nested(FileError), required=True)


class ReportedFiles(Schema):
    """The reports of files, the slowest first."""

    files = fields.List(fields.Nested(ParsedFile), required=True)
    total_entries = fields.Integer(required=True, metadata={"description": "Number of files that Airflow would parse."})
    dag_count = fields.Integer(required=True)
    task_count = fields.Integer(required=True)
    import_error_count = fields.Integer(required=True)
    hostname = fields.String(required=True, metadata={"description": "The host whose files were parsed."})
    seconds = fields.Float(
        required=True, metadata={"description": "Duration in seconds; files are parsed in parallel."}
    )


def _report_command(arguments: Mapping[str, object]) -> Optional[List[str]]:
    return None if "subdir" in arguments or "bundle" in arguments else ["dags", "report"]


@operation(
    request=ReportFiles,
    result=ReportedFiles,
    accepted=AcceptedJob,
    access=READ_FILE,
    effect=Effect.EXECUTE,
    tag="DAGs",
    errors=(*OF_A_JOB, OutsideFolders, DagFilesMissing),
    command=_report_command,
    example={"subdir": "DAGS_FOLDER/example_dag.py"},
)
def dag_report(
    context: Context, in_background: bool, queue: Optional[str] = None, **which: Any
) -> Optional[Dict[str, object]]:
    """
    Parse DAG files and return how each loads; nothing is written.

    Each file is parsed in a process of its own, so that a crash or a timeout affects that file only. Files that the
    caller cannot execute are omitted: a file requires the permission to execute every DAG in it or, if Airflow knows no
    DAG in it, all DAGs (in multi-team mode, all DAGs of its team). If a DAG bundle, or the folder, has active DAGs in
    the database but no DAG files on this host, the response is 409.
    """
    arguments = files_to_parse(context, **which)
    bundles = [bundle for bundle in airflow().dag_files.bundles() if bundle.name in arguments["bundles"]]
    here = [
        {
            "bundle": bundle.name,
            "folder": os.path.realpath(bundle.path),
            "active_dags": parsing.active_dags(bundle, arguments["subdir"], context.session),
        }
        for bundle in bundles
    ]
    job = sandbox.Job(parsing.report, {**arguments, "asked_of": here}, queue=queue)
    return jobs.run(context, job, in_background=in_background)


@jobs.builds_response(dag_report)
def _reported(context: Context, finished: sandbox.JobOutcome) -> Dict[str, object]:
    report: Dict[str, object] = finished.result
    return report


def files_to_parse(
    context: Context,
    subdir: Optional[str] = None,
    bundle: Optional[str] = None,
    file_seconds: Optional[float] = None,
) -> ParseArguments:
    """Return the arguments of the sandbox for the loaded :class:`FilesToParse`."""
    known = airflow().dag_files.bundles()
    if bundle is not None:
        airflow().dag_files.bundle(bundle)
    rules = rules_for(context, known)
    readable = readable_bundles(known, rules)
    folder = None if subdir is None else _existing(subdir, readable)
    # One of another team is reported as one that does not exist.
    wanted = readable if bundle is None else [airflow().dag_files.bundle(bundle, among=readable)]
    return {
        "bundles": [one.name for one in wanted],
        "subdir": folder,
        "file_seconds": file_seconds,
        "rules": rules,
    }


def _existing(subdir: str, bundles: List[Bundle]) -> str:
    """Return the real path of *subdir*, and require that Airflow, and the caller, can read it."""
    path = checked_subdir(subdir)
    if not any(lies_in(path, os.path.realpath(bundle.path)) for bundle in bundles):
        raise OutsideFolders(subdir)
    if not jobs.on_executor() and not os.path.exists(path):
        raise Invalid({"subdir": [f"There is no such file or folder on the host '{hostname()}'."]})
    return path
