"""The example responses of the OpenAPI document, which are real ones without values that depend on time and place."""

from __future__ import annotations

import datetime
import json
import os
import re
from pathlib import Path
from typing import Any

from native_api.host import hostname

FILE = Path(__file__).parents[2] / "native_api" / "http" / "response_examples.json"

#: A list has so many entries at most.
ENTRIES = 2
#: A moment within some days of today becomes this.
MOMENT = "2026-11-02T08:30:00+00:00"
DAYS = 3
_MOMENT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?(?:[+-]\d\d:\d\d|Z)?")


def write(name: str, response: Any) -> None:
    """Add or replace a response in the file."""
    examples = json.loads(FILE.read_text(encoding="utf-8"))
    examples[name] = tidy(response)
    FILE.write_text(json.dumps(examples, indent=1, ensure_ascii=False, sort_keys=True) + "\n", encoding="utf-8")


def tidy(value: Any) -> Any:
    """Return a response without values that depend on time and place."""
    if isinstance(value, dict):
        return {name: tidy(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [tidy(inner) for inner in value[:ENTRIES]]
    if isinstance(value, str):
        text = value.replace(os.environ["AIRFLOW_HOME"], "/opt/airflow").replace(hostname(), "airflow-web-0")
        text = re.sub(r"/\S*/site-packages", "/usr/lib/python3/site-packages", text)
        return _MOMENT.sub(_moment, text)
    return value


def _moment(found: Any) -> str:
    date = datetime.date.fromisoformat(found[0][:10])
    return MOMENT if abs((date - datetime.date.today()).days) <= DAYS else str(found[0])
