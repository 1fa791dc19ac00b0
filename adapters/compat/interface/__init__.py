"""
What compat offers for an Airflow, whichever it is.

Each module is a topic, with an abstract class that :mod:`~native_api.adapters.compat.airflow2` and
:mod:`~native_api.adapters.compat.airflow3` implement. A method that has a body here is the same on every Airflow; where
a version changes it, that generation overrides it.
"""

from __future__ import annotations

from typing import NamedTuple, Tuple, Type

from native_api.adapters.compat.interface.airflow import Airflow
from native_api.adapters.compat.interface.backfills import Backfills
from native_api.adapters.compat.interface.daemons import Daemons
from native_api.adapters.compat.interface.dag_files import DagFiles
from native_api.adapters.compat.interface.logs import Logs
from native_api.adapters.compat.interface.rights import Rights
from native_api.adapters.compat.interface.running import Running
from native_api.adapters.compat.interface.test_runs import TestRuns
from native_api.adapters.compat.interface.user_code import UserCode

__all__ = ["Airflow", "Implementation", "Table"]


class Implementation(NamedTuple):
    """What implements each topic: a row in the table of a generation."""

    #: The first minor version that the row is for.
    since: Tuple[int, int]
    airflow: Type[Airflow]
    rights: Type[Rights]
    logs: Type[Logs]
    user_code: Type[UserCode]
    running: Type[Running]
    test_runs: Type[TestRuns]
    backfills: Type[Backfills]
    dag_files: Type[DagFiles]
    daemons: Type[Daemons] = Daemons

    def assembled(self) -> Airflow:
        """Return the implementation of the row, with its topics."""
        airflow = self.airflow()
        for topic in self._fields[2:]:
            setattr(airflow, topic, getattr(self, topic)())
        return airflow


#: The rows of a generation, the newest first.
Table = Tuple[Implementation, ...]
