"""DAG files: deploy, list, roll back, delete."""

from __future__ import annotations

import os
from contextlib import suppress
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, Callable, Dict, Mapping, Optional

from marshmallow import Schema, ValidationError, fields, post_load

from native_api import settings
from native_api.adapters import sandbox
from native_api.adapters.dags.refresh import Changes
from native_api.adapters.deployments import history, job, targets
from native_api.adapters.deployments.staging import current
from native_api.adapters.deployments.targets import Target
from native_api.adapters.deployments.uploads import FileOfDags, audit_entry, receive
from native_api.adapters.fields import texts
from native_api.adapters.fields.common import DateTime, switch
from native_api.adapters.fields.paging import page_fields, slice_of
from native_api.adapters.fields.texts import Text
from native_api.adapters.fields.versions import limited
from native_api.adapters.jobs import operations as jobs
from native_api.effects import Effect
from native_api.errors import (
    DagFileBroken,
    DagFileExists,
    DagFileMissing,
    DagFileNotFound,
    DagFilesMissing,
    DagsElsewhere,
    DagsFolderReadOnly,
    DeploymentNotFound,
    DeploymentRuns,
    Invalid,
    NativeApiError,
    NoDagInFile,
    NotOnExecutor,
    OutsideFolders,
)
from native_api.errors.groups import OF_A_JOB
from native_api.host import hostname, new_id
from native_api.permissions import Access, Resource
from native_api.registry import Context, operation
from native_api.uploads import Upload


class OneFile(Schema):
    """Identify a DAG file."""

    path = Text(
        texts.PATH,
        required=True,
        metadata={"description": "The path relative to the DAGs folder, or to the DAG bundle."},
    )
    bundle = Text(
        texts.ID,
        shortest=1,
        metadata=limited("The DAG bundle, which must be a local folder. By default, the first one.", since=(3, 0)),
    )


class HowToDeploy(Schema):
    """Options for the DAGs of a file."""

    pause = switch("If true, pause every DAG of the file.")
    unpause = switch("If true, unpause every DAG of the file.")
    allow_empty = switch("If true, accept a file that defines no DAG, such as a module that DAGs import.")
    dry_run = switch("If true, load the file and return the result, but change nothing.")


class DeployDag(OneFile, HowToDeploy):
    """The DAG file to deploy."""

    path = Text(
        texts.PATH,
        metadata={
            "description": "The path relative to the DAGs folder, or to the DAG bundle. By default, the name of "
            "the upload."
        },
    )
    dag_file = FileOfDags(
        required=True,
        metadata={
            "description": "A module (.py) or a zip archive of modules (.zip), as an upload; or the text of a module.",
            "upload": "file",
            "masked": audit_entry,
        },
    )
    force = switch("If true, replace an existing file.")

    @post_load
    def _path(self, data: Dict[str, Any], **kwargs: object) -> Dict[str, object]:
        if not data.get("path"):
            name = data["dag_file"].filename
            if not name or "/" in name:
                raise ValidationError("Is required: the upload has no plain file name.", "path")
            data["path"] = name
        return data


class RollbackDag(OneFile, HowToDeploy):
    """The DAG file, and the deployment to restore."""

    deployment_id = Text(
        texts.ID, metadata={"description": "The deployment to restore. By default, the one before the latest."}
    )


class DeleteDagFile(OneFile):
    """The DAG file to delete."""

    delete_metadata = switch("If true, also delete the metadata of its DAGs.")


class Deployment(Schema):
    """A change of a DAG file."""

    deployment_id = fields.String(required=True, allow_none=True, metadata={"description": "null for a dry run."})
    number = fields.Integer(
        required=True, metadata={"description": "Number of the deployment among those of the file."}
    )
    operation = fields.String(
        required=True,
        metadata={"description": "deploy, rollback, delete, or found (the file existed before its first deployment)."},
    )
    path = fields.String(
        required=True, metadata={"description": "The path relative to the DAGs folder, or to the DAG bundle."}
    )
    bundle_name = fields.String(
        required=True, allow_none=True, metadata=limited("The DAG bundle of the file.", since=(3, 0))
    )
    fileloc = fields.String(required=True, metadata={"description": "The absolute path."})
    checksum = fields.String(
        required=True, allow_none=True, metadata={"description": "SHA-256 of the file; null if it was deleted."}
    )
    bytes = fields.Integer(required=True)
    dag_ids = fields.List(fields.String(), required=True, allow_none=True)
    deployed_at = DateTime(required=True)
    owner = fields.String(required=True, allow_none=True, metadata={"description": "The name of the caller."})
    hostname = fields.String(allow_none=True, metadata={"description": "The host whose web server did it."})
    restored = fields.String(
        required=True, allow_none=True, metadata={"description": "The deployment that a rollback restored."}
    )


