"""The Airflow versions of an argument or a field, declared once for its description and for programs."""

from __future__ import annotations

from typing import Dict, Optional, Tuple

Version = Tuple[int, int]

#: The extension of OpenAPI: a version specifier, as packages have it, such as ``>=3.2``.
EXTENSION = "x-airflow-versions"


def limited(
    description: str, *, since: Optional[Version] = None, before: Optional[Version] = None, **metadata: object
) -> Dict[str, object]:
    """
    Return the metadata of a field that has no effect, or no value, in other versions of Airflow.

    :param since: the first version that has it; None for all before *before*.
    """
    if since is not None:
        specifier, words = f">={_text(since)}", f"{_text(since)} and later"
        words = "3" if since == (3, 0) else words
    else:
        assert before is not None
        specifier, words = f"<{_text(before)}", f"{before[0] - 1}"
    return {"description": f"{description} Airflow {words} only.", EXTENSION: specifier, **metadata}


def _text(version: Version) -> str:
    return ".".join(map(str, version))
