"""The one table from the exceptions of Airflow and its database to our errors."""

from __future__ import annotations

import logging
from functools import lru_cache
from importlib import import_module
from typing import Callable, Iterator, Optional, Tuple, Type

from native_api.errors import DatabaseUnavailable, Invalid, Missing, NativeApiError, Refused

log = logging.getLogger(__name__)

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


#: What the database says of a statement that failed; its text has the statement's parameters in it.
_STATEMENT = "sqlalchemy.exc:StatementError"


@lru_cache(maxsize=None)
def foreign() -> Tuple[Type[BaseException], ...]:
    """Return the classes that :func:`translate` knows, and that of statements that failed."""
    known = (*(places for places, _ in TABLE), _STATEMENT)
    return tuple(found for found in map(_load, known) if found)


def hide_parameters(exc: BaseException) -> None:
    """Keep the parameters of statements, which may be secrets, out of the text of the error and of what led to it."""
    statement_error = _load(_STATEMENT)
    for linked in _chain(exc):
        if statement_error and isinstance(linked, statement_error):
            linked.hide_parameters = True  # type: ignore[attr-defined]


def report(exc: BaseException) -> None:
    """Log the failure of a statement that the caller is only given a sentence for, by its first line."""
    statement_error = _load(_STATEMENT)
    if statement_error and isinstance(exc, statement_error):
        # PostgreSQL's next line is the whole row.
        reason = str(getattr(exc, "orig", exc)).partition("\n")[0]
        log.warning("%s: %s [%s]", type(exc).__name__, reason, getattr(exc, "statement", None))


def _chain(exc: Optional[BaseException]) -> Iterator[BaseException]:
    seen = set()
    while exc is not None and id(exc) not in seen:
        seen.add(id(exc))
        yield exc
        exc = exc.__cause__ or exc.__context__


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
