"""How the files of DAGs load."""

from __future__ import annotations

import os
from typing import Any, Dict, List, Mapping, Optional

from marshmallow import Schema, fields, validate

from native_api.access import EXECUTE_DAG, Access, Effect, Resource
from native_api.adapters import jobs, sandbox, texts
from native_api.adapters.dags import checked_subdir
from native_api.adapters.jobs import AcceptedJob, InBackground
from native_api.adapters.seam import airflow
from native_api.adapters.texts import Text
from native_api.errors import Invalid
from native_api.operations import Context, operation

#: What the files of all DAGs are about.
EVERY_DAG = (Access(Resource.DAG, "GET"), *EXECUTE_DAG)


class FilesToParse(InBackground):
    """Which files to parse."""

    subdir = Text(
        texts.PATH,
        metadata={
            "description": "Only files in this folder, or this file, of the DAGs folder or a bundle; "
            "DAGS_FOLDER at its beginning stands for the DAGs folder."
        },
    )
    bundle = Text(texts.ID, shortest=1, metadata={"description": "Airflow 3: only the files of this bundle."})
    file_seconds = fields.Float(
        validate=validate.Range(min=0.1, max=86400),
        metadata={"description": "How long a file may take; left out, what Airflow's dagbag_import_timeout allows."},
    )


class FileError(Schema):
    """What of a file does not load."""

    file = fields.String(required=True, metadata={"description": "The file, or the module in an archive."})
    stacktrace = fields.String(required=True)


class ParsedFile(Schema):
    """What became of a file."""

    file = fields.String(required=True)
    bundle_name = fields.String(required=True, allow_none=True, metadata={"description": "null on Airflow 2."})
    outcome = fields.String(
        required=True,
        metadata={
            "description": "loaded, import_error, failed (it could not be dealt with), crashed (it ended its process), "
            "timeout, or missing (its DAGs were deactivated, as remove_missing asks for)."
        },
    )
    exit_code = fields.Integer(
        required=True, allow_none=True, metadata={"description": "How it ended its process; negative: the signal."}
    )
    seconds = fields.Float(required=True)
    dag_ids = fields.List(fields.String(), required=True)
    task_count = fields.Integer(required=True)
    import_errors = fields.List(fields.Nested(FileError), required=True)


class ReportedFiles(Schema):
    """How files load, the slowest first."""

    files = fields.List(fields.Nested(ParsedFile), required=True)
    total_entries = fields.Integer(required=True, metadata={"description": "How many files Airflow would read."})
    dag_count = fields.Integer(required=True)
    task_count = fields.Integer(required=True)
    import_error_count = fields.Integer(required=True)
    hostname = fields.String(required=True, metadata={"description": "The host whose files were read."})
    seconds = fields.Float(required=True, metadata={"description": "How long all of it took; files load in parallel."})


def _report_command(arguments: Mapping[str, Any]) -> Optional[List[str]]:
    return None if "subdir" in arguments or "bundle" in arguments else ["dags", "report"]


@operation(
    request=FilesToParse,
    result=ReportedFiles,
    accepted=AcceptedJob,
    access=EVERY_DAG,
    effect=Effect.EXECUTE,
    command=_report_command,
    example={"subdir": "DAGS_FOLDER/example_dag.py"},
)
def dag_report(context: Context, in_background: bool, **which: Any) -> Optional[Dict[str, Any]]:
    """
    Parse the files that Airflow reads DAGs from, and tell how each loads; nothing is written.

    Each is parsed in a process of its own: one that ends its process, crashes or hangs is reported as such, and the
    others are still. Where a bundle, or the folder, has no DAG files on this host and active DAGs in the database, the
    call is refused with 409.
    """
    job = sandbox.Job("native_api.adapters.work.parsing:report", files_to_parse(**which))
    return jobs.run(context, job, in_background=in_background)


@jobs.answers("dag_report")
def _reported(context: Context, finished: sandbox.Finished) -> Dict[str, Any]:
    report: Dict[str, Any] = finished.result
    return report


def files_to_parse(
    subdir: Optional[str] = None, bundle: Optional[str] = None, file_seconds: Optional[float] = None
) -> Dict[str, Any]:
    """Return which files the sandbox is to parse, for the loaded :class:`FilesToParse`."""
    folder = None if subdir is None else _existing(subdir)
    return {"bundles": _bundle_names(bundle), "subdir": folder, "file_seconds": file_seconds}


def _bundle_names(bundle: Optional[str]) -> List[Optional[str]]:
    """Return the names of all bundles, or that of the one that is asked for; Airflow 2's folders have none."""
    if bundle is not None:
        return [airflow().syncing.bundle(bundle).name]
    return [known.name for known in airflow().syncing.bundles()]


def _existing(subdir: str) -> str:
    """Return the real path of *subdir*, or raise where it is none that Airflow reads."""
    path = checked_subdir(subdir)
    if not os.path.exists(path):
        raise Invalid({"subdir": [f"There is no such file or folder on the host '{os.uname().nodename}'."]})
    return path
