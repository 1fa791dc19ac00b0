"""version, rest_api_plugin_version."""

from __future__ import annotations

from typing import Mapping

from native_api.http.legacy.protocol import Arguments, Plan, legacy_name


def _version(result: Mapping[str, object]) -> str:
    return str(result["version"])


@legacy_name("version", prints=False, operation="version")
def version(arguments: Arguments) -> Plan:
    """Return the version of Airflow."""
    return Plan("version", {}, _version)


@legacy_name("rest_api_plugin_version", prints=False, operation="plugin_version")
def rest_api_plugin_version(arguments: Arguments) -> Plan:
    """Return the version of this plugin."""
    return Plan("plugin_version", {}, _version)
