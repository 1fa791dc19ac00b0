"""
Run as a process: fill an Airflow's database with its tables, the sample DAGs and, with FAB, users.

``--no-dags`` leaves the DAGs to the scheduler.
"""

from __future__ import annotations

import contextlib
import importlib
import inspect
import sys
from typing import Any, Iterator

#: The rights of the role that is restricted to two DAGs, as FAB names them.
RESTRICTED = [
    ("can_read", "DAG:mine"),
    ("can_edit", "DAG:mine"),
    ("can_read", "DAG:team.mine"),
    ("can_edit", "DAG:team.mine"),
    ("can_read", "DAG Runs"),
    ("can_create", "DAG Runs"),
    ("can_read", "Task Instances"),
    ("can_read", "Website"),
    ("menu_access", "DAGs"),
]
#: Name and role; the password is the name.
USERS = {
    "admin": "Admin",
    "op": "Op",
    "user": "User",
    "viewer": "Viewer",
    "restricted": "Restricted",
    "nobody": "Nobody",
}


def airflow(*words: str) -> None:
    """Run a command of Airflow."""
    from airflow.cli.cli_parser import get_parser

    arguments = get_parser().parse_args(words)
    arguments.func(arguments)


def main() -> None:
    """Fill the database."""
    airflow("db", "migrate")
    if "--no-dags" not in sys.argv:
        airflow("dags", "reserialize")
        add_scheduled_run("dated")
    if "--users" in sys.argv:
        with application_builder() as builder:
            add_users(builder.sm)


def add_scheduled_run(dag_id: str) -> None:
    """Add the latest scheduled run of a DAG, as if the scheduler had created it."""
    import pendulum
    from airflow.models.dag import DagModel
    from airflow.models.serialized_dag import SerializedDagModel
    from airflow.timetables.base import DataInterval
    from airflow.utils import types
    from airflow.utils.session import create_session
    from airflow.utils.state import DagRunState

    last, following = pendulum.yesterday("UTC"), pendulum.today("UTC")
    facts = {
        "run_id": f"scheduled__{last.isoformat()}",
        "run_type": types.DagRunType.SCHEDULED,
        "state": DagRunState.SUCCESS,
        "data_interval": DataInterval(last, following),
        # As 2 has it, and as 3 has it.
        "execution_date": last,
        "logical_date": last,
        "run_after": following,
        "triggered_by": getattr(getattr(types, "DagRunTriggeredByType", None), "TIMETABLE", None),
    }
    dag = SerializedDagModel.get_dag(dag_id)
    known = inspect.signature(dag.create_dagrun).parameters
    with create_session() as session:
        dag.create_dagrun(session=session, **{name: fact for name, fact in facts.items() if name in known})
        model = session.get(DagModel, dag_id)
        model.next_dagrun = following
        model.next_dagrun_data_interval = DataInterval(following, following.add(days=1))
        model.next_dagrun_create_after = following.add(days=1)


def _application_builder_of(module: str) -> Any:
    """Return the function of a module, or None if this Airflow has no such module."""
    try:
        return importlib.import_module(module).get_application_builder
    except ModuleNotFoundError:
        return None


@contextlib.contextmanager
def application_builder() -> Iterator[Any]:
    """Return FAB's application builder, which is in the provider since Airflow 2.9, and moved in 2.8, too."""
    places = (
        "airflow.providers.fab.auth_manager.cli_commands.utils",
        "airflow.auth.managers.fab.cli_commands.utils",
        "airflow.utils.cli_app_builder",
    )
    get_application_builder = next(filter(None, map(_application_builder_of, places)))
    with get_application_builder() as builder:
        yield builder


def add_users(manager: Any) -> None:
    """Add a user for each of Airflow's roles that the tests need, and for two roles of the tests."""
    from werkzeug.security import generate_password_hash

    manager.sync_roles()
    restricted, _ = manager.add_role("Restricted"), manager.add_role("Nobody")
    for action, resource in RESTRICTED:
        manager.add_permission_to_role(restricted, manager.create_permission(action, resource))
    for name, role in USERS.items():
        # Hashed as FAB does it, a password takes a tenth of a second, at every request.
        hashed = generate_password_hash(name, "pbkdf2:sha256:1")
        role = manager.find_role(role)
        added = manager.add_user(name, name, name, f"{name}@example.org", role, hashed_password=hashed)
        assert added, name


if __name__ == "__main__":
    main()
