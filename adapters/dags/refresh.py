"""Refresh DAGs: parse their files immediately, instead of waiting for the DAG processor."""

from __future__ import annotations

import os
from typing import Any, Dict, List, Mapping, Optional

from marshmallow import Schema, fields
from sqlalchemy import select

from native_api.adapters import sandbox
from native_api.adapters.compat import airflow
from native_api.adapters.dags import parsing, refresh_elsewhere, sync
from native_api.adapters.dags.readable_files import READ_FILE, readable_files
from native_api.adapters.dags.report import FilesToParse, ParsedFile, files_to_parse
from native_api.adapters.fields.common import dag_id_field, switch
from native_api.adapters.fields.versions import limited
from native_api.adapters.import_errors.operations import file_naming
from native_api.adapters.jobs import operations as jobs
from native_api.adapters.jobs.operations import AcceptedJob, InBackground
from native_api.effects import Effect
from native_api.errors import (
    DagFileMissing,
    DagFileOutdated,
    DagFilesMissing,
    DagNotFound,
    DagsElsewhere,
    OutsideFolders,
)
from native_api.errors.groups import OF_A_JOB
from native_api.permissions import EXECUTE_DAG
from native_api.registry import Context, operation


class RefreshDag(InBackground):
    """The DAG to refresh."""

    dag_id = dag_id_field()


class RefreshAllDags(FilesToParse):
    """The files to parse, and the action on DAGs of missing files."""

    remove_missing = switch(
        "If true, deactivate the DAGs of files that are missing on this host, or ignored by an .airflowignore."
    )


class Changes(Schema):
    """The changes of DAGs."""

    added = fields.List(fields.String(), required=True, metadata={"description": "New DAGs."})
    changed = fields.List(
        fields.String(), required=True, metadata={"description": "DAGs whose serialized form or code has changed."}
    )
    removed = fields.List(fields.String(), required=True, metadata={"description": "Deactivated DAGs."})


class RefreshedFile(ParsedFile, Changes):
    """The refresh of a file."""

    bundle_version = fields.String(
        allow_none=True, metadata={"description": "The version of the DAG bundle that was parsed."}
    )


class MissingFile(Schema):
    """A file that defines active DAGs and that Airflow does not read on this host."""

    file = fields.String(required=True)
    bundle_name = fields.String(
        required=True, allow_none=True, metadata=limited("The DAG bundle of the file.", since=(3, 0))
    )
    dag_ids = fields.List(fields.String(), required=True)


class RefreshedFiles(Changes):
    """The refresh of files, the slowest first."""

    files = fields.List(fields.Nested(RefreshedFile), required=True)
    total_entries = fields.Integer(required=True, metadata={"description": "Number of parsed files."})
    missing_files = fields.List(
        fields.Nested(MissingFile),
        required=True,
        metadata={
            "description": "Files that define active DAGs but are missing on this host, or ignored by an "
            ".airflowignore. Their DAGs remain active unless remove_missing is true."
        },
    )
    hostname = fields.String(
        required=True,
        allow_none=True,
        metadata={"description": "The host whose files were parsed; null if the DAG processor was asked instead."},
    )
    import_error_count = fields.Integer(required=True)
    asked_dag_processor = fields.Boolean(
        required=True, metadata={"description": "Whether the DAG processor was asked to parse the files next."}
    )
    seconds = fields.Float(
        required=True, metadata={"description": "Duration in seconds; files are parsed in parallel."}
    )
    warnings = fields.List(fields.String())


def _reserialize_command(arguments: Mapping[str, object]) -> Optional[List[str]]:
    return None if "bundle" in arguments or "subdir" in arguments else ["dags", "reserialize"]


@operation(
    request=RefreshDag,
    result=RefreshedFiles,
    accepted=AcceptedJob,
    access=EXECUTE_DAG,
    effect=Effect.EXECUTE,
    tag="DAGs",
    errors=(*OF_A_JOB, DagNotFound, DagFileMissing, DagFileOutdated, DagsElsewhere),
    example={"dag_id": "example_dag"},
)
def refresh_dag(context: Context, in_background: bool, dag_id: str) -> Optional[Dict[str, object]]:
    """
    Parse the file of a DAG now, and write its DAGs to the database.

    The DAG bundle of the file is refreshed first. DAGs that the file no longer defines are deactivated. If the file is
    older than the code that Airflow has recorded, nothing is changed and the response is 409. If the file is not on
    this host, or with execute_on = executor, the DAG processor is asked to parse it, and the response waits for that.
    Where it cannot be asked, the response is 409 or, with execute_on = executor, a job parses the file. Requires the
    permission to execute every DAG of the file.
    """
    bundle, path = _place_of(context, dag_id)
    job = sandbox.Job(sync.refresh_file, {"bundles": [bundle], "path": path, "dag_id": dag_id})
    configured = [one for one in airflow().dag_files.bundles() if bundle in (None, one.name)][:1]
    files = [(os.path.join(one.path, path), one) for one in configured]
    return _refreshed(context, job, files, in_background)


