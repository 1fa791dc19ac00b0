"""The versions of Airflow in the OpenAPI document are those on which an argument or a field has an effect."""

from __future__ import annotations

from typing import Any, Dict, Tuple

import pytest

import native_api.adapters.catalogue  # noqa: F401
from native_api import registry
from native_api.adapters.compat import airflow as this_airflow
from native_api.adapters.daemons.commands import DAEMONS
from native_api.adapters.fields.versions import EXTENSION
from tests.support.version_marks import DOCUMENT, includes_this_airflow, named_schema

DATES = {"dag_id": "daily", "from_date": "2024-01-01", "to_date": "2024-01-03", "dry_run": True}
DEPLOYMENT = {"dag_file": "RATE = 1\n", "path": "new_rates.py", "allow_empty": True, "dry_run": True}
BUNDLE = {"bundle": "dags-folder"}

#: A call with each of the marked arguments.
CALLS: Dict[Tuple[str, str], Dict[str, Any]] = {
    ("backfill_dag", "local"): {**DATES, "local": True},
    ("backfill_dag", "max_active_runs"): {**DATES, "max_active_runs": 2},
    ("clear_tasks", "exclude_parentdag"): {"dag_id": "wire_dag", "exclude_parentdag": True},
    ("clear_tasks", "exclude_subdags"): {"dag_id": "wire_dag", "exclude_subdags": True},
    ("dag_report", "bundle"): {"subdir": "DAGS_FOLDER/wire_dag.py", **BUNDLE},
    ("dag_source", "version_number"): {"dag_id": "wire_dag", "version_number": 1},
    ("delete_dag_file", "bundle"): {"path": "no_such_file.py", **BUNDLE},
    ("deploy_dag", "bundle"): {**DEPLOYMENT, **BUNDLE},
    ("list_import_errors", "bundle"): BUNDLE,
    ("refresh_all_dags", "bundle"): {"subdir": "DAGS_FOLDER/wire_dag.py", **BUNDLE},
    ("rollback_dag", "bundle"): {"path": "no_such_file.py", **BUNDLE},
}


def arguments_of(operation: str) -> Dict[str, Dict[str, Any]]:
    """Return the schemas of an operation's arguments."""
    (described,) = DOCUMENT["paths"][f"/{operation}"].values()
    if "requestBody" not in described:
        return {parameter["name"]: parameter["schema"] for parameter in described.get("parameters", ())}
    (content,) = described["requestBody"]["content"].values()
    arguments: Dict[str, Dict[str, Any]] = named_schema(content["schema"])["properties"]
    return arguments


MARKED = {
    (operation.name, name): schema[EXTENSION]
    for operation in registry.every()
    for name, schema in arguments_of(operation.name).items()
    if EXTENSION in schema
}


def test_every_argument_with_versions_is_tested() -> None:
    assert {key for key in MARKED if key[0] != "start_daemon"} == set(CALLS)


@pytest.mark.parametrize("operation, argument", [pytest.param(*key, id=" ".join(key)) for key in CALLS])
def test_an_argument_has_an_effect_on_its_versions_only(web: Any, operation: str, argument: str) -> None:
    """On others it is refused, or ignored with a warning."""
    response = web.typed(operation, **CALLS[operation, argument])
    body = response.json
    named = (
        argument in body.get("errors", {})
        or body.get("argument") == argument
        or body.get("code") == "not_supported"
        or any(f"'{argument}'" in warning for warning in body.get("warnings", ()))
    )
    assert named != includes_this_airflow(MARKED[operation, argument]), response.text


@pytest.mark.parametrize("argument", sorted({name for daemon in DAEMONS.values() for name in daemon.flags}))
def test_an_argument_of_a_daemon_is_a_flag_on_its_versions_only(argument: str) -> None:
    """Of at least one command of Airflow; those of the Celery provider do not depend on Airflow's version."""
    known = {name: this_airflow().daemons.flags(daemon.words) for name, daemon in DAEMONS.items() if daemon.words}
    of_airflow = {
        name: flags for name, flags in known.items() if flags is not None and DAEMONS[name].words[0] != "celery"
    }
    has_flag = [
        DAEMONS[name].flags[argument] in flags for name, flags in of_airflow.items() if argument in DAEMONS[name].flags
    ]
    others = {name for name in DAEMONS if argument in DAEMONS[name].flags} - set(of_airflow)
    if others and ("start_daemon", argument) not in MARKED:
        return
    assert any(has_flag) == includes_this_airflow(MARKED.get(("start_daemon", argument), ">=0"))


def test_a_dag_has_the_name_of_its_bundle_on_airflow_3(web: Any) -> None:
    """So the field is not always null."""
    (found,) = web.typed("list_dags", dag_id_pattern="wire_dag").json["dags"]
    assert (found["bundle_name"] is not None) == includes_this_airflow(">=3.0")
