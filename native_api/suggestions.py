"""What somebody may have meant by a word that is none of those that are known."""

from __future__ import annotations

import difflib
import re
from typing import Dict, Iterable, Iterator, Optional

#: A longer word is none that was mistyped, and comparing takes the square of its length.
LONGEST = 64
#: How alike two words are at least, from 0 to 1.
_ALIKE = 0.75


def nearest(word: str, known: Iterable[str]) -> Optional[str]:
    """Return the known word that is most like another, whatever its hyphens, its case or the order of its parts."""
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


def question(word: str, known: Iterable[str]) -> str:
    """Return the end of a sentence that asks whether the nearest known word was meant, or nothing."""
    found = nearest(word, known)
    return f"; did you mean '{found}'?" if found else ""


def _forms(word: str) -> Iterator[str]:
    parts = re.findall(r"[a-z0-9]+", word.lower())
    yield "_".join(parts)
    yield "_".join(sorted(parts))
