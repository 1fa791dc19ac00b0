"""Whether Airflow's own processes live."""

from __future__ import annotations

from typing import Any, Dict

from marshmallow import Schema, fields

from native_api import __version__
from native_api.access import Effect
from native_api.adapters.about import Nothing
from native_api.adapters.seam import airflow
from native_api.operations import Context, operation


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


class Health(Schema):
    """What Airflow says of its processes, and which versions answer."""

    metadatabase = fields.Nested(Metadatabase, required=True)
    scheduler = fields.Nested(Scheduler, required=True)
    triggerer = fields.Nested(Triggerer, required=True)
    dag_processor = fields.Nested(DagProcessor, required=True)
    version = fields.String(required=True, metadata={"description": "The version of Airflow."})
    plugin_version = fields.String(required=True, metadata={"description": "The version of this plugin."})


@operation(request=Nothing, result=Health, access=None, effect=Effect.READ)
def health(context: Context) -> Dict[str, Any]:
    """
    Tell whether Airflow's scheduler, triggerer, DAG processor and database are well.

    The answer is 200 in any case, as that of Airflow's own health page.
    """
    from airflow.api.common.airflow_health import get_airflow_health

    return {**get_airflow_health(), "version": airflow().version, "plugin_version": __version__}
