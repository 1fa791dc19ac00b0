"""
Encrypt what web server and worker send one another in a DAG run: the request of a job, and its outcome.

Who can trigger DAG runs, or read them and their XComs, can thus neither make a job nor read one. The key is derived
from ``[core] fernet_key``, which web servers and workers share, and is no other use of it: a value that Airflow has
encrypted is no request.
"""

from __future__ import annotations

import base64
import hashlib
import json
import zlib
from typing import Any

from native_api.errors import JobsDagUnavailable

#: The longest time between the creation of a request and the start of its job, in seconds.
LIFETIME = 24 * 3600


class NotSealed(Exception):
    """The text was not encrypted with this key, or has expired."""


def seal(message: Any) -> str:
    """
    Encrypt a JSON value.

    :raises JobsDagUnavailable: there is no key.
    """
    return str(_fernet().encrypt(zlib.compress(json.dumps(message).encode())).decode())


def unseal(text: str, *, lifetime: int = 0) -> Any:
    """
    Decrypt a text of :func:`seal`.

    :param lifetime: the maximum age, in seconds; 0 for any.
    :raises NotSealed: it was encrypted with another key, has been changed, or is older.
    :raises JobsDagUnavailable: there is no key.
    """
    from cryptography.fernet import InvalidToken

    try:
        return json.loads(zlib.decompress(_fernet().decrypt(text.encode(), lifetime or None)))
    except (InvalidToken, AttributeError, TypeError, ValueError, zlib.error) as exc:
        raise NotSealed from exc


def _fernet() -> Any:
    from airflow.configuration import conf
    from cryptography.fernet import Fernet, MultiFernet

    # With several keys, the first encrypts and all decrypt, as in Airflow: keys can be rotated.
    keys = [key.strip() for key in (conf.get("core", "fernet_key", fallback="") or "").split(",") if key.strip()]
    if not keys:
        raise JobsDagUnavailable("[core] fernet_key is empty. Set it to the same key on web servers and workers.")
    derived = [hashlib.sha256(b"native_api_jobs" + key.encode()).digest() for key in keys]
    return MultiFernet([Fernet(base64.urlsafe_b64encode(key)) for key in derived])
