"""Airflow's daemons: what its own command line knows of them, and their heartbeats."""

from __future__ import annotations

from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, List, Optional, Sequence

from sqlalchemy import select

if TYPE_CHECKING:
    from datetime import datetime


class Daemons:
    """Every Airflow from 2.7 on: which commands and flags there are is asked of the installed command line itself."""

    #: What the web server sets in its own environment, which would be wrong in another process.
    own_variables = (
        # 3.1 and later: which secrets backends the task SDK looks into.
        "_AIRFLOW_PROCESS_CONTEXT",
        "AIRFLOW_API_APPS",
        "AIRFLOW_DEV_RELOADER_PID",
        # 2.x
        "SKIP_DAGS_PARSING",
    )

    def flags(self, words: Sequence[str]) -> Optional[List[str]]:
        """Return the flags and the names of the positional arguments of a command; None if it does not exist."""
        from airflow.cli.cli_parser import ALL_COMMANDS_DICT

        command: Any = ALL_COMMANDS_DICT.get(words[0])
        for word in words[1:]:
            command = next((found for found in getattr(command, "subcommands", ()) if found.name == word), None)
        if command is None:
            return None
        return [flag for argument in command.args for flag in argument.flags]

    def why_missing(self, words: Sequence[str]) -> str:
        """Return why a command is not there, and what would bring it."""
        command = f"'airflow {' '.join(words)}'"
        if words[0] != "celery":
            return f"This Airflow has no command {command}."
        if not _is_installed("airflow.providers.celery"):
            return f"celery is not installed: {command} needs the package apache-airflow-providers-celery."
        from airflow.configuration import conf

        # Up to 3.1 the executor brings its commands, and SQLite keeps it from being loaded on 2.x.
        return (
            f"This Airflow has no command {command}: that takes an executor that uses Celery, and one that works with "
            f"the configured database; [core] executor is {conf.get('core', 'executor')}."
        )

    def missing_package(self, words: Sequence[str]) -> Optional[str]:
        """Return the package that the command needs and that is not installed, or None."""
        if words == ("celery", "flower") and not _is_installed("flower"):
            return "flower"
        return None

    def job(self, session: Any, job_type: str, since: datetime, hostname: str) -> Any:
        """Return the newest row in which a process of that host says that it lives, begun at *since* or later."""
        from airflow.jobs.job import Job

        of_host = select(Job).where(Job.job_type == job_type, Job.hostname == hostname)
        newest = of_host.where(Job.start_date >= since).order_by(Job.latest_heartbeat.desc()).limit(1)
        return session.scalars(newest).first()


def _is_installed(module: str) -> bool:
    try:
        return find_spec(module) is not None
    except ModuleNotFoundError:
        return False
