"""The commands of daemons."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any, Dict, List

import pytest

import native_api
from native_api.adapters.compat import airflow
from native_api.adapters.daemons import folder
from tests.daemons.stand_ins import read_log, start
from tests.support import airflow_under_test
from tests.support.problems import assert_problem


class TestCommands:
    """The command is a list of arguments, with the flags of this version of Airflow."""

    #: (daemon, arguments, words after airflow, the arguments that this Airflow no longer has)
    OLD = airflow_under_test.version() < (3, 0)
    CASES = [
        pytest.param(
            "scheduler",
            {"num_runs": 3, "do_pickle": True, "dag_id": "d", "run_duration": 9, "subdir": "DAGS_FOLDER"},
            ["scheduler", *([f"--subdir={airflow_under_test.DAGS}"] if OLD else []), "--num-runs=3"]
            + (["--do-pickle"] if OLD else []),
            {"dag_id", "run_duration"} | (set() if OLD else {"subdir", "do_pickle"}),
            id="scheduler",
        ),
        pytest.param(
            "kerberos",
            {"principal": "a/b@C", "keytab": "/k"},
            ["kerberos", "--keytab=/k", "a/b@C"],
            set(),
            id="kerberos",
        ),
        pytest.param(
            "triggerer",
            {"capacity": 7, "skip_serve_logs": True},
            ["triggerer", "--capacity=7", "--skip-serve-logs"],
            set(),
            id="triggerer",
        ),
        pytest.param("dag_processor", {"num_runs": -1}, ["dag-processor", "--num-runs=-1"], set(), id="dag processor"),
    ]

    @pytest.mark.parametrize("daemon, arguments, words, lost", CASES)
    def test_the_command_has_the_flags_of_this_airflow(
        self, fresh: Any, daemon: str, arguments: Dict[str, Any], words: List[str], lost: Any
    ) -> None:
        response = start(daemon, **arguments)
        assert response["command"] == [sys.executable, "-m", "airflow", *words]
        warnings = response.get("warnings", [])
        assert {warning.split("'")[1] for warning in warnings} == lost
        assert all("Ignored the argument" in warning and " has no --" in warning for warning in warnings)

    def test_serve_logs_is_a_function_of_airflow(self, fresh: Any, web: Any) -> None:
        response = start("serve_logs", port=8790)
        assert response["command"][1:] == [
            "-c",
            "from airflow.utils.serve_logs import serve_logs; serve_logs(port=8790)",
        ]

    def test_a_missing_package_is_501_with_its_name(self, fresh: Any, web: Any) -> None:
        response = web.typed("start_daemon", daemon="worker")
        assert_problem(response, 501)
        assert "apache-airflow-providers-celery" in response.json["detail"]
        assert "celery is not installed" in response.json["detail"]
        assert web.legacy("flower").status == 501
        assert native_api.call("list_daemons")["total_entries"] == 0

    @pytest.mark.parametrize(
        "arguments",
        [
            {},
            {"daemon": "webserver"},
            {"daemon": "scheduler", "queues": "q"},
            {"daemon": "scheduler", "num_runs": "x"},
            {"daemon": "kerberos", "principal": "--keytab=/etc/x"},
            {"daemon": "kerberos", "principal": "a\0b"},
            {"daemon": "kerberos", "keytab": "a\nb"},
            {"daemon": "scheduler", "name": "../x"},
            {"daemon": "scheduler", "name": ".x"},
            {"daemon": "scheduler", "name": "x\n"},
            {"daemon": "flower", "port": 65536},
            {"daemon": "scheduler", "wait_seconds": 61},
        ],
    )
    def test_an_invalid_argument_is_422(self, web: Any, arguments: Dict[str, Any]) -> None:
        assert_problem(web.typed("start_daemon", **arguments), 422)
        assert native_api.call("list_daemons")["total_entries"] == 0

    def test_no_shell_interprets_the_arguments(self, stand_in: Any, fresh: Any, mocker: Any) -> None:
        result = "import sys; print(sys.argv[1], 'begun', flush=True); import time; time.sleep(600)"
        stand_in(result, "$(id); `id` && id > x | 'y\" *")
        assert read_log("kerberos") == "$(id); `id` && id > x | 'y\" * begun\n"

    def test_a_subdir_outside_of_the_dag_folders_is_403(self, web: Any) -> None:
        assert_problem(web.typed("start_daemon", daemon="scheduler", subdir="/etc"), 403)

    def test_the_brokers_password_is_masked(self, web: Any, mocker: Any) -> None:
        """In the response, the record, the audit log and the command of the old protocol."""
        seam = type(airflow().daemons)
        mocker.patch.object(seam, "flags", return_value=["--broker-api"])
        mocker.patch.object(seam, "missing_package", return_value=None)
        mocker.patch("native_api.adapters.daemons.operations.monotonic", side_effect=[0, 100])
        response = web.legacy("flower", broker_api="http://ada:hunter2@broker/api")
        mocker.stopall()
        assert "hunter2" not in response.text
        assert "://ada:***@broker" in Path(folder.record_path("flower")).read_text()
        assert "://ada:***@broker" in response.json["arguments"]["broker_api"]
        (row,) = airflow_under_test.audit_rows()
        assert "://ada:***@broker" in row.extra and "hunter2" not in row.extra
