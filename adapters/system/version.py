"""Versions."""

from __future__ import annotations

from typing import Dict

from marshmallow import Schema, fields

from native_api.adapters.compat import airflow
from native_api.adapters.fields.common import Nothing
from native_api.effects import Effect
from native_api.registry import Context, operation
from native_api.version import __version__


class Version(Schema):
    """A version."""

    version = fields.String(required=True)


@operation(
    request=Nothing,
    result=Version,
    access=None,
    effect=Effect.READ,
    tag="System",
    command=lambda arguments: ["version"],
)
def version(context: Context) -> Dict[str, object]:
    """Return the version of Airflow."""
    return {"version": airflow().version}


@operation(request=Nothing, result=Version, access=None, effect=Effect.READ, tag="System")
def plugin_version(context: Context) -> Dict[str, object]:
    """Return the version of this plugin."""
    return {"version": __version__}