class Deployed(Deployment, Changes):
    """The result of a deployment."""

    replaced = fields.Boolean(required=True, metadata={"description": "Whether the file existed."})
    dry_run = fields.Boolean(required=True)
    warnings = fields.List(fields.String())


class DeletedDagFile(Deployment, Changes):
    """The deleted DAG file."""

    deleted_rows = fields.Integer(required=True, metadata={"description": "Number of deleted rows."})
    replaced = fields.Boolean(required=True)
    dry_run = fields.Boolean(required=True)


class ListDeployments(Schema.from_dict(page_fields("deployed_at"))):  # type: ignore[misc]
    """Filters of the list of deployments."""

    path = Text(texts.PATH, metadata={"description": "Only deployments of this file."})
    bundle = Text(texts.ID, metadata={"description": "Only deployments in this DAG bundle."})


class ListedDeployment(Deployment):
    """A deployment in a list."""

    is_newest = fields.Boolean(required=True, metadata={"description": "Whether it is the latest of the file."})


class Deployments(Schema):
    """A page of deployments."""

    deployments = fields.List(fields.Nested(ListedDeployment), required=True)
    total_entries = fields.Integer(required=True)


@operation(
    request=DeployDag,
    result=Deployed,
    access=Access(Resource.DEPLOYMENT, "POST"),
    effect=Effect.DEPLOY,
    tag="Deployments",
    errors=(
        *OF_A_JOB,
        NotOnExecutor,
        OutsideFolders,
        DagFileBroken,
        NoDagInFile,
        DagFileExists,
        DagFileMissing,
        DagFilesMissing,
        DagsElsewhere,
        DagsFolderReadOnly,
        DeploymentRuns,
    ),
    creates=True,
    example={"dag_file": "RATE = 1\n", "path": "new_rates.py", "allow_empty": True, "dry_run": True},
)
def deploy_dag(
    context: Context, dag_file: Upload, path: str, force: bool, bundle: Optional[str] = None, **how: bool
) -> Dict[str, object]:
    """
    Deploy a DAG file: write it to the DAGs folder and its DAGs to the database, completely or not at all.

    The file is loaded, under its final path, before it replaces the present one. It is refused if it does not load,
    defines no DAG, or defines a DAG of another file. Its DAGs can be listed and triggered as soon as the response is
    sent. The previous version is stored.
    """
    _require_sandbox(context)
    target = targets.target(path, bundle)
    if not force and target.mode() is not None:
        raise DagFileExists(target.path, hostname())
    targets.require_dags_folder(target, context.session)
    if not force:
        targets.require_no_dags(target, context.session)
    context.created = not how["dry_run"] and target.mode() is None
    upload = receive(dag_file)
    try:
        wanted = {"upload": os.fspath(upload), "force": force}
        return _done(context, job.deploy, target, dag_file.size, {**wanted, "how": _how(context, how)}, upload)
    finally:
        with suppress(FileNotFoundError):
            upload.unlink()


def _version_that_is_wanted(arguments: Mapping[str, Any]) -> Dict[str, object]:
    """Return the deployment to restore, nothing if there is none."""
    with suppress(NativeApiError):
        chosen = _wanted(targets.target(arguments["path"], arguments.get("bundle")), arguments.get("deployment_id"))
        return {"deployment_id": chosen["deployment_id"], "sha256": chosen["checksum"]}
    return {}


@operation(
    request=RollbackDag,
    result=Deployed,
    access=Access(Resource.DEPLOYMENT, "PUT"),
    effect=Effect.DEPLOY,
    tag="Deployments",
    errors=(
        *OF_A_JOB,
        NotOnExecutor,
        OutsideFolders,
        DagFileBroken,
        NoDagInFile,
        DagsElsewhere,
        DagsFolderReadOnly,
        DeploymentNotFound,
        DeploymentRuns,
    ),
    resolve=_version_that_is_wanted,
    example={"path": "rates.py", "allow_empty": True},
)
def rollback_dag(
    context: Context, path: str, bundle: Optional[str] = None, deployment_id: Optional[str] = None, **how: bool
) -> Dict[str, object]:
    """Restore a stored version of a DAG file, as a deployment does."""
    _require_sandbox(context)
    target = targets.target(path, bundle)
    # The one that the audit log names, whatever is deployed meanwhile.
    chosen = _wanted(target, context.resolved_arguments.get("deployment_id", deployment_id))
    wanted = {"deployment_id": chosen["deployment_id"], "how": _how(context, how)}
    return _done(context, job.roll_back, target, 0, wanted)


