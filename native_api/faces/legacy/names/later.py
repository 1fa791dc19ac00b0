"""The names whose operations later releases bring; calling one answers 501."""

from __future__ import annotations

from native_api.faces.legacy.protocol import Plan, legacy_name

_NAMES = {
    "deploy_dag": "deploy_dag",
    "refresh_dag": "refresh_dag",
    "refresh_all_dags": "refresh_all_dags",
}

for _name, _operation in _NAMES.items():
    legacy_name(_name)(lambda arguments, operation=_operation: Plan(operation, {}))  # type: ignore[misc]
