"""dag_report: how the DAG files load."""

from __future__ import annotations

import re
import shutil
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Dict, Iterator, List

import pytest

import native_api
from native_api import errors
from tests.support import airflow_under_test
from tests.support.airflow_under_test import DAGS
from tests.support.versions import by_default_on

pytestmark = by_default_on("2.9", "2.10", "3.0", "3.1")

HARD = {
    "good.py": "from airflow import DAG\nfirst = DAG('report_first')\nsecond = DAG('report_second')\n",
    "raises.py": "from airflow import DAG\n\n1 / 0\n",
    "no_python.py": "from airflow import DAG\ndef (:\n",
    "leaves.py": "import sys\nfrom airflow import DAG\nsys.exit(3)\n",
    "interrupts.py": "from airflow import DAG\nraise KeyboardInterrupt\n",
    "crashes.py": "import os\nfrom airflow import DAG\nos._exit(7)\n",
    "killed.py": "import os, signal\nfrom airflow import DAG\nos.kill(os.getpid(), signal.SIGKILL)\n",
    "hangs.py": (
        "import time\nfrom airflow import DAG\n"
        "while True:\n    try:\n        time.sleep(60)\n    except BaseException:\n        pass\n"
    ),
    "cycle.py": (
        "import datetime\nfrom airflow import DAG\n"
        "try:\n    from airflow.providers.standard.operators.empty import EmptyOperator\n"
        "except ImportError:\n    from airflow.operators.empty import EmptyOperator\n"
        "with DAG('report_cycle', start_date=datetime.datetime(2024, 1, 1)):\n"
        "    a, b = EmptyOperator(task_id='a'), EmptyOperator(task_id='b')\n"
        "    a >> b >> a\n"
    ),
    "no_dag.py": "VALUE = 1\n",
    "ignored.py": "from airflow import DAG\nnever = DAG('report_never')\n",
    ".airflowignore": "ignored.py\n",
}


@pytest.fixture(scope="module")
def folder(airflow: Any) -> Iterator[Path]:
    """A folder with a file for each possible outcome."""
    made = DAGS / "hard"
    made.mkdir()
    for name, text in HARD.items():
        (made / name).write_text(text, encoding="utf-8")
    yield made
    shutil.rmtree(made)


@pytest.fixture(scope="module")
def reported(folder: Path) -> Dict[str, Any]:
    """The report on that folder."""
    response: Dict[str, Any] = native_api.call("dag_report", subdir=str(folder), file_seconds=3)
    return response


def entry(reported: Dict[str, Any], name: str) -> Dict[str, Any]:
    (found,) = (file for file in reported["files"] if file["file"] == str(DAGS / "hard" / name))
    return dict(found)


def test_the_files_are_those_that_airflow_parses(reported: Dict[str, Any]) -> None:
    """Not those that .airflowignore excludes, nor those without the words dag and airflow."""
    names = {Path(file["file"]).name for file in reported["files"]}
    assert names == set(HARD) - {"ignored.py", "no_dag.py", ".airflowignore"}
    assert reported["total_entries"] == len(names)


def test_a_loaded_file_has_its_dags_and_its_duration(reported: Dict[str, Any]) -> None:
    good = entry(reported, "good.py")
    assert (good["outcome"], good["dag_ids"], good["task_count"]) == ("loaded", ["report_first", "report_second"], 0)
    assert (good["import_errors"], good["exit_code"]) == ([], None)
    assert good["seconds"] > 0
    assert reported["dag_count"] == 2


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("raises.py", r'File ".*raises\.py", line 3.*ZeroDivisionError: division by zero'),
        ("no_python.py", r"SyntaxError"),
        ("leaves.py", r'File ".*leaves\.py", line 3.*SystemExit: 3'),
        ("interrupts.py", r'File ".*interrupts\.py", line 2.*KeyboardInterrupt'),
        ("cycle.py", r"[Cc]ycle"),
    ],
)
def test_a_file_with_an_import_error_has_its_stack_trace(reported: Dict[str, Any], name: str, says: str) -> None:
    """On every Airflow; in older ones sys.exit ends the whole parsing."""
    broken = entry(reported, name)
    assert (broken["outcome"], broken["dag_ids"]) == ("import_error", [])
    (error,) = broken["import_errors"]
    assert error["file"] == broken["file"]
    assert re.search(says, error["stacktrace"], re.DOTALL)


@pytest.mark.parametrize(
    ("name", "outcome", "exit_code", "says"),
    [
        ("crashes.py", "crashed", 7, "exit code 7"),
        ("killed.py", "crashed", -9, "signal 9"),
        ("hangs.py", "timeout", -9, "did not load within its timeout of 3 s"),
    ],
)
def test_a_crash_or_a_timeout_is_an_outcome_of_the_file(
    reported: Dict[str, Any], name: str, outcome: str, exit_code: int, says: str
) -> None:
    broken = entry(reported, name)
    assert (broken["outcome"], broken["exit_code"]) == (outcome, exit_code)
    assert says in broken["import_errors"][0]["stacktrace"]


def test_nothing_is_stored(reported: Dict[str, Any]) -> None:
    ids = [dag["dag_id"] for dag in native_api.call("list_dags", limit=1000)["dags"]]
    assert not [dag_id for dag_id in ids if dag_id.startswith("report_")]


