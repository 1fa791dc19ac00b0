"""The one table from the exceptions of Airflow and its database to our errors."""

from __future__ import annotations

from importlib import import_module
from typing import Callable, Optional, Tuple, Type

from native_api.errors import DatabaseUnavailable, Invalid, Missing, NativeApiError, Refused

Translation = Callable[[BaseException], NativeApiError]

#: The first row whose class the exception is an instance of decides. A class that a version lacks is passed over.
TABLE: Tuple[Tuple[str, Translation], ...] = (
    ("airflow.exceptions:ParamValidationError", lambda exc: Invalid({"conf": [str(exc)]})),
    ("airflow.exceptions:DagRunAlreadyExists", lambda exc: Refused(str(exc))),
    ("airflow.exceptions:AirflowNotFoundException", lambda exc: Missing(str(exc))),
    ("sqlalchemy.exc:IntegrityError", lambda exc: Refused("Another call has written the same thing meanwhile.")),
    ("sqlalchemy.exc:OperationalError", lambda exc: DatabaseUnavailable()),
    ("sqlalchemy.exc:InterfaceError", lambda exc: DatabaseUnavailable()),
    ("sqlalchemy.exc:TimeoutError", lambda exc: DatabaseUnavailable()),
)


def foreign() -> Tuple[Type[BaseException], ...]:
    """Return the classes that :func:`translate` knows."""
    return tuple(found for found in (_load(path) for path, _ in TABLE) if found)


def translate(exc: BaseException) -> Optional[NativeApiError]:
    """Return our error for Airflow's or the database's, or None where the table has no row for it."""
    for path, translation in TABLE:
        found = _load(path)
        if found and isinstance(exc, found):
            return translation(exc)
    return None


def _load(path: str) -> Optional[Type[BaseException]]:
    module, _, name = path.partition(":")
    return getattr(import_module(module), name, None)
