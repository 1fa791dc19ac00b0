"""The one table from the exceptions of Airflow and its database to our errors."""

from __future__ import annotations

from functools import lru_cache
from importlib import import_module
from typing import Callable, Optional, Tuple, Type

from native_api.errors import DatabaseUnavailable, Invalid, Missing, NativeApiError, Refused

Translation = Callable[[BaseException], NativeApiError]

#: The first row whose class the exception is an instance of decides. A class is looked for in the places that it has
#: had, the newest first; one that this Airflow lacks is passed over.
TABLE: Tuple[Tuple[str, Translation], ...] = (
    # 3.2 moved it to the task SDK.
    (
        "airflow.sdk.exceptions:ParamValidationError airflow.exceptions:ParamValidationError",
        lambda exc: Invalid({"conf": [str(exc)]}),
    ),
    ("airflow.exceptions:DagRunAlreadyExists", lambda exc: Refused(str(exc))),
    ("airflow.exceptions:AirflowNotFoundException", lambda exc: Missing(str(exc))),
    (
        "cryptography.fernet:InvalidToken",
        lambda exc: Refused("What is stored was encrypted with a key that is not in [core] fernet_key."),
    ),
    ("sqlalchemy.exc:DataError", lambda exc: Invalid({"arguments": ["The database cannot hold one of the values."]})),
    ("sqlalchemy.exc:IntegrityError", lambda exc: Refused("Another call has written the same thing meanwhile.")),
    ("sqlalchemy.exc:OperationalError", lambda exc: DatabaseUnavailable()),
    ("sqlalchemy.exc:InterfaceError", lambda exc: DatabaseUnavailable()),
    ("sqlalchemy.exc:TimeoutError", lambda exc: DatabaseUnavailable()),
)


@lru_cache(maxsize=None)
def foreign() -> Tuple[Type[BaseException], ...]:
    """Return the classes that :func:`translate` knows."""
    return tuple(found for found in (_load(places) for places, _ in TABLE) if found)


def translate(exc: BaseException) -> Optional[NativeApiError]:
    """Return our error for Airflow's or the database's, or None where the table has no row for it."""
    for places, translation in TABLE:
        found = _load(places)
        if found and isinstance(exc, found):
            return translation(exc)
    return None


@lru_cache(maxsize=None)
def _load(places: str) -> Optional[Type[BaseException]]:
    for place in places.split():
        module, _, name = place.partition(":")
        try:
            found: Optional[Type[BaseException]] = getattr(import_module(module), name, None)
        except ModuleNotFoundError:
            continue
        if found:
            return found
    return None
