"""The records of jobs: those of the sandbox, in the job store, and those of Airflow's executor, in the database."""

from __future__ import annotations

from typing import TYPE_CHECKING, Iterator, Optional, Union

from native_api.adapters import sandbox
from native_api.adapters.executor import jobs as executor_jobs
from native_api.adapters.executor.jobs import ExecutorJob
from native_api.adapters.sandbox import job_store
from native_api.adapters.sandbox.job_store import Record

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

#: A job of the sandbox, or on the executor.
JobRecord = Union[Record, ExecutorJob]


def find(session: Session, job_id: str) -> Optional[JobRecord]:
    """Return the record of a job, None if this host has none and it is no job on the executor."""
    return job_store.find(sandbox.jobs_folder(), job_id) or executor_jobs.find(session, job_id)


def every(session: Session) -> Iterator[JobRecord]:
    """Yield the records of all jobs of this host, and of the jobs on the executor."""
    yield from job_store.every(sandbox.jobs_folder())
    yield from executor_jobs.every(session)
