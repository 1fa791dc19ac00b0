"""Sends the requests of the contract, and makes their responses independent of time and place."""

from __future__ import annotations

import datetime
import json
import os
import re
from http import HTTPStatus
from pathlib import Path
from typing import Any, Dict, List

HERE = Path(__file__).parent
CONTRACT = HERE / "contract.json"
DIFFERENCES = HERE / "differences.json"


def read(file: Path) -> List[Dict[str, Any]]:
    """Return the entries of one of the files."""
    entries: List[Dict[str, Any]] = json.loads(file.read_text(encoding="utf-8"))
    return entries


def write(file: Path, entries: List[Dict[str, Any]]) -> None:
    """Write the entries, so that a change of one changes few lines."""
    file.write_text(json.dumps(entries, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def send(site: Any, request: Dict[str, Any], answered: Dict[str, Any]) -> Dict[str, Any]:
    """
    Send a request and return its response.

    :param answered: the values of each field in previous responses; an argument ``$field`` is the latest one.
    """
    login = request.get("login", "admin")
    arguments = {
        name: answered.get(value[1:]) if str(value)[:1] == "$" else value
        for name, value in request["arguments"].items()
    }
    if login == "nobody":
        login = None
    if "api" in request:
        response = site.legacy(request["api"], login="token" if login == "admin" else login, **arguments)
    else:
        response = site.typed(request["operation"], login=login, **arguments)
    if response.status < HTTPStatus.BAD_REQUEST:
        answered.update(response.json)
    body = plain(response.json)
    if request.get("api") in ("test", "run") and isinstance(body["output"], dict):
        # It is the task's log, or its end.
        body["output"] = dict.fromkeys(body["output"], "<some>")
    return {"status": response.status, "body": body}


#: Airflow deletes its tables' rows in no order, and does not count those that go with others. What code prints, and how
#: long it takes, is another time something else.
UNSTABLE = frozenset(
    "deleted_rows log seconds pid command hostname traceback content size_bytes heartbeat backfill_id".split()
)


def plain(value: Any) -> Any:
    """Return *value* without current times, versions and paths."""
    if isinstance(value, dict):
        return {name: "<some>" if name in UNSTABLE else plain(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [plain(inner) for inner in value]
    return _plain_text(value) if isinstance(value, str) else value


_MOMENT = re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(?:\.\d+)?(?:[+-]\d\d:\d\d|Z)?")
_HTTP_DATE = re.compile(r"[A-Z][a-z]{2}, \d\d [A-Z][a-z]{2} \d{4} \d\d:\d\d:\d\d GMT")
_HEX = re.compile(r"\b[0-9a-f]{32}\b(?:\.[A-Za-z0-9.-]*[A-Za-z0-9])?")
_UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")


def _plain_text(text: str) -> str:
    import airflow

    import native_api

    places = {
        str(Path(airflow.__file__).parent): "<airflow>",
        os.environ["AIRFLOW_HOME"]: "<home>",
        str(HERE.parents[1]): "<here>",
    }
    for place in sorted(places, key=len, reverse=True):
        text = text.replace(place, places[place])
    if text in (airflow.__version__, native_api.__version__):
        return "<version>"
    # The words are jsonschema's, of whatever version is there.
    text = re.sub(r"\n\nFailed validating .*", "", text, flags=re.DOTALL)
    text = _HEX.sub("<id>", _UUID.sub("<id>", _HTTP_DATE.sub("<now>", _MOMENT.sub(_moment, text))))
    text = re.sub(r"(on host '?)[\w.-]+", r"\1<host>", text)
    text = re.sub(r"(backfill_id=|backfill |backfill__)\d+(?!\d*-)", r"\1<number>", text)
    # Airflow 3 adds letters of its own choice.
    return re.sub(r"(manual__<now>)_\w+", r"\1", text)


def _moment(found: Any) -> str:
    text: str = found.group()
    date = datetime.date(*map(int, text[:10].split("-")))
    return "<now>" if abs((date - datetime.date.today()).days) <= 3 else text


def changed(response: Any, changes: Dict[str, Any]) -> Any:
    """Return the response with other values at the named places."""
    copy = json.loads(json.dumps(response))
    for place, value in changes.items():
        *way, last = place.split("/")
        inner = copy
        for name in way:
            inner = inner[int(name) if isinstance(inner, list) else name]
        if value == ABSENT:
            del inner[last]
        elif isinstance(inner, list):
            inner[int(last)] = value
        else:
            inner[last] = value
    return copy


#: The text in ``differences.json`` for a missing value.
ABSENT = {"absent": True}


def unlike(one: Any, other: Any, place: str = "") -> Dict[str, Any]:
    """Return the changes of *one* that make it *other*, by place."""
    if isinstance(one, dict) and isinstance(other, dict):
        found: Dict[str, Any] = {}
        for name in sorted({*one, *other}):
            inner = f"{place}/{name}" if place else name
            if name not in other:
                found[inner] = ABSENT
            elif name not in one:
                found[inner] = other[name]
            else:
                found.update(unlike(one[name], other[name], inner))
        return found
    if isinstance(one, list) and isinstance(other, list) and len(one) == len(other):
        found = {}
        for number, (left, right) in enumerate(zip(one, other)):
            found.update(unlike(left, right, f"{place}/{number}"))
        return found
    return {} if one == other else {place: other}
