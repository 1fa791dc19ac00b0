"""During the tests every error must be declared for its operation in the OpenAPI document."""

from __future__ import annotations

import functools
import json
import re
from http import HTTPStatus
from pathlib import Path
from typing import Any, Dict, List, Set, Tuple

DOCUMENT = Path(__file__).resolve().parents[2] / "docs" / "openapi.json"

#: The errors that were seen and are not declared: operation, status and code.
UNDECLARED: List[Tuple[str, int, str]] = []


@functools.lru_cache(maxsize=None)
def declared() -> Dict[str, Set[Tuple[int, str]]]:
    """Return the status and the code of each error in the document, by operation."""
    document = json.loads(DOCUMENT.read_text(encoding="utf-8"))
    return {
        described["operationId"]: {
            (int(status), code)
            for status, response in described["responses"].items()
            if status[0] in "45"
            for code in examples_of(document, response)
        }
        for path in document["paths"].values()
        for described in path.values()
    }


def examples_of(document: Any, response: Any) -> Dict[str, Any]:
    """Return the examples of an error response by code."""
    if "$ref" in response:
        response = document["components"]["responses"][response["$ref"].rpartition("/")[2]]
    examples: Dict[str, Any] = response["content"]["application/problem+json"]["examples"]
    return {
        code: document["components"]["examples"][example["$ref"].rpartition("/")[2]]
        for code, example in examples.items()
    }


def note(operation: str, status: int, code: str) -> None:
    """Record an error if it is of an operation and not declared."""
    if operation in declared() and (int(status), code) not in declared()[operation]:
        UNDECLARED.append((operation, int(status), code))


def note_response(target: str, status: int, text: str) -> None:
    """Record the error of a response of the typed API; that of a web server whose worker was aborted is HTML."""
    named = re.search(r"/native_api/v1/(\w+)/*(?:\?|$)", target)
    if named and status >= HTTPStatus.BAD_REQUEST and text.startswith("{"):
        note(named[1], status, json.loads(text)["code"])


def watch() -> None:
    """Record what every call raises, with every interface."""
    from native_api import dispatch, errors

    @functools.wraps(dispatch.call)
    def call(name: str, *args: Any, **kwargs: Any) -> Any:
        try:
            return original(name, *args, **kwargs)
        except errors.NativeApiError as exc:
            note(name, exc.status, exc.code)
            raise

    original, dispatch.call = dispatch.call, call
