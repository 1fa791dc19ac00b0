"""
Mask the secrets in what user code returns, raises or prints.

Each job passes all that comes from user code through :func:`redacted`: values, and the messages of exceptions. What is
the API's own (field names, ids, dates, states) never passes through it: a secret that happens to be the same text must
not change it.
"""

from __future__ import annotations

import json
import os
from typing import Any, Iterable, List, Optional, Tuple

from native_api.adapters.compat import airflow
from native_api.adapters.compat.masking import MASK
from native_api.adapters.sandbox.capture import Secrets


class ReportedSecrets(Secrets):
    """The secrets of this process, reported to its supervisor before anything can print them."""

    def __init__(self, descriptor: int) -> None:
        super().__init__()
        self._descriptor = descriptor

    def report(self, patterns: List[str]) -> None:
        """Report regular expressions that match secrets."""
        data = "".join(f"{json.dumps(pattern)}\n" for pattern in patterns).encode()
        while data:
            data = data[os.write(self._descriptor, data) :]
        self.add(patterns)


#: The secrets of this process; forks of it go on with what it knows and learn more by themselves.
_known = Secrets()


#: Texts of the configuration that are secret.
_configured: Tuple[str, ...] = ()


def of_configuration(texts: Iterable[str]) -> None:
    """Hide those texts in all jobs that are forked from this process."""
    global _configured
    _configured = tuple(texts)


def learn_secrets(descriptor: int) -> None:
    """Mask from now on what Airflow masks in this process, and report it to *descriptor*."""
    global _known
    told = _known = ReportedSecrets(descriptor)
    airflow().user_code.watch_secrets(told.report)
    airflow().user_code.mask(_configured)


def redacted(value: Any, name: Optional[str] = None) -> Any:
    """
    Return *value* with its secrets as ``***``: texts that are known as secrets, and values of sensitive names.

    A value without secrets is returned itself.
    """
    if value is not None and isinstance(name, str) and airflow().is_sensitive(name):
        return MASK
    if isinstance(value, str):
        shown = _redacted_text(airflow().masked(value))
        return value if shown == value else shown
    if isinstance(value, dict):
        pairs = {redacted(key): redacted(item, key) for key, item in value.items()}
        return pairs if _differ(pairs, value) or _differ(pairs.values(), value.values()) else value
    if isinstance(value, (list, tuple)):
        items = [redacted(item) for item in value]
        return value if not _differ(items, value) else tuple(items) if isinstance(value, tuple) else items
    return value


def _redacted_text(text: str) -> str:
    return _known.redacted(text.encode(errors="surrogatepass")).decode(errors="surrogatepass")


def _differ(new: Any, old: Any) -> bool:
    return len(new) != len(old) or any(one is not other for one, other in zip(new, old))
