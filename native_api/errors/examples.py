"""An example of each error, for the documentation."""

from __future__ import annotations

import dataclasses
from typing import Dict, Mapping, Type

from native_api.errors.base import NativeApiError

_RUN_ID = "manual__2026-11-01T00:00:00+00:00"

#: Data by name.
_DATA: Mapping[str, object] = {
    "active_dags": 12,
    "accept": "text/html",
    "allowed": "GET",
    "argument": "run_backwards",
    "arguments": ["ignore_all_dependencies"],
    "backfill_id": 1,
    "bundle_name": "dags-folder",
    "challenge": None,
    "conn_id": "warehouse",
    "content_type": "text/xml",
    "dag_id": "example_dag",
    "dags": {"example_dag": "/opt/airflow/dags/other.py"},
    "dependencies": [{"name": "Trigger Rule", "reason": "Task's trigger rule 'all_success' is not met."}],
    "deployed_on": None,
    "deployment_id": "0123456789abcdef0123456789abcdef",
    "doing": "execute DAG code",
    "effect": "execute",
    "error_id": "0123456789abcdef0123456789abcdef",
    "errors": {"limit": ["Not a valid integer."]},
    "exception": "ValueError",
    "exit_code": 1,
    "file": "example.json",
    "fileloc": "/opt/airflow/dags/example.py",
    "folder": "/opt/airflow/dags",
    "hostname": "webserver-1",
    "import_error": None,
    "import_errors": [{"file": "/opt/airflow/dags/example.py", "stacktrace": "SyntaxError: invalid syntax"}],
    "in_background": False,
    "job_id": "0123456789abcdef0123456789abcdef",
    "key": "greeting",
    "keys": ["greeting"],
    "last_map_index": None,
    "latest_try_number": 1,
    "limit_bytes": 10485760,
    "limit_seconds": 300.0,
    "log": "",
    "log_cut": False,
    "log_file": "/opt/airflow/daemons/scheduler.log",
    "log_tail": "",
    "logical_date": "2026-11-01T00:00:00+00:00",
    "map_index": -1,
    "message": "No such table.",
    "name": "scheduler",
    "nearest": "list_dags",
    "of_caller": False,
    "operation": "list_dags",
    "option": "[native_api] body_bytes",
    "parts": 1000,
    "path": "/opt/airflow/dags/example.py",
    "permission": "read the DAG 'example_dag'",
    "pid": 4321,
    "reason": "The request cannot be read.",
    "recorded_at": "2026-11-01T00:00:00+00:00",
    "retry_after_seconds": 5,
    "run_id": _RUN_ID,
    "seconds": 60,
    "state": "success",
    "subdir": "reports",
    "task_id": "extract",
    "tasks": ["load"],
    "traceback": None,
    "try_number": 7,
    "version_number": None,
    "way_out": "use local.",
}

_DAG_FILE = {"file": "/opt/airflow/dags/example.py"}

#: Data of one error, by its code.
_OF_CODE: Mapping[str, Mapping[str, object]] = {
    "argument_not_supported": {"reason": "Airflow 3 does not run the DAG runs of a backfill backwards."},
    "bad_request": {"reason": "The body is not JSON: Expecting value, at line 1, column 1."},
    "body_too_slow": {"option": "[native_api] body_seconds"},
    "connections_exist": {"keys": ["warehouse"]},
    "cross_site_request": {"reason": "The request has a session and no CSRF token."},
    "daemon_died": {"reason": "Address already in use"},
    "dag_file_missing": _DAG_FILE,
    "dag_file_outdated": _DAG_FILE,
    "dag_run_not_found": {"run_id": _RUN_ID},
    "default_pool": {"name": "default_pool"},
    "deployment_not_found": {"file": "example.py"},
    "deployment_running": {"file": "example.py"},
    "effect_not_allowed": {"option": "[native_api] allow_execute"},
    "no_dag_in_file": {"file": "example.py"},
    "not_found": {"reason": "The DAG 'example_dag' no longer exists."},
    "not_supported": {"operation": "dag_source", "reason": "Airflow 2 stores no versions of a DAG."},
    "operation_not_found": {"operation": "list_dag", "nearest": "list_dags"},
    "page_not_found": {"path": "/native_api/v2"},
    "path_outside_daemons_dir": {"file": "../scheduler.pid"},
    "path_outside_dag_folders": {"path": "../example.py"},
    "path_outside_files_dir": {"file": "../example.json"},
    "pool_not_found": {"name": "reports"},
    "pools_exist": {"keys": ["reports"]},
    "refused": {"reason": "Another call has written the same thing meanwhile."},
    "sandbox_unavailable": {"reason": "Airflow was not imported within 120 s."},
    "sensitive_value": {"permission": "edit the variable 'greeting'"},
    "sensitive_value_for_token": {
        "effect": "write",
        "doing": "write to the database",
        "option": "[native_api] token_effects",
    },
    "task_instance_busy": {"state": "running"},
    "task_instance_not_found": {"map_index": 7, "last_map_index": 2},
    "too_many_bodies": {"option": "[native_api] bodies"},
    "unauthorized": {"reason": "No credentials were sent."},
}


def example(error: Type[NativeApiError]) -> NativeApiError:
    """Return an example of the error."""
    own = _OF_CODE.get(error.code, {})
    data: Dict[str, object] = {
        field.name: own.get(field.name, _DATA.get(field.name))
        for field in dataclasses.fields(error)
        if field.name in own or field.default is dataclasses.MISSING
    }
    return error(**data)
