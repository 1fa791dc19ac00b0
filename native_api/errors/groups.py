"""Errors that several operations declare together."""

from __future__ import annotations

from native_api.errors.callers import NotInFilesDir, OutsideFolders, SensitiveForToken, SensitiveValue
from native_api.errors.conflicts import DagFileMissing, DagNotLoaded, Refused
from native_api.errors.jobs import (
    JobCancelled,
    JobsDagUnavailable,
    JobTimedOut,
    SandboxUnavailable,
    TooManyJobs,
    UserCodeCrashed,
    UserCodeFailed,
)
from native_api.errors.missing import DagNotBelow, DagNotFound, DagRunNotFound, ServerFileNotFound, TaskNotFound

#: A request that names an active DAG, with subdir.
OF_A_DAG = (DagNotFound, DagNotBelow, OutsideFolders)
#: A request that names a DAG run.
OF_A_RUN = (*OF_A_DAG, DagRunNotFound)
#: A request that names a task instance.
OF_A_TASK = (*OF_A_RUN, TaskNotFound)
#: The DAG is loaded from its file.
OF_A_LOADED_DAG = (DagFileMissing, DagNotLoaded, Refused)
#: A job starts, and the response does not wait for its end.
OF_A_STARTED_JOB = (SandboxUnavailable, JobsDagUnavailable, TooManyJobs)
#: A job runs, and the response waits for its end.
OF_A_JOB = (*OF_A_STARTED_JOB, UserCodeFailed, UserCodeCrashed, JobCancelled, JobTimedOut)
#: The response has sensitive values, which must be decrypted.
OF_SECRETS = (SensitiveValue, SensitiveForToken, Refused)
#: A file below files_dir.
OF_A_SERVER_FILE = (NotInFilesDir, ServerFileNotFound, Refused)