@operation(
    request=RefreshAllDags,
    result=RefreshedFiles,
    accepted=AcceptedJob,
    access=READ_FILE,
    effect=Effect.EXECUTE,
    tag="DAGs",
    errors=(*OF_A_JOB, OutsideFolders, DagFilesMissing),
    command=_reserialize_command,
    example={"subdir": "DAGS_FOLDER/example_dag.py"},
)
def refresh_all_dags(
    context: Context, in_background: bool, remove_missing: bool, **which: Any
) -> Optional[Dict[str, object]]:
    """
    Parse all DAG files of this host now, and write their DAGs to the database.

    DAGs of files that are not on this host remain active and are listed; remove_missing deactivates them. DAGs of
    outdated files are not changed: such a file differs from the code that Airflow has recorded, and was last changed on
    this host before Airflow recorded that code. If a DAG bundle, or the folder, has active DAGs in the database but no
    DAG files on this host, the response is 409. Files that the caller cannot execute are omitted, as in dag_report.
    """
    wanted = files_to_parse(context, **which)
    job = sandbox.Job(sync.refresh, {**wanted, "remove_missing": remove_missing})
    bundles = [one for one in airflow().dag_files.bundles() if one.name in wanted["bundles"]]
    known = refresh_elsewhere.known_files(bundles, context.session)
    below = [file for file in known if wanted["subdir"] is None or parsing.is_in(file, wanted["subdir"])]
    return _refreshed(context, job, readable_files(below, wanted["rules"]), in_background)


def _refreshed(
    context: Context, job: sandbox.Job, files: List[refresh_elsewhere.File], in_background: bool
) -> Optional[Dict[str, Any]]:
    """Run the job or, if this host does not have the files, have the DAG processor parse them."""
    if jobs.on_executor() and refresh_elsewhere.is_possible():
        return refresh_elsewhere.refresh(context, files, wait=not in_background)
    try:
        return jobs.run(context, job, in_background=in_background)
    except (DagFileMissing, DagFilesMissing):
        if not refresh_elsewhere.is_possible():
            raise
        return refresh_elsewhere.refresh(context, files, wait=True)


@jobs.builds_response(refresh_dag, refresh_all_dags)
def _read(context: Context, finished: sandbox.JobOutcome) -> Dict[str, object]:
    for file in finished.result["files"]:
        for error in file["import_errors"]:
            last = error["stacktrace"].strip().splitlines()[-1]
            context.warnings.append(f"The file '{error['file']}' does not load: {last}")
    _warn_of_missing(context, finished.result)
    _warn_of_outdated(context, finished.result)
    result: Dict[str, object] = finished.result
    return result


def _warn_of_missing(context: Context, result: Mapping[str, Any]) -> None:
    removed = set(result["removed"])
    left = [file for file in result["missing_files"] if not removed.issuperset(file["dag_ids"])]
    if left:
        context.warnings.append(
            f"Airflow does not read {len(left)} file(s) with active DAGs on the host '{result['hostname']}', for "
            "example "
            f"{left[0]['file']}. Their DAGs remain active; 'remove_missing' deactivates them."
        )


def _warn_of_outdated(context: Context, result: Mapping[str, Any]) -> None:
    left = [entry["file"] for entry in result["files"] if entry["outcome"] in ("outdated", "elsewhere")]
    if left:
        context.warnings.append(
            f"{len(left)} file(s) on the host '{result['hostname']}' are older than the code that Airflow has "
            f"recorded, for example {left[0]}. Their DAGs are not changed."
        )


def _place_of(context: Context, dag_id: str) -> Any:
    """Return the bundle and the path of a DAG file, and require the right to execute every DAG in it."""
    from airflow.models.dag import DagModel

    # One that is not active is in a file that did not load when Airflow last read it.
    row = context.session.scalars(select(DagModel).where(DagModel.dag_id == dag_id)).first()
    if row is None:
        raise DagNotFound(dag_id, file_naming(context, dag_id))
    bundle, path = airflow().dag_files.place_of(row)
    # Of an archive all is read, not only the module that has the DAG.
    for other in _in_file(context, airflow().dag_files.file_of(row)):
        for access in EXECUTE_DAG:
            context.caller.require_of_another(access, other, "execute all DAGs of the file")
    return bundle, path


def _in_file(context: Context, path: str) -> List[str]:
    from airflow.models.dag import DagModel

    in_it = airflow().dag_files.in_file(path, DagModel), airflow().is_active(DagModel)
    return list(context.session.scalars(select(DagModel.dag_id).where(*in_it)))
