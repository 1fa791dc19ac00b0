"""Values that Airflow has encrypted with ``[core] fernet_key``, read from columns and not from Airflow's objects."""

from __future__ import annotations

from typing import Optional, Tuple, Type


def decrypted(stored: Optional[str], is_encrypted: Optional[bool]) -> Optional[str]:
    """
    Return a stored value, decrypted if it is encrypted.

    :raises: one of :func:`undecryptable` if it was encrypted with another key.
    """
    if not (stored and is_encrypted):
        return stored
    from airflow.models.crypto import get_fernet
    from cryptography.fernet import InvalidToken

    fernet = get_fernet()
    if not fernet.is_encrypted:
        # Without a key Airflow has one that changes nothing.
        raise InvalidToken
    return fernet.decrypt(stored.encode()).decode()


def undecryptable() -> Tuple[Type[Exception], ...]:
    """Return the exceptions of decrypting what was encrypted with another Fernet key."""
    from airflow.exceptions import AirflowException  # type: ignore[attr-defined]
    from cryptography.fernet import InvalidToken

    return InvalidToken, AirflowException, UnicodeDecodeError
