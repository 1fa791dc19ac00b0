"""Creates the contract from the responses of every supported Airflow: ``python -m tests.golden.rewrite DIR``."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any, Dict, List, Tuple

from tests.golden import playing

#: Stands for the reason of a row until somebody has found it; a test refuses it.
NO_REASON = "?"

Version = Tuple[int, int]


def main(folder: Path) -> None:
    """Write both files."""
    requests = playing.read(playing.CONTRACT)
    responses: Dict[Version, List[Any]] = {
        _version(file.stem): json.loads(file.read_text(encoding="utf-8")) for file in folder.glob("*.json")
    }
    versions = sorted(responses)
    newest = responses[versions[-1]]
    reasons = {
        (row["request"], place): row["reason"] for row in playing.read(playing.DIFFERENCES) for place in row["changes"]
    }
    contract = [{**request, **response} for request, response in zip(requests, newest)]
    rows: List[Dict[str, Any]] = []
    for number, request in enumerate(requests):
        for version in versions[:-1]:
            changes = playing.unlike(newest[number], responses[version][number])
            by_reason: Dict[str, Dict[str, Any]] = {}
            for place, value in changes.items():
                by_reason.setdefault(reasons.get((request["name"], place), NO_REASON), {})[place] = value
            for reason, some in by_reason.items():
                _add(rows, request["name"], version, versions, reason, some)
    playing.write(playing.CONTRACT, contract)
    playing.write(playing.DIFFERENCES, rows)


def _add(
    rows: List[Dict[str, Any]],
    request: str,
    version: Version,
    versions: List[Version],
    reason: str,
    changes: Dict[str, Any],
) -> None:
    """Add a row, or extend that of the previous version to this one."""
    before = versions[versions.index(version) - 1] if versions.index(version) else None
    for row in rows:
        same = (row["request"], row["changes"], row["reason"]) == (request, changes, reason)
        if same and before and row["until"] == _text(before):
            row["until"] = _text(version)
            return
    text = _text(version)
    rows.append({"request": request, "since": text, "until": text, "reason": reason, "changes": changes})


def _version(text: str) -> Version:
    major, minor = text.split(".")
    return int(major), int(minor)


def _text(version: Version) -> str:
    return f"{version[0]}.{version[1]}"


if __name__ == "__main__":
    main(Path(sys.argv[1]))
