"""
A configuration of Airflow's logging, as deployers write one, with logs kept in another place than the worker's disk.

It stands in for the handlers of the cloud providers: on Airflow 2 a handler built on Airflow's file handler, on
Airflow 3 what reads and writes for that handler. The other place is a folder.
"""

from __future__ import annotations

import copy
import os
from pathlib import Path
from typing import Any, List, Optional, Tuple

from airflow import __version__
from airflow.config_templates.airflow_local_settings import DEFAULT_LOGGING_CONFIG
from airflow.utils.log.file_task_handler import FileTaskHandler

FOLDER = "NATIVE_API_TESTS_REMOTE_LOGS"
STREAMS = "NATIVE_API_TESTS_REMOTE_STREAMS"


class Storage:
    """A RemoteLogIO of Airflow 3."""

    processors = ()

    def upload(self, path: Any, ti: Any) -> None:
        raise NotImplementedError("The tests put the logs there themselves")

    def read(self, relative_path: str, ti: Any) -> Tuple[List[str], Optional[List[str]]]:
        file = Path(os.environ[FOLDER], relative_path)
        if not file.exists():
            return [f"Found no {file.name} in the storage"], None
        return [f"storage://{relative_path}"], [file.read_text(encoding="utf-8")]


class StreamingStorage(Storage):
    """A RemoteLogStreamIO of Airflow 3.2 and later."""

    def stream(self, relative_path: str, ti: Any) -> Any:
        sources, logs = super().read(relative_path, ti)
        return sources, [(line for line in log.splitlines()) for log in logs or []]

    def read(self, relative_path: str, ti: Any) -> Any:
        raise AssertionError("The log is to be streamed")


class Handler(FileTaskHandler):
    """A handler like those of the cloud providers on Airflow 2."""

    def _read_remote_logs(self, ti: Any, try_number: int, metadata: Any = None) -> Any:
        sources, logs = Storage().read(self._render_filename(ti, try_number), ti)
        return sources, logs or []


LOGGING_CONFIG = copy.deepcopy(DEFAULT_LOGGING_CONFIG)
if __version__ < "3":
    LOGGING_CONFIG["handlers"]["task"]["class"] = f"{__name__}.Handler"
else:
    REMOTE_TASK_LOG = StreamingStorage() if os.environ.get(STREAMS) else Storage()
