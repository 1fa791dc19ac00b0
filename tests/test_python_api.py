"""The Python API."""

from __future__ import annotations

import datetime
import io
import json
import subprocess
import sys
from pathlib import Path
from typing import Any, Dict

import pytest

import native_api
from native_api import dispatch, errors, registry
from tests.support import jobs_under_test

DATE = "2026-03-01T00:00:00+00:00"


def listed() -> Dict[str, Any]:
    """Return the listed operations by name."""
    return {operation["name"]: operation for operation in native_api.operations()}


def test_operations_are_listed(airflow: Any) -> None:
    """With their effects and arguments, which are JSON."""
    found = listed()
    assert [*found] == [operation.name for operation in registry.every()]
    trigger = found["trigger_dag"]
    assert (trigger["effect"], trigger["summary"]) == ("write", registry.get("trigger_dag").summary)
    dag_id = next(argument for argument in trigger["arguments"] if argument["name"] == "dag_id")
    assert (dag_id["type"], dag_id["required"], dag_id["description"]) == ("string", True, "The dag_id of the DAG.")
    background = next(argument for argument in found["test_task"]["arguments"] if argument["name"] == "in_background")
    assert (background["type"], background["required"], background["default"]) == ("boolean", False, False)
    assert json.loads(json.dumps(native_api.operations())) == native_api.operations()


def test_the_listed_arguments_are_accepted(airflow: Any) -> None:
    """Among them those of every operation's example."""
    for name, operation in listed().items():
        arguments = {argument["name"] for argument in operation["arguments"]}
        assert {"in_background" if word == "async" else word for word in registry.get(name).example} <= arguments
        assert {argument["name"] for argument in operation["arguments"] if argument["required"]} <= arguments


def test_importing_native_api_imports_little() -> None:
    """Airflow loads the plugin in each process."""
    script = (
        "import sys, native_api; before = {*sys.modules}; native_api.operations; "
        "print([name for name in ('marshmallow', 'native_api.registry') if name in before]); "
        "print(callable(native_api.operations), hasattr(native_api, 'nothing'))"
    )
    printed = subprocess.run([sys.executable, "-c", script], check=True, stdout=subprocess.PIPE).stdout.decode()
    assert printed.split("\n")[:2] == ["[]", "True False"]


@pytest.mark.parametrize(
    "date",
    [
        pytest.param(datetime.date(2026, 3, 1), id="date"),
        pytest.param(datetime.datetime(2026, 3, 1), id="naive"),
        pytest.param(
            datetime.datetime(2026, 3, 1, 1, tzinfo=datetime.timezone(datetime.timedelta(hours=1))), id="aware"
        ),
        pytest.param(DATE, id="text"),
    ],
)
def test_dates_can_be_objects(date: Any, fresh: Any) -> None:
    """Also in a conf."""
    conf = {"day": datetime.date(2026, 3, 1), "days": (datetime.date(2026, 3, 2),)}
    run = native_api.call("trigger_dag", dag_id="wire_dag", logical_date=date, conf=conf)
    assert run["logical_date"] == DATE
    assert run["conf"] == {"day": "2026-03-01", "days": ["2026-03-02"]}


def files(tmp_path: Path) -> Dict[str, Any]:
    """Return the same file in each accepted form."""
    path = tmp_path / "new_rates.py"
    path.write_text("RATE = 1\n")
    return {"a path": path, "open": path.open("rb"), "open for text": path.open()}


@pytest.mark.parametrize("kind", ["a path", "open", "open for text"])
def test_files_can_be_paths_or_open_files(kind: str, no_loose_ends: None, tmp_path: Path) -> None:
    """The name of the file is the path of its deployment."""
    for name, file in files(tmp_path).items():
        if name == kind:
            done = native_api.call("deploy_dag", dag_file=file, allow_empty=True, dry_run=True)
            assert (done["path"], done["bytes"]) == ("new_rates.py", 9)
        if name != "a path":
            file.close()


def test_a_file_can_have_no_name(fresh: Any) -> None:
    native_api.call("import_variables", variables=io.StringIO('{"a": "1"}'))
    assert native_api.call("get_variable", key="a")["value"] == "1"


def test_a_path_is_text_for_an_argument_that_takes_no_file(fresh: Any) -> None:
    """As that of a file on the server."""
    assert native_api.call("list_dags", subdir=Path("DAGS_FOLDER/wire_dag.py"))["total_entries"] == 1
    with pytest.raises(errors.Invalid, match="dag_id: Does not accept a file"):
        native_api.call("pause_dag", dag_id=io.StringIO("wire_dag"))


def test_in_background_is_another_name_of_async(fresh: Any) -> None:
    """The arguments in job_state can be passed to call() again."""
    named = {"dag_id": "trials", "task_id": "pushes", "logical_date": datetime.date(2026, 3, 1)}
    accepted = native_api.call("test_task", **named, in_background=True)
    jobs_under_test.wait(accepted["job_id"], "success")
    arguments = native_api.call("job_state", job_id=accepted["job_id"])["arguments"]
    assert arguments["async"] is True
    again = native_api.call("test_task", **arguments)
    jobs_under_test.wait(again["job_id"], "success")
    assert native_api.call("job_state", job_id=again["job_id"])["arguments"] == arguments


def test_both_names_of_an_argument_are_an_error(airflow: Any) -> None:
    with pytest.raises(errors.Invalid, match="in_background: Is an alias of 'async'"):
        native_api.call("test_task", dag_id="trials", task_id="pushes", in_background=True, **{"async": False})


def test_the_stored_arguments_of_a_job_can_be_loaded(airflow: Any) -> None:
    """For every operation."""
    for operation in registry.every():
        if "in_background" in operation.request.fields:
            shown = json.loads(
                json.dumps(dispatch._by_data_key(operation, dispatch.load(operation, operation.example)), default=str)
            )
            assert "in_background" not in shown
            dispatch.load(operation, shown)
