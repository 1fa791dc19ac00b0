"""The Python API: call and list operations, with Python's own values as arguments."""

from __future__ import annotations

import datetime
import io
import os
from pathlib import Path, PurePath
from typing import Any, Dict, List, Mapping

from apispec import APISpec
from apispec.ext.marshmallow.openapi import OpenAPIConverter
from marshmallow import missing

from native_api import dispatch, registry
from native_api.errors import Invalid
from native_api.permissions import THIS_PROCESS
from native_api.registry import Operation
from native_api.uploads import Upload


def call(name: str, arguments: Mapping[str, Any]) -> Dict[str, Any]:
    """Run an operation for code in this process and return its result; see :func:`native_api.call`."""
    return dispatch.call(name, loadable(registry.get(name), arguments), caller=THIS_PROCESS).result


def operations() -> List[Dict[str, Any]]:
    """Return a description of each operation; see :func:`native_api.operations`."""
    return [
        {
            "name": operation.name,
            "summary": operation.summary,
            "description": operation.text,
            "effect": operation.effect.value,
            "arguments": _arguments_of(operation),
        }
        for operation in registry.every()
    ]


def _arguments_of(operation: Operation) -> List[Dict[str, Any]]:
    converter = OpenAPIConverter("3.0.3", lambda schema: None, APISpec("", "", "3.0.3"))
    described = []
    for name, field in sorted(operation.request.fields.items()):
        facts: Dict[str, Any] = converter.field2property(field)
        if callable(field.load_default):
            facts["default"] = field.load_default()
        elif field.load_default is not missing:
            facts["default"] = field.load_default
        described.append({"name": name, "required": bool(field.required), **facts})
    return described


def loadable(operation: Operation, given: Mapping[str, Any]) -> Dict[str, Any]:
    """
    Return arguments in the form that the operation's schema loads.

    A date becomes its ISO 8601 text. A path becomes its text, or its file if the operation takes one. An open file is
    read from its position. ``in_background`` is another name of ``async``.

    :param given: the arguments as :func:`native_api.call` takes them.
    :raises Invalid: an argument is passed by both of its names, or a file for an argument that takes none.
    :raises OSError: a file cannot be read.
    """
    fields = operation.request.fields
    names = {name: field.data_key or name for name, field in fields.items()}
    twice = {name for name in given if names.get(name, name) != name and names[name] in given}
    if twice:
        raise Invalid({name: [f"Is an alias of '{names[name]}'; send one of them."] for name in sorted(twice)})
    of_files = {names[name]: field.metadata["upload"] for name, field in fields.items() if "upload" in field.metadata}
    taken: Dict[str, Any] = {}
    for name, value in ((names.get(name, name), value) for name, value in given.items()):
        if name in of_files and (isinstance(value, PurePath) or hasattr(value, "read")):
            upload = _upload(value)
            taken[name] = upload if of_files[name] == "file" else upload.content()
        elif hasattr(value, "read"):
            raise Invalid({name: ["Does not accept a file."]})
        else:
            taken[name] = _plain(value)
    return taken


def _upload(value: Any) -> Upload:
    if isinstance(value, PurePath):
        return Upload(io.BytesIO(Path(value).read_bytes()), value.name)
    content = value.read()
    name = getattr(value, "name", None)
    content = content.encode() if isinstance(content, str) else content
    return Upload(io.BytesIO(content), os.path.basename(name) if isinstance(name, str) else "")


def _plain(value: object) -> Any:
    """Return a value with dates and paths as text."""
    if isinstance(value, datetime.date):
        return value.isoformat()
    if isinstance(value, PurePath):
        return os.fspath(value)
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [_plain(item) for item in value]
    return value
