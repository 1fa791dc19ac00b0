"""
Mask the secrets in what DAG code returns, raises or prints.

Each job masks what comes from DAG code with :func:`redacted`: values, and the messages of exceptions. The API's own
values (field names, ids, dates, states) are not masked: a secret with the same text would change them.
"""

from __future__ import annotations

import json
import os
from typing import Any, Collection, Iterable, List, Optional

from native_api.adapters.compat import airflow
from native_api.adapters.compat.masking import MASK
from native_api.adapters.sandbox.capture import Secrets


class ReportedSecrets(Secrets):
    """The secrets of this process, which are reported to its supervisor before they can be printed."""

    def __init__(self, descriptor: int) -> None:
        super().__init__()
        self._descriptor = descriptor

    def report(self, patterns: List[str]) -> None:
        """Mask these regular expressions, and send them to the supervisor."""
        data = "".join(f"{json.dumps(pattern)}\n" for pattern in patterns).encode()
        while data:
            data = data[os.write(self._descriptor, data) :]
        self.add(patterns)


#: The secrets of this process. A fork starts with those of its parent.
_known = Secrets()


def mask_configured(texts: Iterable[str]) -> None:
    """Mask these texts in this process and in all jobs that are forked from it."""
    airflow().user_code.mask(texts)
    # Python caches the compiled expression, which each job needs.
    Secrets().add(airflow().user_code.secrets())


def learn_secrets(descriptor: int) -> None:
    """
    Mask what Airflow's secrets masker masks in this process, now and later.

    :param descriptor: the pipe by which the supervisor gets the regular expressions.
    """
    global _known
    reporting = _known = ReportedSecrets(descriptor)
    airflow().user_code.watch_secrets(reporting.report)


def redacted(value: object, name: Optional[str] = None) -> Any:
    """
    Return *value* with each secret replaced by ``***``: what the secrets masker masks, and values of sensitive names.

    A value without secrets is returned as the same object.

    :param name: the name of the value, which can be sensitive, as Airflow's ``should_hide_value_for_key`` decides.
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


def _differ(new: Collection[object], old: Collection[object]) -> bool:
    return len(new) != len(old) or any(one is not other for one, other in zip(new, old))
