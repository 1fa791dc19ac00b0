"""The one table from the exceptions of Airflow and its database to our errors."""

from __future__ import annotations

import logging
from functools import lru_cache
from importlib import import_module
from typing import Any, Callable, Iterator, Optional, Tuple, Type

from native_api.errors import DatabaseBusy, DatabaseUnavailable, Invalid, Missing, NativeApiError, Refused

log = logging.getLogger(__name__)

Translation = Callable[[BaseException], Optional[NativeApiError]]

#: The first row with a class of the exception applies. A class is looked up in all modules that it has had, the
#: newest first; classes that this Airflow does not have are skipped.
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
    ("sqlalchemy.exc:DataError", lambda exc: _cannot_take()),
    ("sqlalchemy.exc:IntegrityError", lambda exc: Refused("Another call has written the same thing meanwhile.")),
    ("sqlalchemy.exc:DBAPIError", lambda exc: _of_database(exc)),
    ("sqlalchemy.exc:TimeoutError", lambda exc: DatabaseUnavailable()),
)

#: How drivers report that a value, or the number of values, exceeds what the database accepts. They raise the same
#: class for a lost connection. SQLite and psycopg have messages, PostgreSQL has an SQLSTATE, MySQL a number.
_OF_VALUES = (
    "pattern too complex",
    "too many sql variables",
    "too many terms",
    "expression tree is too large",
    "parser stack overflow",
    "string or blob too big",
    "integer overflow",
    "binding parameter",
    "number of parameters",
    "number of query arguments",
)
#: 22: data exception; 54: program limit exceeded.
_STATES_OF_VALUES = ("22", "54")
#: Packet too large, out of range, invalid character, too long, too many placeholders, invalid JSON, invalid pattern.
_NUMBERS_OF_VALUES = frozenset(
    (1139, 1153, 1264, 1292, 1366, 1390, 1406, 1436, 2020, *range(3140, 3160), *range(3685, 3700))
)

#: Transactions that wait for one another, of which the database has cancelled this one, and one that could not be
#: serialized.
_STATES_OF_DEADLOCKS = ("40P01", "40001")
_NUMBER_OF_DEADLOCKS = 1213
#: The wait for a lock was too long. SQLite has a message.
_STATE_OF_LOCKS = "55P03"
_NUMBERS_OF_LOCKS = frozenset((1205, 3572))
_OF_LOCKS = "database is locked"


def _of_database(exc: BaseException) -> Optional[NativeApiError]:
    """Return our error for what a driver raised, or None for a wrong statement."""
    if getattr(exc, "connection_invalidated", False):
        return _unavailable(exc)
    cause: Any = getattr(exc, "orig", None)
    if _is_about_values(cause):
        return _cannot_take()
    return _busy(cause) or _unavailable(exc)


def _state(cause: Any) -> str:
    """Return the SQLSTATE of what PostgreSQL's drivers raise, else an empty text."""
    return str(getattr(cause, "pgcode", None) or getattr(cause, "sqlstate", None) or "")


def _number(cause: Any) -> Optional[int]:
    """Return the number of what MySQL's drivers raise, else None."""
    has_number = isinstance(cause, BaseException) and cause.args and isinstance(cause.args[0], int)
    return cause.args[0] if has_number else None


def _busy(cause: Any) -> Optional[NativeApiError]:
    """Return DatabaseBusy for a deadlock, and for a wait for a lock that was too long, else None."""
    state, number = _state(cause), _number(cause)
    # SQLite does not let writers take turns: some wait for 5 seconds while others are done.
    is_locked = not state and number is None and _OF_LOCKS in str(cause).lower()
    is_repeatable = state in _STATES_OF_DEADLOCKS or number == _NUMBER_OF_DEADLOCKS or is_locked
    has_waited = state == _STATE_OF_LOCKS or number in _NUMBERS_OF_LOCKS
    return DatabaseBusy(is_repeatable=is_repeatable) if is_repeatable or has_waited else None


def _cannot_take() -> Invalid:
    return Invalid({"arguments": ["The database cannot take one of the values, or so many of them."]})


def _is_about_values(cause: Any) -> bool:
    """Return whether a driver refused what the caller sent, rather than being without its server."""
    state, number = _state(cause), _number(cause)
    if state:
        return state[:2] in _STATES_OF_VALUES
    if number is not None:
        return number in _NUMBERS_OF_VALUES
    return any(words in str(cause).lower() for words in _OF_VALUES)


def _unavailable(exc: BaseException) -> Optional[NativeApiError]:
    """Return DatabaseUnavailable for an unavailable database; None for a wrong statement, which is a bug."""
    unavailable = (_load(f"sqlalchemy.exc:{name}") for name in ("OperationalError", "InterfaceError"))
    return DatabaseUnavailable() if any(found and isinstance(exc, found) for found in unavailable) else None


#: The error of a failed statement, whose text contains the parameters of the statement.
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
        # The next line of PostgreSQL's message has the whole row.
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
