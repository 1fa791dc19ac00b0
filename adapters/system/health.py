"""The health of Airflow's processes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Dict, Optional

from marshmallow import Schema, fields

from native_api import settings
from native_api.adapters import sandbox
from native_api.adapters.compat import airflow
from native_api.adapters.executor import dag
from native_api.adapters.executor import jobs as executor_jobs
from native_api.adapters.fields.common import Nothing
from native_api.adapters.sandbox import job_store
from native_api.adapters.sandbox.job_store import UNFINISHED
from native_api.effects import Effect
from native_api.host import hostname
from native_api.registry import Context, operation
from native_api.version import __version__

if TYPE_CHECKING:
    from sqlalchemy.orm import Session


def _status(description: str) -> fields.String:
    return fields.String(required=True, allow_none=True, metadata={"description": description})


def _heartbeat() -> fields.String:
    return fields.String(
        required=True,
        allow_none=True,
        metadata={"description": "Timestamp of the latest heartbeat, ISO 8601; null if there is none."},
    )


class Metadatabase(Schema):
    """The metadata database."""

    status = fields.String(required=True, metadata={"description": "healthy or unhealthy."})


class Scheduler(Schema):
    """The scheduler with the latest heartbeat."""

    status = _status("healthy or unhealthy.")
    latest_scheduler_heartbeat = _heartbeat()


class Triggerer(Schema):
    """The triggerer with the latest heartbeat."""

    status = _status("healthy, unhealthy, or null if none has ever run.")
    latest_triggerer_heartbeat = _heartbeat()


class DagProcessor(Schema):
    """The DAG processor with the latest heartbeat."""

    status = _status("healthy, unhealthy, or null if none has ever run as a process of its own.")
    latest_dag_processor_heartbeat = _heartbeat()


class LiveJobs(Schema):
    """The number of jobs on this host or, with the mode executor, on Airflow's executor."""

    running = fields.Integer(required=True)
    queued = fields.Integer(required=True, metadata={"description": "Number of jobs that wait for a slot."})


class Health(Schema):
    """The health of Airflow's processes, the versions, and the number of jobs."""

    metadatabase = fields.Nested(Metadatabase, required=True)
    scheduler = fields.Nested(Scheduler, required=True)
    triggerer = fields.Nested(Triggerer, required=True)
    dag_processor = fields.Nested(DagProcessor, required=True)
    version = fields.String(required=True, metadata={"description": "The version of Airflow."})
    plugin_version = fields.String(required=True, metadata={"description": "The version of this plugin."})
    hostname = fields.String(required=True, metadata={"description": "The host of the web server that responds."})
    mode = fields.String(
        required=True,
        metadata={
            "description": "Where DAG code is executed: web_server, in the sandbox on its host; executor, as tasks of "
            "Airflow's executor; disabled, with allow_execute off."
        },
    )
    jobs_dag = fields.String(
        required=True,
        allow_none=True,
        metadata={
            "description": "With the mode executor: available, or why jobs cannot run now. null with another mode."
        },
    )
    state_dir = fields.String(
        required=True, metadata={"description": "Where the records of jobs and deployments are kept on that host."}
    )
    jobs = fields.Nested(LiveJobs, required=True)


@operation(request=Nothing, result=Health, access=None, effect=Effect.READ, tag="System")
def health(context: Context) -> Dict[str, object]:
    """
    Return the status of Airflow's scheduler, triggerer, DAG processor and database, and the number of jobs.

    The status code is always 200, as that of Airflow's own health endpoint. GET /native_api/health, for load balancers,
    needs no credentials and returns 200 or 503 for this plugin alone.
    """
    return {
        **airflow().health(),
        "version": airflow().version,
        "plugin_version": __version__,
        "hostname": hostname(),
        "mode": settings.get("execute_on") if settings.get("allow_execute") else "disabled",
        "jobs_dag": _jobs_dag(context),
        "state_dir": settings.get("state_dir"),
        "jobs": _live_jobs(context.session),
    }


def _jobs_dag(context: Context) -> Optional[str]:
    if settings.get("execute_on") != "executor":
        return None
    return dag.unavailable_reason(context.session) or "available"


def _live_jobs(session: Session) -> Dict[str, int]:
    if settings.get("execute_on") == "executor":
        return executor_jobs.count(session)
    running = [
        record for record in job_store.every(sandbox.jobs_folder()) if record.is_on_this_host() and record.is_locked()
    ]
    states = [record.state()["state"] for record in running]
    return {state: states.count(state) for state in UNFINISHED}
