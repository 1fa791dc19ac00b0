"""Suggestions for misspelled names."""

from __future__ import annotations

import difflib
import re
from typing import Dict, Iterable, Iterator, Optional

#: A longer word gets no suggestion; the time of a comparison grows with the square of the length.
LONGEST = 64
#: The minimum similarity of two words, from 0 to 1, as ``difflib`` defines it.
_ALIKE = 0.75


def nearest(word: str, known: Iterable[str]) -> Optional[str]:
    """Return the most similar known name, whatever its hyphens, case and order of parts, or None."""
    if len(word) > LONGEST:
        return None
    forms: Dict[str, str] = {}
    for name in known:
        for form in _forms(name):
            forms.setdefault(form, name)
    for form in _forms(word):
        for found in difflib.get_close_matches(form, forms, n=1, cutoff=_ALIKE):
            return forms[found]
    return None


def suggestion(word: str, known: Iterable[str]) -> str:
    """Return the end of a sentence, ``; did you mean '…'?``, with the most similar known name, or an empty text."""
    found = nearest(word, known)
    return f"; did you mean '{found}'?" if found else ""


def _forms(word: str) -> Iterator[str]:
    parts = re.findall(r"[a-z0-9]+", word.lower())
    yield "_".join(parts)
    yield "_".join(sorted(parts))
