"""Daemons in the old protocol."""

from __future__ import annotations

import sys
from typing import Any

import pytest

import native_api
from native_api import settings
from native_api.adapters.daemons import commands
from tests.daemons.stand_ins import SLEEPS


class TestLegacy:
    @pytest.mark.parametrize("name", ["kerberos", "scheduler", "serve_logs", "triggerer", "dag_processor"])
    def test_the_output_has_the_pid_and_the_log_file(self, web: Any, mocker: Any, name: str) -> None:
        mocker.patch.object(commands, "command_of", return_value=[sys.executable, "-c", SLEEPS])
        mocker.patch("native_api.adapters.daemons.operations.monotonic", side_effect=[0, 100])
        response = web.legacy(name, daemon="on", pid=f"{name}.pid", **{"log-file": f"my_{name}.log"})
        assert response.status == 200, response.text
        body = response.json
        log = f"{settings.get('daemons_dir')}/my_{name}.log"
        assert body["output"] == {
            "stdin": "",
            "stdout": f"Started {name} with pid {body['result']['pid']}, log {log}\n",
            "stderr": "",
        }
        assert body["airflow_cmd"] == (None if name == "serve_logs" else f"airflow {name.replace('_', '-')}")
        assert "warning" not in body

    def test_arguments_that_airflow_no_longer_has_get_a_warning(self, web: Any, mocker: Any) -> None:
        mocker.patch.object(commands, "command_of", return_value=[sys.executable, "-c", SLEEPS])
        mocker.patch("native_api.adapters.daemons.operations.monotonic", side_effect=[0, 100])
        response = web.legacy("scheduler", **{"run-duration": "9", "dag_id": "d", "do_pickle": "off", "x": "y"})
        assert "'run_duration'" in response.json["warning"]
        assert "'dag_id'" in response.json["warning"]
        assert "do_pickle" not in response.json["warning"]
        assert "['x']" in response.json["warning"]

    def test_a_path_outside_of_daemons_dir_is_403(self, web: Any) -> None:
        assert web.legacy("scheduler", pid="/var/run/airflow.pid").status == 403
        assert native_api.call("list_daemons")["total_entries"] == 0
