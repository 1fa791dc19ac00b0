"""
What is secret in what user code gave, hidden.

The functions of ``adapters/work`` put all that comes from user code through :func:`hidden` as they take it up: values,
and the words of exceptions. What is the API's own (the names of fields, ids, dates, states) never goes through it: a
secret that happens to be the same text must not change it.
"""

from __future__ import annotations

import json
import os
from typing import Any, Iterable, List, Optional, Tuple

from native_api.adapters.compat import airflow
from native_api.adapters.compat.masking import MASK
from native_api.adapters.sandbox.capture import Secrets


class Told(Secrets):
    """The secrets of this process, told to its supervisor before anything can print them."""

    def __init__(self, descriptor: int) -> None:
        super().__init__()
        self._descriptor = descriptor

    def tell(self, patterns: List[str]) -> None:
        """Take down regular expressions that match secrets."""
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
    """Hide from now on what Airflow masks in this process, as it comes to be known, and tell it to *descriptor*."""
    global _known
    told = _known = Told(descriptor)
    airflow().user_code.watch_secrets(told.tell)
    airflow().user_code.mask(_configured)


def hidden(value: Any, name: Optional[str] = None) -> Any:
    """
    Return *value* with ``***`` for what is secret in it: by its text, and by what names it.

    What has nothing to hide is given back itself.
    """
    if value is not None and isinstance(name, str) and airflow().is_sensitive(name):
        return MASK
    if isinstance(value, str):
        shown = _hidden_text(airflow().masked(value))
        return value if shown == value else shown
    if isinstance(value, dict):
        pairs = {hidden(key): hidden(item, key) for key, item in value.items()}
        return pairs if _differ(pairs, value) or _differ(pairs.values(), value.values()) else value
    if isinstance(value, (list, tuple)):
        items = [hidden(item) for item in value]
        return value if not _differ(items, value) else tuple(items) if isinstance(value, tuple) else items
    return value


def _hidden_text(text: str) -> str:
    return _known.hidden(text.encode(errors="surrogatepass")).decode(errors="surrogatepass")


def _differ(new: Any, old: Any) -> bool:
    return len(new) != len(old) or any(one is not other for one, other in zip(new, old))