def _version_that_is_there(arguments: Mapping[str, Any]) -> Dict[str, object]:
    """Return the content of the file, and the deployment that wrote it, if any."""
    with suppress(NativeApiError):
        target = targets.target(arguments["path"], arguments.get("bundle"))
        there = history.checksum(current(target))
        records = history.of(target).records()
        is_deployed = bool(records) and records[-1]["checksum"] == there
        return {"sha256": there, "deployment_id": records[-1]["deployment_id"] if is_deployed else None}
    return {}


@operation(
    request=DeleteDagFile,
    result=DeletedDagFile,
    access=Access(Resource.DEPLOYMENT, "DELETE"),
    effect=Effect.DEPLOY,
    tag="Deployments",
    errors=(
        *OF_A_JOB,
        NotOnExecutor,
        OutsideFolders,
        DagFileMissing,
        DagFileNotFound,
        DagsFolderReadOnly,
        DeploymentRuns,
    ),
    resolve=_version_that_is_there,
    example={"path": "rates.py"},
)
def delete_dag_file(
    context: Context, path: str, delete_metadata: bool, bundle: Optional[str] = None
) -> Dict[str, object]:
    """
    Delete a DAG file and deactivate its DAGs; rollback_dag restores it.

    With delete_metadata, the DAG runs are deleted permanently; this is refused while a task of them is running.
    """
    _require_sandbox(context)
    target = targets.target(path, bundle)
    if target.mode() is None:
        targets.require_no_dags(target, context.session)
        raise DagFileNotFound(target.path)
    wanted = {"metadata": delete_metadata, "kept": settings.get("deployments_kept")}
    return _done(context, job.delete, target, 0, wanted)


@operation(
    request=ListDeployments,
    result=Deployments,
    access=Access(Resource.DEPLOYMENT, "GET"),
    effect=Effect.READ,
    tag="Deployments",
)
def list_deployments(
    context: Context, path: Optional[str] = None, bundle: Optional[str] = None, **asked: object
) -> Dict[str, object]:
    """
    List the stored deployments of DAG files.

    They are those of the web server's host or, if ``state_dir`` is shared, of all web servers.
    """
    found = [
        record
        for record in history.every()
        if path in (None, record["path"]) and bundle in (None, record["bundle_name"])
    ]
    newest = {record["fileloc"]: record["deployment_id"] for record in found}
    shown = [
        {**_as_response(record), "is_newest": newest[record["fileloc"]] == record["deployment_id"]} for record in found
    ]
    page = slice_of(context, shown, asked, lambda record: (record["deployed_at"], record["number"]))
    return {"deployments": page, "total_entries": len(found)}


def _wanted(target: Target, deployment_id: Optional[str]) -> history.Record:
    return history.of(target).record(deployment_id, target.file)


def _require_sandbox(context: Context) -> None:
    """Raise NotOnExecutor if the web server executes no DAG code: a changed file is parsed before it is deployed."""
    if jobs.on_executor():
        raise NotOnExecutor(context.operation)


def _done(
    context: Context,
    function: Callable[..., object],
    target: Target,
    size: int,
    wanted: Mapping[str, object],
    upload: Optional[Path] = None,
) -> Dict[str, object]:
    """
    Change the file in the sandbox, and return the result.

    :raises DeploymentRuns: another deployment changes the file; raised before waiting for a slot.
    """
    targets.require_writable(target)
    if history.of(target).is_being_changed():
        raise DeploymentRuns(target.file)
    arguments: Dict[str, object] = {**wanted}
    left = {"upload": os.fspath(upload)} if upload else {}
    job_id = new_id()
    record = history.new_record(target, job_id, _NAMES[function], context.caller.name, size)
    arguments["record"] = record
    cleanup = (job.recover, {"record": record, **left})
    finished = sandbox.run(context, sandbox.Job(function, arguments, cleanup, job_id))
    if finished is None:
        raise Invalid({"path": ["A deployment cannot run asynchronously."]})
    context.warnings.extend(finished.result.pop("warnings", []))
    return _as_response(finished.result)


_NAMES: Dict[Callable[..., object], str] = {job.deploy: "deploy", job.roll_back: "rollback", job.delete: "delete"}


def _how(context: Context, asked: Mapping[str, bool]) -> job.How:
    paused: Optional[bool] = None
    if asked["pause"] and asked["unpause"]:
        context.warnings.append("Both options pause and unpause were given. Skipping")
    elif asked["pause"] or asked["unpause"]:
        paused = asked["pause"]
    kept = settings.get("deployments_kept")
    return {"dry_run": asked["dry_run"], "allow_empty": asked["allow_empty"], "paused": paused, "kept": kept}


def _as_response(record: Mapping[str, Any]) -> Dict[str, Any]:
    moment = datetime.fromtimestamp(record["deployed_at"], timezone.utc)
    return {**record, "deployed_at": moment}
