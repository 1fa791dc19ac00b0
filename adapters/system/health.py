"""Whether Airflow's own processes live."""

from __future__ import annotations

from typing import Any, Dict

from marshmallow import Schema, fields

from native_api.adapters import sandbox
from native_api.adapters.compat import airflow
from native_api.adapters.fields.common import Nothing
from native_api.adapters.sandbox import job_store
from native_api.adapters.sandbox.job_store import LIVE
from native_api.effects import Effect
from native_api.registry import Context, operation
from native_api.version import __version__


def _status(description: str) -> fields.String:
    return fields.String(required=True, allow_none=True, metadata={"description": description})


def _heartbeat() -> fields.String:
    return fields.String(required=True, allow_none=True, metadata={"description": "ISO 8601; null without one."})


class Metadatabase(Schema):
    """The metadata database."""

    status = fields.String(required=True, metadata={"description": "healthy or unhealthy."})


class Scheduler(Schema):
    """The scheduler that was alive last."""

    status = _status("healthy or unhealthy.")
    latest_scheduler_heartbeat = _heartbeat()


class Triggerer(Schema):
    """The triggerer that was alive last."""

    status = _status("healthy, unhealthy, or null where there never was one.")
    latest_triggerer_heartbeat = _heartbeat()


class DagProcessor(Schema):
    """The DAG processor that was alive last."""

    status = _status("healthy, unhealthy, or null where it is no process of its own, or never was there.")
    latest_dag_processor_heartbeat = _heartbeat()


class LiveJobs(Schema):
    """How many jobs of the sandbox there are on this machine."""

    running = fields.Integer(required=True)
    queued = fields.Integer(required=True, metadata={"description": "Those that wait for a place."})


class Health(Schema):
    """What Airflow says of its processes, which versions answer, and how busy the sandbox is."""

    metadatabase = fields.Nested(Metadatabase, required=True)
    scheduler = fields.Nested(Scheduler, required=True)
    triggerer = fields.Nested(Triggerer, required=True)
    dag_processor = fields.Nested(DagProcessor, required=True)
    version = fields.String(required=True, metadata={"description": "The version of Airflow."})
    plugin_version = fields.String(required=True, metadata={"description": "The version of this plugin."})
    jobs = fields.Nested(LiveJobs, required=True)


@operation(request=Nothing, result=Health, access=None, effect=Effect.READ, tag="System")
def health(context: Context) -> Dict[str, Any]:
    """
    Return the status of Airflow's scheduler, triggerer, DAG processor and database, and the number of jobs.

    The answer is 200 in any case, as that of Airflow's own health page.
    """
    ours = {"version": airflow().version, "plugin_version": __version__, "jobs": _live_jobs()}
    return {**airflow().health(), **ours}


def _live_jobs() -> Dict[str, int]:
    held = [record for record in job_store.every(sandbox.jobs_folder()) if record.is_here() and record.is_locked()]
    states = [record.state()["state"] for record in held]
    return {state: states.count(state) for state in LIVE}