def test_subdir_can_be_one_file(fresh: Any) -> None:
    reported = native_api.call("dag_report", subdir="DAGS_FOLDER/wire_dag.py")
    assert [file["file"] for file in reported["files"]] == [str(DAGS / "wire_dag.py")]
    assert (reported["dag_count"], reported["task_count"], reported["import_error_count"]) == (1, 3, 0)


HANGS = "import time\nfrom airflow import DAG\ntime.sleep(600)\n"
SECRET = """
from airflow import DAG
from airflow.models import Variable
password = Variable.get("db_password")
raise ValueError("cannot log in with " + password)
"""


@contextmanager
def files(**texts: str) -> Iterator[Path]:
    """A folder in the DAGs folder with those files."""
    made = DAGS / "more"
    made.mkdir()
    for name, text in texts.items():
        (made / f"{name}.py").write_text(text, encoding="utf-8")
    try:
        yield made
    finally:
        # What a refresh has written of them is taken back.
        for name in texts:
            (made / f"{name}.py").write_text("from airflow import DAG\n", encoding="utf-8")
        native_api.call("refresh_all_dags", subdir=str(made))
        shutil.rmtree(made)


@pytest.mark.parametrize("operation", ["dag_report", "refresh_all_dags"])
def test_files_that_hang_do_not_affect_the_others(operation: str, monkeypatch: Any, fresh: Any) -> None:
    """Also if they need all of the job's time."""
    with files(a=HANGS, b=HANGS, c=HANGS, d=HARD["good.py"]) as folder, monkeypatch.context() as context:
        context.setenv("AIRFLOW__NATIVE_API__JOB_SECONDS", "8")
        result = native_api.call(operation, subdir=str(folder))
    outcomes = {Path(file["file"]).stem: file["outcome"] for file in result["files"]}
    assert outcomes == {"a": "timeout", "b": "timeout", "c": "timeout", "d": "loaded"}
    assert result["import_error_count"] == 3
    for dag_id in result.get("added", []):
        native_api.call("delete_dag", dag_id=dag_id)


@pytest.mark.parametrize("operation", ["dag_report", "refresh_all_dags"])
def test_secrets_are_masked(operation: str, fresh: Any) -> None:
    """Also those that the file has read."""
    native_api.call("set_variable", key="db_password", value="hunter2hunter2")
    with files(secret=SECRET) as folder:
        result = native_api.call(operation, subdir=str(folder))
    (file,) = result["files"]
    assert "hunter2" not in str(result)
    assert "ValueError: cannot log in with ***" in file["import_errors"][0]["stacktrace"]


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ({"subdir": "/etc"}, errors.OutsideFolders),
        ({"subdir": "../.."}, errors.OutsideFolders),
        ({"subdir": "no_such_folder"}, errors.Invalid),
        ({"bundle": "no_such_bundle"}, errors.Invalid),
        ({"file_seconds": 0}, errors.Invalid),
    ],
)
def test_an_invalid_argument_is_an_error(fresh: Any, arguments: Dict[str, Any], error: Any) -> None:
    with pytest.raises(error):
        native_api.call("dag_report", **arguments)


@pytest.mark.skipif(airflow_under_test.version() < (3, 0), reason="Airflow 2 has no bundles")
def test_a_report_can_be_limited_to_a_bundle(fresh: Any) -> None:
    reported = native_api.call("dag_report", bundle="dags-folder", subdir="wire_dag.py")
    assert [file["bundle_name"] for file in reported["files"]] == ["dags-folder"]
    assert native_api.call("dag_report", bundle="example_dags", subdir="wire_dag.py")["files"] == []


def test_async_returns_202_and_a_job(web: Any) -> None:
    response = web.request(
        "POST", "/native_api/v1/dag_report", json={"subdir": str(DAGS / "wire_dag.py"), "async": True}
    )
    assert response.status == 202
    assert response.json["operation"] == "job_state"
    from tests.support import jobs_under_test

    job_state = jobs_under_test.wait(response.json["job_id"])
    assert job_state["state"] == "success"
    assert job_state["result"]["dag_count"] == 1


def test_the_legacy_output_is_a_table_like_airflow_1_10(web: Any) -> None:
    response = web.legacy("list_dags", report="on", subdir=str(DAGS / "wire_dag.py"))
    lines: List[str] = response.json["output"]["stdout"].split("\n")
    rule = "-" * 67
    assert lines[:8] == ["", "", rule, "DAGS", rule, "wire_dag", "", ""]
    assert lines[8:13] == ["", rule, f"DagBag loading stats for {DAGS / 'wire_dag.py'}", rule, "Number of DAGs: 1"]
    assert lines[13] == "Total task number: 3"
    assert re.fullmatch(r"DagBag parsing time: \d+\.\d{6}", lines[14])
    assert re.fullmatch(r"-+-\+-+-\+-+-\+-+-\+-+", lines[15])
    assert re.fullmatch(r"file +\| duration +\| dag_num \| task_num \| dags +", lines[16])
    assert re.fullmatch(r" +\| 0:00:0\d(\.\d+)? +\|       1 \|        3 \| \['wire_dag'\]", lines[18])
    assert lines[19] == lines[15] == lines[17]
    assert lines[20:] == ["", "", ""]
